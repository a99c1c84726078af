/*
 * Sends commands to Redis one at a time. After the first failure no more are sent, so a part of an audit checks the
 * status only once, at its end.
 */
#ifndef AUDIT_READER_H
#define AUDIT_READER_H

#include "sale/service.h"
#include "sale/status.h"

struct reader {
	struct service *svc;
	struct arena *arena; /* for the replies */
	enum status status;
};

/* The reply. NULL if the status was not STATUS_OK, or is set to STATUS_UNAVAILABLE: Redis did not answer. Blocks. */
static inline const struct redis_reply *reader_call(struct reader *r, const struct redis_command *c)
{
	const struct redis_reply *reply = NULL;
	if (r->status == STATUS_OK && redis_call(r->svc->redis_sync, r->arena, c, &reply) != REDIS_ANSWER)
		r->status = STATUS_UNAVAILABLE;
	return reply;
}

#endif
