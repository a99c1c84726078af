/* recover: coupons whose slots in Redis went back in time, or are gone, are made right again. */
#include <stdio.h>

#include "bin/ctl.h"
#include "sale/audit.h"
#include "sale/recover.h"

static void put_result(struct ctl *c, int64_t coupon, const struct recovery *r)
{
	const struct {
		const char *name, *text;
		int64_t value;
	} numbers[] = {
		{ "generation", "generation", r->generation },
		{ "orders", "orders in MySQL", r->orders },
		{ "rescued", "of these rescued from Redis", r->rescued },
		{ "renumbered", "of these with another number than they were told", r->renumbered },
		{ "refused", "refused, no unit was left for them (dead letters)", r->refused },
		{ "unknown", "given out, and lost: whose is not known", r->unknown },
		{ "available", "units on sale", r->available },
	};
	if (c->json) {
		json_begin(&c->out, NULL, '{');
		json_int(&c->out, "coupon", coupon);
	} else {
		buf_printf(&c->out, "coupon %lld is open again\n", (long long)coupon);
	}
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (c->json)
			json_int(&c->out, numbers[i].name, numbers[i].value);
		else
			buf_printf(&c->out, "  %-50s %lld\n", numbers[i].text, (long long)numbers[i].value);
	if (!c->json && r->refused + r->unknown)
		buf_puts(&c->out, "  seckillctl dead list shows the dead letters\n");
	if (c->json) {
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
	}
}

/* Before anything is closed: a write that changes nothing. Of a server that is away the recovery itself speaks. */
static bool may_write(struct db *db)
{
	return db_exec(db, "UPDATE coupons SET generation = generation WHERE id = 0", NULL) == 0 ||
	       db_failure(db) != DB_BROKEN;
}

/* coupon: which one is not recovered, and none behind it; 0: it was not found. */
static int fail(struct ctl *c, int64_t coupon, enum status s)
{
	const char *reason = s == STATUS_BUSY ? "another recovery of it runs" : ctl_status_text(s);
	if (coupon)
		reason = arena_printf(c->arena, "coupon %lld: %s", (long long)coupon, reason);
	return ctl_fail(c, s == STATUS_UNAVAILABLE || s == STATUS_BUSY ? EXIT_UNAVAILABLE : EXIT_DOES_NOT_HOLD, reason);
}

int ctl_recover(struct ctl *c, int argc, char **argv)
{
	int64_t *ids, at = 0;
	int count;
	bool all = ctl_option("all"), resell = ctl_option("resell-unknown");
	if (argc != !all)
		return ctl_usage(c);
	if (!may_write(c->service->db))
		return ctl_fail(
			c, EXIT_DOES_NOT_HOLD,
			arena_printf(c->arena,
				     "%s; recover writes orders, so it needs the drainers' settings and account",
				     db_error(c->service->db)));
	enum status s = audit_find(c->service, c->arena, argv[0], &ids, &count);
	for (int i = 0; s == STATUS_OK && i < count; i++) {
		struct recovery r;
		at = ids[i];
		s = recover_coupon(c->service, c->arena, ids[i], resell, &r);
		if (s == STATUS_OK)
			put_result(c, ids[i], &r);
		else if (s == STATUS_NO_SUCH_COUPON)
			s = STATUS_OK; /* never published: nothing of it was sold */
	}
	return s == STATUS_OK ? EXIT_HOLDS : fail(c, at, s);
}
