/*
 * Steering: what a seller changes in a running sale. MySQL decides, in one transaction on the coupon's row, and gives
 * each change of state, window, description or price a higher version. Then the hub, the descriptor and all segments
 * are told; a slot takes only a higher version than its own, so messages may be late or repeated. A paused or ended
 * sale is acknowledged only when every segment has that version or a later one: no customer wins there any more.
 *
 * A request is answered in two steps: steer_apply, and after its success steer_finish. If the process dies between or
 * in them, the drainers finish (steer_step); the request may also be repeated.
 *
 * All functions block, for MySQL and Redis. They are for the cold pool, the drainers and seckillctl.
 */
#ifndef STEER_STEER_H
#define STEER_STEER_H

#include "steer/change.h"

/*
 * Decides a change in MySQL; *r is also set for refusals, as far as known. Returns
 *   STATUS_OK                   it is committed, or the sale had it already: call steer_finish
 *   STATUS_NO_SUCH_COUPON
 *   STATUS_PRECONDITION_FAILED  if_match names other settings
 *   STATUS_TOO_LATE             this can no longer be changed; r->detail says what
 *   STATUS_NOT_ENDED            to archive: the sale has not ended
 *   STATUS_UNFINISHED           to archive: orders of the sale are not finished yet; r->detail says why
 *   STATUS_BAD_FIELD            r->detail names the member
 *   STATUS_UNAVAILABLE, STATUS_INTERNAL  a store has failed. If MySQL was lost at the commit, the change may be there:
 *                               repeating is safe, but for `withdraw`, which each call adds (`also` makes it safe)
 * All but STATUS_OK: nothing is changed (but for that case).
 */
enum status steer_apply(struct service *svc, struct arena *a, const struct steer_change *change,
			struct steer_result *r);

/*
 * Does whatever of a coupon's decided changes is not done: steer_tell, then steer_withdraw, or the removal of an
 * archived sale from Redis. Safe to repeat, and without work one read of MySQL. *now (may be NULL) is the state of the
 * settings afterwards. STATUS_OK: every change that was committed when this was called has taken effect. STATUS_BUSY:
 * decided, but a server does not answer or a slot is suspect, for more than STEER_PATIENCE_MS: drainers go on.
 * STATUS_NO_SUCH_COUPON, STATUS_FENCED, STATUS_UNAVAILABLE, STATUS_INTERNAL.
 */
enum { STEER_PATIENCE_MS = 2000 };
enum status steer_finish(struct service *svc, struct arena *a, int64_t coupon, struct sale_settings *now);

/*
 * How many units of the change of *r are withdrawn, by the settings after steer_finish. Requests that come later,
 * before these settings were read, may make it too high, but never above what was asked for.
 */
int64_t steer_withdrew(const struct steer_result *r, const struct sale_settings *now);

/*
 * As steer_finish, for settings that were read, waiting for at most patience_ms; and its parts. steer_tell brings
 * state, window and descriptor to all slots at once. steer_withdraw takes units off sale: what the hub has, then what
 * segments have left; the units that it has found are noted in MySQL, also if it fails. steer_archive removes slots,
 * descriptor and entries of an archived sale from Redis; its orders stay in MySQL.
 */
enum status steer_finish_within(struct service *svc, struct arena *a, const struct sale_settings *s, int patience_ms);
enum status steer_tell(struct service *svc, struct arena *a, const struct sale_settings *s, int patience_ms);
enum status steer_withdraw(struct service *svc, struct arena *a, const struct sale_settings *s, int patience_ms);
enum status steer_archive(struct service *svc, struct arena *a, const struct sale_settings *s);

/*
 * For the drainers: finishes the next coupons whose changes are not done (coupons.state_told = 0), at most 32, without
 * waiting for servers that do not answer; one that cannot be finished is tried again a second later.
 */
struct steering_work;
struct steering_work *steering_work_new(struct service *svc);
void steering_work_free(struct steering_work *w);

enum steer_step {
	STEER_DONE, /* nothing is left to do now */
	STEER_MORE, /* the next step should follow soon */
	STEER_AWAY, /* MySQL does not answer */
};
enum steer_step steer_step(struct steering_work *w, struct arena *a);

#endif
