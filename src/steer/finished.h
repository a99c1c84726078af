/* Whether nothing of an ended sale is left to do, so that it may be archived. */
#ifndef STEER_FINISHED_H
#define STEER_FINISHED_H

#include "steer/change.h"

/* *empty: no order waits on a list in Redis. STATUS_OK, STATUS_UNAVAILABLE. */
enum status finished_lists(struct service *svc, const struct sale_settings *s, bool *empty);

/*
 * In the transaction that archives the sale of r->settings. lists_empty: as finished_lists said before the transaction,
 * but after every slot was told of the end. STATUS_OK; STATUS_UNFINISHED with r->detail; STATUS_INTERNAL: the database
 * has failed.
 */
enum status finished_check(struct service *svc, struct arena *a, struct steer_result *r, bool lists_empty);

#endif
