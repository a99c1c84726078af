/* Nothing else happens any more, and nobody dies: the drainers' jobs, until they find nothing to do. */
#include "model/life/life.h"

#include <string.h>

enum { ROUNDS_MOST = 20 };

static void drain_all(struct state *s, const struct sale *sale)
{
	for (int n = 1; n <= ORDERS; n++)
		if (s->orders[n].status == QUEUED)
			drain(s, sale, n);
}

static void release_all(struct state *s, const struct sale *sale)
{
	for (int n = 1; n <= ORDERS; n++)
		if (s->orders[n].returned) {
			release(s, sale, n);
			forget_returned(s, n);
		}
}

static void expire_all(struct state *s, const struct sale *sale)
{
	for (int n = 1; n <= ORDERS; n++)
		if (s->orders[n].unpaid)
			expire(s, sale, n);
}

static void look_for_unit(struct state *s, const struct sale *sale, int p)
{
	struct payment *by = &s->payments[p];
	struct reply r = claim(s, sale, s->orders[by->named].customer);
	if (r.word == LIMIT) {
		lift(s, s->orders[by->named].customer, r.number);
		return;
	}
	if (r.word == WON)
		drain_all(s, sale);
	if (r.word == WON || r.word == MINE)
		apply_late(s, sale, p, r.number);
	else
		refuse_late(s, p);
}

static void tell(struct state *s)
{
	if (!s->hub_told) {
		tell_hub(s, s->change_count);
		clear_hub_told(s);
	}
}

bool run_jobs(struct state *s, const struct sale *sale, bool time_passes)
{
	struct state before;
	for (int round = 0; round < ROUNDS_MOST; round++) {
		before = *s;
		drain_all(s, sale);
		if (time_passes)
			expire_all(s, sale);
		release_all(s, sale);
		tell(s);
		for (int p = 0; p < sale->payments; p++)
			if (s->payments[p].late)
				look_for_unit(s, sale, p);
		if (!memcmp(&before, s, sizeof before))
			return true;
	}
	return false;
}
