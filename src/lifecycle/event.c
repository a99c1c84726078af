#include "lifecycle/event.h"

#include "sale/db_status.h"

const char *event_kind_text(enum event_kind kind)
{
	static const char *const texts[] = {
#define X(name, number, text, help) [number] = (text),
#include "lifecycle/event.def"
#undef X
	};
	return texts[kind];
}

/* The numbers of the first and the last kind, which a row must be between. */
enum { KIND_FIRST = EVENT_PAID, KIND_LAST = EVENT_REFUND_MISFIT };

const char *actor_text(enum actor actor)
{
	static const char *const texts[] = { "", "customer", "seller", "provider", "operator", "service" };
	return texts[actor];
}

int event_add(struct service *svc, const struct event *e)
{
	int result =
		db_exec(svc->db,
			"INSERT INTO order_events (coupon_id, segment, seq, at_ms, kind, actor, reason, source) "
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			NULL, DB_N(e->order.coupon), DB_N(e->order.segment), DB_N(e->order.sequence), DB_N(e->at_ms),
			DB_N(e->kind), DB_N(e->actor), DB_S(e->reason), e->source.n ? DB_S(e->source) : DB_NIL);
	return result && e->source.n && db_failure(svc->db) == DB_DUPLICATE ? 0 : result;
}

enum status event_list(struct service *svc, struct arena *a, const struct order_number *order, struct event **events,
		       int *count)
{
	struct db_rows rows;
	*count = 0;
	if (db_query(svc->db, a,
		     "SELECT kind, actor, at_ms, reason, source FROM (SELECT * FROM order_events WHERE coupon_id = ? "
		     "AND segment = ? AND seq = ? ORDER BY id DESC LIMIT ?) latest ORDER BY id",
		     &rows, DB_N(order->coupon), DB_N(order->segment), DB_N(order->sequence), DB_N(EVENTS_MAX)))
		return db_status(svc->db, "events");
	*events = arena_alloc(a, (size_t)(rows.count + 1) * sizeof **events);
	for (int i = 0; i < rows.count; i++) {
		const struct db_value *v = db_row(&rows, i);
		int64_t kind, actor;
		if (db_int(svc->db, &v[0], KIND_FIRST, KIND_LAST, &kind) ||
		    db_int(svc->db, &v[1], ACTOR_CUSTOMER, ACTOR_SERVICE, &actor))
			return db_status(svc->db, "events");
		(*events)[i] = (struct event){ .order = *order,
					       .kind = (enum event_kind)kind,
					       .actor = (enum actor)actor,
					       .at_ms = v[2].number,
					       .reason = v[3].text,
					       .source = v[4].text };
	}
	*count = rows.count;
	return STATUS_OK;
}
