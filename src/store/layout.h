/*
 * The layout of what Redis holds of the sales (fence.h), recorded there by the
 * drainers: a program of an older layout finds the record and refuses to work.
 * Both block.
 */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include "sale/service.h"

/* NULL, also when Redis is away; else that its layout is newer than this program's, in the arena. */
const char *layout_problem(struct service *svc, struct arena *a);

/* Records this program's layout unless a newer one is there. False: Redis is away. */
bool layout_record(struct service *svc, struct arena *a);

#endif
