#include "resale/work.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/log.h"
#include "resale/expiry.h"
#include "resale/late.h"
#include "resale/release.h"
#include "resale/tell.h"

enum {
	JOB_MS = 50,    /* one kind of work ends after the step in which it has taken so long */
	SEARCH_MS = 20, /* the longest rest while a unit is looked for */
};

struct work {
	struct service *svc;
	struct expiry_walk expiry;
	struct release_walk release;
	struct tell *tell;
	struct late *late;
	struct {
		int64_t pay_by_ms; /* the earliest of all unpaid orders; 0: there is none */
		bool returned, untold, late;
	} due;
};

struct work *work_new(struct service *svc)
{
	struct work *w = alloc_zeroed(1, sizeof *w);
	w->svc = svc;
	w->tell = tell_new(svc);
	w->late = late_new(svc);
	return w;
}

void work_free(struct work *w)
{
	if (!w)
		return;
	late_free(w->late);
	tell_free(w->tell);
	free(w);
}

/* One query, because a drainer without work asks it all the time. */
static int read_due(struct work *w, struct arena *a)
{
	struct db_rows rows;
	if (db_query_row(w->svc->db, a,
			 "SELECT COALESCE((SELECT MIN(pay_by_ms) FROM unpaid_orders), 0), "
			 "EXISTS (SELECT 1 FROM returned_orders), EXISTS (SELECT 1 FROM coupons WHERE hub_told = 0), "
			 "EXISTS (SELECT 1 FROM payments WHERE late = 1)",
			 &rows))
		return -1;
	const struct db_value *v = db_row(&rows, 0);
	w->due.pay_by_ms = v[0].number;
	w->due.returned = v[1].number != 0;
	w->due.untold = v[2].number != 0;
	w->due.late = v[3].number != 0;
	return 0;
}

static enum step expire(struct work *w, struct arena *a)
{
	int64_t before = w->expiry.expired;
	if (!w->due.pay_by_ms)
		return STEP_DONE;
	enum step s = expiry_step(w->svc, a, &w->expiry, w->due.pay_by_ms);
	if (w->expiry.expired > before)
		w->due.returned = w->due.untold = true;
	return s;
}

static enum step release(struct work *w, struct arena *a)
{
	return w->due.returned ? release_step(w->svc, a, &w->release) : STEP_DONE;
}

static enum step tell(struct work *w, struct arena *a)
{
	return w->due.untold ? tell_step(w->tell, a) : STEP_DONE;
}

static enum step pay_late(struct work *w, struct arena *a)
{
	return late_step(w->late, a, w->due.late);
}

/* A unit is sold sooner when its hub is told before its owner is released. */
static enum step (*const jobs[])(struct work *w, struct arena *a) = { expire, tell, release, pay_late };
enum { JOBS = sizeof jobs / sizeof jobs[0] };

static enum step run(struct work *w, struct arena *a, int job, int most_ms)
{
	enum step s;
	int64_t began_ms = clock_mono_ms();
	do {
		s = jobs[job](w, a);
	} while (s == STEP_MORE && clock_mono_ms() - began_ms < most_ms);
	return s;
}

enum step work_step(struct work *w, struct arena *a, bool others_wait)
{
	enum step s = STEP_DONE;
	tell_open(w->tell, a);
	if (read_due(w, a)) {
		log_warn_limited("lifecycle_failed", LOG_TEXT("error", db_error(w->svc->db)));
		return STEP_AWAY;
	}
	for (int i = 0; i < JOBS; i++) {
		enum step one = run(w, a, i, others_wait ? 0 : JOB_MS);
		s = one > s ? one : s;
	}
	return s;
}

int work_rest_ms(const struct work *w, int most)
{
	int left = tell_rest_ms(w->tell);
	if (late_is_busy(w->late) && left > SEARCH_MS)
		left = SEARCH_MS;
	return left < most ? left : most;
}
