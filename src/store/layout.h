/*
 * The layout of the sales in Redis (fence.h). Drainers record it in Redis, so that a program of an earlier layout
 * refuses to work. Both functions block.
 */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include "sale/service.h"

/* Redis has a later layout than this program: an error text in the arena. NULL: it has none, or does not answer. */
const char *layout_problem(struct service *svc, struct arena *a);

/* Records this program's layout unless it or a later one is recorded. False: Redis does not answer. */
bool layout_record(struct service *svc, struct arena *a);

#endif
