#include "resale/tell.h"

#include <limits.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "catalog/supply.h"
#include "host/fault.h"
#include "host/log.h"

enum {
	COUPONS_MAX = 32,   /* of one step */
	COLLECT_MS = 100,   /* from a walk that told a hub to the next one */
	REFUSED_MS = 1000,  /* until a hub that could not be told is tried again */
	REFUSED_MAX = 64,   /* so many such hubs are remembered; more are tried with every walk */
	OPENINGS_MAX = 256, /* so many openings are remembered; workers open the other hubs */
};

struct opening {
	struct supply_opening supply;
	int64_t due_ms; /* by clock_mono_ms */
};

struct refusal {
	int64_t coupon, until_ms;
};

struct tell {
	struct service *svc;
	int64_t after;  /* the last coupon of the walk; 0: it begins */
	int64_t due_ms; /* when the next walk is due, by clock_mono_ms */
	bool told;      /* this walk has told a hub */
	struct refusal refusals[REFUSED_MAX];
	struct opening openings[OPENINGS_MAX];
	int opening_count;
};

struct tell *tell_new(struct service *svc)
{
	struct tell *t = alloc_zeroed(1, sizeof *t);
	t->svc = svc;
	return t;
}

void tell_free(struct tell *t)
{
	free(t);
}

/* Hubs that could not be told */

static bool is_refused(const struct tell *t, int64_t coupon)
{
	for (int i = 0; i < REFUSED_MAX; i++)
		if (t->refusals[i].coupon == coupon)
			return clock_mono_ms() < t->refusals[i].until_ms;
	return false;
}

static void note_refusal(struct tell *t, int64_t coupon)
{
	int64_t now_ms = clock_mono_ms();
	for (int i = 0; i < REFUSED_MAX; i++) {
		struct refusal *r = &t->refusals[i];
		if (r->coupon != coupon && now_ms < r->until_ms)
			continue;
		*r = (struct refusal){ coupon, now_ms + REFUSED_MS };
		return;
	}
}

/* Openings */

static struct opening *find_opening(struct tell *t, int64_t coupon)
{
	for (int i = 0; i < t->opening_count; i++)
		if (t->openings[i].supply.coupon == coupon)
			return &t->openings[i];
	return NULL;
}

/* Units that come back during an opening do not prolong it. */
static void note_opening(struct tell *t, const struct supply_opening *o)
{
	struct opening *known = find_opening(t, o->coupon);
	if (!o->wait_ms || (known && known->supply.epoch == o->epoch))
		return;
	if (!known && t->opening_count == OPENINGS_MAX)
		return;
	if (!known)
		known = &t->openings[t->opening_count++];
	*known = (struct opening){ *o, clock_mono_ms() + o->wait_ms };
	FAULT(tell_opening);
}

void tell_open(struct tell *t, struct arena *a)
{
	for (int i = 0; i < t->opening_count;) {
		if (clock_mono_ms() < t->openings[i].due_ms) {
			i++;
			continue;
		}
		supply_open(t->svc, a, &t->openings[i].supply);
		FAULT(tell_opened);
		t->openings[i] = t->openings[--t->opening_count];
	}
}

int tell_rest_ms(const struct tell *t)
{
	int64_t least = INT_MAX, now_ms = clock_mono_ms();
	for (int i = 0; i < t->opening_count; i++) {
		int64_t left = t->openings[i].due_ms - now_ms;
		least = left < least ? left : least;
	}
	return least > 0 ? (int)least : 0;
}

/* Telling */

static enum status tell_hub(struct tell *t, struct arena *a, int64_t coupon)
{
	struct supply_opening o;
	if (is_refused(t, coupon))
		return STATUS_OK;
	FAULT(tell_found);
	enum status s = supply_tell(t->svc, a, coupon, &o);
	if (s != STATUS_OK) {
		note_refusal(t, coupon);
		return s;
	}
	FAULT(tell_told);
	t->told = true;
	note_opening(t, &o);
	return STATUS_OK;
}

static enum step end_walk(struct tell *t)
{
	t->due_ms = t->told ? clock_mono_ms() + COLLECT_MS : 0;
	t->after = 0;
	t->told = false;
	return STEP_DONE;
}

enum step tell_step(struct tell *t, struct arena *a)
{
	struct db_rows rows;
	if (clock_mono_ms() < t->due_ms)
		return STEP_DONE;
	if (db_query(t->svc->db, a, "SELECT id FROM coupons WHERE hub_told = 0 AND id > ? ORDER BY id LIMIT ?", &rows,
		     DB_N(t->after), DB_N(COUPONS_MAX))) {
		log_warn_limited("tell_failed", LOG_TEXT("error", db_error(t->svc->db)));
		return STEP_AWAY;
	}
	for (int i = 0; i < rows.count; i++) {
		t->after = db_row(&rows, i)->number;
		if (tell_hub(t, a, t->after) == STATUS_UNAVAILABLE && !db_is_open(t->svc->db))
			return STEP_AWAY;
	}
	return rows.count == COUPONS_MAX ? STEP_MORE : end_walk(t);
}
