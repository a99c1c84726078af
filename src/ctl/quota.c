/* The command quota: what a seller has used of each quota. */
#include "catalog/quota.h"

#include "account/user.h"
#include "ctl/ctl.h"

static void put_quota(struct ctl *c, const struct quota *q)
{
	if (!c->json) {
		const char *limit = q->limit ? arena_printf(c->arena, "%lld", (long long)q->limit) : "no limit";
		buf_printf(&c->out, "%s\t%lld\t%s\n", q->name, (long long)q->used, limit);
		return;
	}
	json_begin(&c->out, NULL, '{');
	json_str(&c->out, "quota", str_of(q->name));
	json_int(&c->out, "used", q->used);
	json_int(&c->out, "limit", q->limit);
	json_end(&c->out, '}');
}

int ctl_quota(struct ctl *c, int argc, char **argv)
{
	struct user user;
	struct quota all[QUOTAS];
	if (argc != 1)
		return ctl_wrong(c, "name one seller");
	enum status s = user_find(c->service, c->arena, str_of(argv[0]), &user);
	if (s == STATUS_OK && user.kind != KIND_SELLER)
		return ctl_fail(c, EXIT_DOES_NOT_HOLD, "this user is a customer: name a seller");
	if (s == STATUS_OK)
		s = quota_read(c->service, c->arena, user.id, all);
	if (s == STATUS_UNKNOWN_USER)
		return ctl_fail_status(c, EXIT_DOES_NOT_HOLD, s);
	if (s != STATUS_OK)
		return ctl_fail_status(c, EXIT_UNAVAILABLE, s);
	if (c->json)
		json_begin(&c->out, NULL, '[');
	for (int i = 0; i < QUOTAS; i++)
		put_quota(c, &all[i]);
	if (c->json) {
		json_end(&c->out, ']');
		buf_puts(&c->out, "\n");
	}
	return EXIT_HOLDS;
}
