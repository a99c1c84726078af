#include "resale/gauges.h"

#include "sale/sale_clock.h"

/* A count of rows stops at this many, because it is repeated every few seconds. */
#define COUNT_UP(rows) "(SELECT COUNT(*) FROM (SELECT 1 FROM " rows " LIMIT 100000) t)"

static int64_t lag_ms(const struct service *svc, const struct db_value *pay_by_ms, int64_t now_ms)
{
	int64_t due_ms = pay_by_ms->number + (int64_t)svc->conf->pay_grace_s * 1000;
	return pay_by_ms->type != DB_NULL && now_ms > due_ms ? now_ms - due_ms : 0;
}

void gauges_set(struct service *svc, struct arena *a)
{
	static const enum counter gauges[] = { COUNT_orders_unpaid, COUNT_orders_returned, COUNT_refunds_due,
					       COUNT_hubs_untold };
	enum { GAUGES = sizeof gauges / sizeof gauges[0] };
	struct db_rows rows;
	int64_t now_ms;
	if (sale_clock_read(svc, a, &now_ms) != STATUS_OK ||
	    db_query_row(
		    svc->db, a,
		    "SELECT " COUNT_UP("unpaid_orders") ", " COUNT_UP("returned_orders") ", " COUNT_UP(
			    "payments WHERE refund_due IS NOT NULL") ", " COUNT_UP("coupons WHERE hub_told = 0") ", "
														 "(SELECT MIN(pay_by_ms) FROM unpaid_orders)",
		    &rows))
		return;
	const struct db_value *v = db_row(&rows, 0);
	for (int i = 0; i < GAUGES; i++)
		stats_set(svc->stats, gauges[i], (uint64_t)v[i].number);
	stats_set(svc->stats, COUNT_expiry_lag_ms, (uint64_t)lag_ms(svc, &v[GAUGES], now_ms));
}
