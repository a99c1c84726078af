#include "it/rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "it/rig_db.h"
#include "sale/key.h"

struct sums {
	int64_t left, in_flight, sold, last_ms;
};

static int by_user(const void *a, const void *b)
{
	int64_t x = ((const struct customer *)a)->user, y = ((const struct customer *)b)->user;
	return (x > y) - (x < y);
}

/* Customers are sorted by user. */
static const struct customer *find(const struct options *o, const struct shared *s, int64_t user)
{
	const struct customer wanted = { .user = user };
	return bsearch(&wanted, s->customers, (size_t)(o->customers + o->late), sizeof wanted, by_user);
}

static const struct redis_reply *read_slot(struct service *svc, struct arena *a, const char *command, enum key key,
					   int64_t coupon, int64_t segment)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, command);
	key_put(&c, key, coupon, segment);
	if (key == KEY_ORDERS) {
		redis_put_int(&c, 0);
		redis_put_int(&c, -1);
	}
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		exit(1);
	return reply;
}

static int64_t number(const struct redis_reply *map, const char *name, int i)
{
	char field[24];
	snprintf(field, sizeof field, i < 0 ? "%s" : "%s%d", name, i);
	return redis_number(redis_member(map, field));
}

/* Every owner was told this order, and the list has the same, without gaps. */
static const char *check_orders(struct service *svc, struct arena *a, const struct options *o, const struct shared *s,
				int i, int64_t sold, int64_t *last_ms)
{
	const struct redis_reply *owners = read_slot(svc, a, "HGETALL", KEY_OWNERS, s->coupon, i);
	const struct redis_reply *list = read_slot(svc, a, "LRANGE", KEY_ORDERS, s->coupon, i);
	if (redis_count(owners) != 2 * (size_t)sold || redis_count(list) != (size_t)sold)
		return "owners, orders and what is sold differ";
	for (size_t k = 0; k < (size_t)sold; k++) {
		const struct customer *c = find(o, s, redis_number_at(owners, 2 * k));
		if (!c || c->told != STATUS_CREATED || c->segment != i || c->sequence != redis_number_at(owners, 2 * k + 1))
			return "an owner was told otherwise";
		struct str rest = redis_text_at(list, k), word;
		int64_t sequence = 0, user = 0, ms = 0;
		if (!parse_split(&rest, '|', &word) || !parse_int(word, 1, INT64_MAX, &sequence) ||
		    !parse_split(&rest, '|', &word) || !parse_int(word, 1, INT64_MAX, &user) ||
		    !parse_int(rest, 1, INT64_MAX, &ms))
			return "an order is unreadable";
		c = find(o, s, user);
		if (sequence != (int64_t)k + 1 || !c || c->segment != i || c->sequence != sequence)
			return "the list of orders has gaps, or another's order";
		*last_ms = ms > *last_ms ? ms : *last_ms;
	}
	return NULL;
}

static const char *check_segment(struct service *svc, struct arena *a, const struct options *o, const struct shared *s,
				 const struct redis_reply *hub, int i, struct sums *sums)
{
	const struct redis_reply *g = read_slot(svc, a, "HGETALL", KEY_SEGMENT, s->coupon, i);
	int64_t left = number(g, "left", -1), sold = number(g, "sold", -1);
	int64_t received = number(g, "I", -1), sent = number(g, "O", -1);
	int64_t granted = number(hub, "G", i), taken = number(hub, "R", i);
	sums->left += left;
	sums->sold += sold;
	sums->in_flight += granted - received + sent - taken;
	if (left < 0 || left != received - sent - sold)
		return "left is not what was received, not sent back and not sold";
	if (received > granted || taken > sent)
		return "totals went back";
	if (number(g, "base", -1) || number(g, "last", -1) != sold)
		return "the last number is not what is sold";
	return check_orders(svc, a, o, s, i, sold, &sums->last_ms);
}

static const char *check_sums(const struct options *o, const struct shared *s, const struct redis_reply *hub,
			      const struct sums *sums)
{
	int64_t units = rig_db_units(), customers = o->customers + o->late;
	if (units != number(hub, "avail", -1) + sums->in_flight + sums->left + sums->sold)
		return "units are not hub + in flight + left + sold";
	if (s->won != sums->sold)
		return "not every order was told";
	if (s->won != (units < customers ? units : customers))
		return "a unit was left, and a customer without one";
	if (customers <= units && s->refused)
		return "refused, and there was a unit for everyone";
	if (!o->add && !o->cancel && s->first_refusal_ms < sums->last_ms)
		return "refused, and a unit was sold after that";
	if (s->changed)
		return "what a customer was told changed";
	return s->failed ? "a claim ended as it must not" : NULL;
}

void check_slots(struct service *svc, struct arena *a, const struct options *o, const struct shared *s, char text[200])
{
	struct sums sums = { 0 };
	const struct redis_reply *hub = read_slot(svc, a, "HGETALL", KEY_HUB, s->coupon, 0);
	const char *wrong = NULL;
	for (int i = 0; !wrong && i < o->segments; i++)
		wrong = check_segment(svc, a, o, s, hub, i, &sums);
	if (!wrong)
		wrong = check_sums(o, s, hub, &sums);
	text[0] = '\0';
	if (wrong)
		snprintf(text, 200, "%s: %lld units, %lld sold, %lld won, %lld refused", wrong, (long long)rig_db_units(),
			 (long long)sums.sold, (long long)s->won, (long long)s->refused);
}
