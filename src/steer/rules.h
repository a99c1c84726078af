/* What a seller may change, and when. No store is used. */
#ifndef STEER_RULES_H
#define STEER_RULES_H

#include "steer/change.h"

/*
 * Applies the change to r->settings, which are those of now; sets r->changed and r->detail. STATUS_OK; STATUS_TOO_LATE;
 * STATUS_NOT_ENDED; STATUS_BAD_FIELD: r->detail says why. Version and totals of withdrawals stay as they are.
 */
enum status rules_apply(const struct steer_change *change, int64_t now_ms, struct steer_result *r);

#endif
