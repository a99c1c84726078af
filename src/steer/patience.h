/* Waiting for servers, a little at a time, in a process that may block. */
#ifndef STEER_PATIENCE_H
#define STEER_PATIENCE_H

#include "sale/service.h"

struct patience {
	struct service *svc;
	int64_t until_ms; /* by clock_mono_ms */
};

struct patience patience_begin(struct service *svc, int patience_ms);

/* False: it is over. Else waits for some milliseconds, in which connections are made. */
bool patience_wait(const struct patience *p);

#endif
