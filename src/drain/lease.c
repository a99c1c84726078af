#include "drain/lease.h"

#include "sale/key.h"

static bool set_lease(struct service *svc, struct arena *a, int64_t coupon, const char *token, const char *condition)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "SET");
	key_put(&c, KEY_LEASE, coupon, 0);
	redis_put_text(&c, token);
	redis_put_text(&c, condition);
	redis_put_text(&c, "PX");
	redis_put_int(&c, LEASE_MS);
	return redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER || redis_type(reply) != REDIS_NIL;
}

/* True: the lease has more time left than LEASE_MS, because Redis's clock was set back. */
static bool lease_is_void(struct service *svc, struct arena *a, int64_t coupon)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "PTTL");
	key_put(&c, KEY_LEASE, coupon, 0);
	return redis_call(svc->redis_sync, a, &c, &reply) == REDIS_ANSWER && redis_number(reply) > LEASE_MS;
}

bool lease_take(struct service *svc, struct arena *a, int64_t coupon, const char *token)
{
	return set_lease(svc, a, coupon, token, "NX") ||
	       (lease_is_void(svc, a, coupon) && set_lease(svc, a, coupon, token, "XX"));
}

void lease_release(struct service *svc, int64_t coupon)
{
	struct redis_command c;
	redis_command(&c, "DEL");
	key_put(&c, KEY_LEASE, coupon, 0);
	redis_send(svc->redis_sync, &c, NULL, NULL);
}
