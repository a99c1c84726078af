#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/db_status.h"
#include "steer/steer.h"

enum {
	COUPONS_MAX = 32,  /* of one step */
	STEP_MS = 50,      /* a step ends with the coupon at which it has taken so long */
	REFUSED_MS = 1000, /* from a walk that could not finish a coupon to the next one */
};

struct steering_work {
	struct service *svc;
	int64_t after;   /* the last coupon of the walk; 0: it begins */
	int64_t due_ms;  /* when the next walk is due, by clock_mono_ms */
	bool is_refused; /* a coupon of this walk could not be finished */
};

struct steering_work *steering_work_new(struct service *svc)
{
	struct steering_work *w = alloc_zeroed(1, sizeof *w);
	w->svc = svc;
	return w;
}

void steering_work_free(struct steering_work *w)
{
	free(w);
}

static void finish_one(struct steering_work *w, struct arena *a, int64_t coupon)
{
	struct sale_settings s;
	FAULT(steer_found);
	enum status status = settings_read_id(w->svc, a, coupon, &s);
	if (status == STATUS_OK)
		status = steer_finish_within(w->svc, a, &s, 0);
	if (status == STATUS_OK)
		return;
	w->is_refused = true;
	log_warn_limited("steering_unfinished", LOG_INT("coupon", coupon), LOG_TEXT("status", status_code(status)));
}

static enum steer_step end_walk(struct steering_work *w)
{
	w->due_ms = w->is_refused ? clock_mono_ms() + REFUSED_MS : 0;
	w->after = 0;
	w->is_refused = false;
	return STEER_DONE;
}

enum steer_step steer_step(struct steering_work *w, struct arena *a)
{
	struct db_rows rows;
	int64_t began_ms = clock_mono_ms();
	if (began_ms < w->due_ms)
		return STEER_DONE;
	if (db_query(w->svc->db, a, "SELECT id FROM coupons WHERE state_told = 0 AND id > ? ORDER BY id LIMIT ?", &rows,
		     DB_N(w->after), DB_N(COUPONS_MAX))) {
		log_warn_limited("steering_failed", LOG_TEXT("error", db_error(w->svc->db)));
		return STEER_AWAY;
	}
	for (int i = 0; i < rows.count; i++) {
		w->after = db_row(&rows, i)->number;
		finish_one(w, a, w->after);
		if (db_failure(w->svc->db) == DB_AWAY)
			return STEER_AWAY;
		if (clock_mono_ms() - began_ms > STEP_MS)
			return STEER_MORE;
	}
	return rows.count == COUPONS_MAX ? STEER_MORE : end_walk(w);
}
