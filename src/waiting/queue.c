/*
 * queue_position reads in the direction in which a unit moves: the list, what is promoted at the hub, then the owners
 * of the home; so whoever is promoted meanwhile is found in one of them. queue_join reads the same, and calls join.lua
 * for whoever is in none of them. queue_leave calls leave.lua first.
 */
#include "waiting/queue.h"

#include <stdio.h>

#include "host/fault.h"
#include "host/log.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/sale_clock.h"
#include "sale/scripts.h"
#include "sale/worklist.h"

static const enum status unanswered[] = {
	[REDIS_REFUSED] = STATUS_UNAVAILABLE, [REDIS_UNKNOWN] = STATUS_OUTCOME_UNKNOWN, [REDIS_BROKEN] = STATUS_FENCED
};

static void end_call(struct queue_call *q, enum status s)
{
	struct coupon *coupon = q->coupon; /* done may free the call */
	q->done(q, s);
	coupon_drop(coupon);
}

/* False: the sale has no waiting list, and the call has ended. */
static bool begin_call(struct queue_call *q, struct coupon *c)
{
	q->coupon = coupon_hold(c);
	q->segment = coupon_home(c, q->owner.user);
	q->trouble = STATUS_OK;
	q->is_ended = false;
	if (c->waits && q->owner.unit <= c->limit)
		return true;
	q->sequence = 0;
	end_call(q, c->waits ? STATUS_LIMIT_REACHED : STATUS_NO_WAITING_LIST);
	return false;
}

/* Fences */

/* The slot does not have the fence of an open one of this generation. */
static enum status refuse_fence(struct queue_call *q, struct str fence)
{
	enum fence meaning = fence_read(fence, q->coupon->generation);
	if (meaning == FENCE_OTHER)
		coupon_forget(q->service->coupons, q->coupon); /* the next request reads it again */
	else
		worklist_inspect(q->service->redis, q->coupon->id, q->coupon->segments);
	return meaning == FENCE_QUARANTINED ? STATUS_FENCED : STATUS_BUSY;
}

/* For slots that are read without a script, which would compare the fence. */
static enum status check_fence(struct queue_call *q, enum key key, int segment, struct str fence)
{
	char text[KEY_TEXT];
	struct str slot = key_text(text, key, q->coupon->id, segment);
	bool is_open = fence_generation(fence) == q->coupon->generation &&
		       str_eq(fence_incarnation(fence), str_of(redis_incarnation(q->service->redis, slot)));
	return is_open ? STATUS_OK : refuse_fence(q, fence);
}

static enum status unreadable(const char *script)
{
	log_error_limited("script_reply_unreadable", LOG_TEXT("script", script));
	return STATUS_INTERNAL;
}

/* The hub or a segment has lost writes, and the list is not whole yet: drainers complete it (relist.h). */
static enum status refuse_unlisted(struct queue_call *q)
{
	worklist_wait(q->service->redis, q->coupon->id, q->coupon->segments);
	return STATUS_BUSY;
}

/* The owner's order */

static void on_owner(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct queue_call *q = context;
	int64_t number;
	if (end != REDIS_ANSWER)
		end_call(q, q->trouble == STATUS_OK ? unanswered[end] : q->trouble);
	else if (q->trouble != STATUS_OK)
		end_call(q, q->trouble);
	else if (redis_type(reply) == REDIS_NIL)
		q->without_order(q);
	else if (!redis_number_in(reply, -NUMBER_MAX, NUMBER_MAX, &number))
		end_call(q, unreadable("owner"));
	else {
		q->sequence = number < 0 ? -number : number;
		end_call(q, number < 0 ? STATUS_LIMIT_REACHED : STATUS_ALREADY_CLAIMED);
	}
}

static void on_home_fence(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct queue_call *q = context;
	q->trouble = end == REDIS_ANSWER ? check_fence(q, KEY_SEGMENT, q->segment, redis_text(reply)) : unanswered[end];
}

/* Ends the call if the owner has an order; otherwise calls without_order. Both commands are for the same server. */
static void look_for_order(struct queue_call *q, void (*without_order)(struct queue_call *q))
{
	struct redis_command c;
	q->without_order = without_order;
	redis_command(&c, "HGET");
	key_put(&c, KEY_SEGMENT, q->coupon->id, q->segment);
	redis_put_text(&c, "fence");
	redis_send(q->service->redis, &c, on_home_fence, q);
	redis_command(&c, "HGET");
	key_put(&c, KEY_OWNERS, q->coupon->id, q->segment);
	owner_put(&c, q->owner);
	redis_send(q->service->redis, &c, on_owner, q);
}

/* The answer to an owner without an order who is not on the list, or whose customer has reached the limit. */
static void end_not_waiting(struct queue_call *q)
{
	end_call(q, q->is_ended ? STATUS_ENDED : STATUS_NOT_WAITING);
}

/* What join.lua and leave.lua answer */

static void on_replicated(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct queue_call *q = context;
	(void)reply;
	FAULT(waiting_replicated);
	end_call(q, end == REDIS_ANSWER ? q->joined : STATUS_NOT_REPLICATED);
}

/* The script has written, so that WAIT covers its entry. */
static void end_written(struct queue_call *q, enum status s)
{
	q->joined = s;
	if (redis_may_wait(q->service->redis))
		redis_replicate(q->service->redis, on_replicated, q);
	else
		end_call(q, s);
}

static void on_joined(struct queue_call *q)
{
	if (q->position == 1) /* drainers look for sales with people in this set */
		worklist_wait(q->service->redis, q->coupon->id, q->coupon->segments);
	stats_add(q->service->stats, COUNT_waiting_total__joined, 1);
	end_written(q, STATUS_CREATED);
}

static void on_waits(struct queue_call *q)
{
	end_written(q, STATUS_OK);
}

static void on_left(struct queue_call *q)
{
	stats_add(q->service->stats, COUNT_waiting_total__left, 1);
	end_written(q, STATUS_NO_CONTENT);
}

static void on_promoted(struct queue_call *q)
{
	end_call(q, STATUS_PROMOTED);
}

static void on_units(struct queue_call *q)
{
	end_call(q, STATUS_UNITS_LEFT);
}

static void on_full(struct queue_call *q)
{
	end_call(q, STATUS_LIST_FULL);
}

static void on_unlisted(struct queue_call *q)
{
	end_call(q, refuse_unlisted(q));
}

static void on_no_list(struct queue_call *q)
{
	end_call(q, STATUS_NO_WAITING_LIST);
}

static void on_none(struct queue_call *q)
{
	look_for_order(q, end_not_waiting);
}

/* The first words of join.lua and leave.lua, but FENCED; position: the word is followed by the ticket and the position.
 */
static const struct {
	const char *word;
	bool has_position;
	void (*fn)(struct queue_call *q);
} answers[] = {
	{ "JOINED", true, on_joined },      { "WAITS", true, on_waits },     { "LEFT", false, on_left },
	{ "NONE", false, on_none },         { "UNITS", false, on_units },    { "FULL", false, on_full },
	{ "UNLISTED", false, on_unlisted }, { "NOLIST", false, on_no_list }, { "PROMOTED", false, on_promoted }
};

static void on_answer(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct queue_call *q = context;
	struct str word = redis_text_at(reply, 0);
	FAULT(waiting_answered);
	if (end != REDIS_ANSWER) {
		end_call(q, unanswered[end]);
		return;
	}
	if (str_eq(word, STR("FENCED"))) {
		end_call(q, refuse_fence(q, redis_text_at(reply, 1)));
		return;
	}
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		if (str_eq(word, str_of(answers[i].word)) &&
		    (!answers[i].has_position || redis_number_in(redis_at(reply, 2), 1, NUMBER_MAX, &q->position))) {
			answers[i].fn(q);
			return;
		}
	end_call(q, unreadable("join or leave"));
}

static void begin_script(struct queue_call *q, struct redis_command *c, const struct redis_script *script)
{
	redis_script(c, script, 3);
	key_put(c, KEY_HUB, q->coupon->id, 0);
	key_put(c, KEY_WAITING, q->coupon->id, 0);
	key_put(c, KEY_JOURNAL, q->coupon->id, 0);
	fence_put(c, q->coupon->generation);
	owner_put(c, q->owner);
	redis_put_int(c, q->segment);
}

void queue_leave(struct queue_call *q, struct coupon *c)
{
	struct redis_command cmd;
	if (!begin_call(q, c))
		return;
	begin_script(q, &cmd, &script_leave);
	stats_add(q->service->stats, COUNT_scripts_total__leave, 1);
	redis_send(q->service->redis, &cmd, on_answer, q);
}

/* Reading the place, and joining */

static void join_hub(struct queue_call *q)
{
	struct redis_command c;
	if (q->is_ended) {
		end_call(q, STATUS_ENDED);
		return;
	}
	begin_script(q, &c, &script_join);
	redis_put_int(&c, q->service->conf->waiting_max);
	redis_put_int(&c, redis_may_wait(q->service->redis));
	stats_add(q->service->stats, COUNT_scripts_total__join, 1);
	redis_send(q->service->redis, &c, on_answer, q);
}

/* Who is on the list and joins again calls join.lua, too, so that replicas confirm the entry. */
static void decide(struct queue_call *q)
{
	if (q->position && q->is_joining)
		join_hub(q);
	else if (q->position && !q->is_ended)
		end_call(q, STATUS_OK);
	else if (q->is_promoted)
		end_call(q, STATUS_PROMOTED);
	else
		look_for_order(q, q->is_joining ? join_hub : end_not_waiting);
}

/* Without an answer the sale counts as running: the next question will tell. */
static void on_clock(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct queue_call *q = context;
	q->is_ended = end == REDIS_ANSWER && sale_clock_ms(reply) >= q->ends_ms;
	decide(q);
}

/* "ticket owner ticket owner ...": what is promoted to the owner's home, and has no order yet. */
static bool is_promoted(struct str promoted, struct str owner)
{
	struct str ticket, word;
	while (parse_split(&promoted, ' ', &ticket) && parse_split(&promoted, ' ', &word))
		if (str_eq(word, owner))
			return true;
	return false;
}

/* A hub that an earlier program made lacks the end of the sale. */
static void on_hub(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	enum { FENCE, QUEUE, STATE, ENDS, WHOLE, PROMOTED };
	struct queue_call *q = context;
	struct redis_command c;
	char text[OWNER_TEXT];
	enum status s = end == REDIS_ANSWER ? check_fence(q, KEY_HUB, 0, redis_text_at(reply, FENCE)) : unanswered[end];
	if (s == STATUS_OK && redis_type(redis_at(reply, WHOLE)) != REDIS_NIL && redis_number_at(reply, WHOLE) != 1)
		s = refuse_unlisted(q);
	s = q->trouble == STATUS_OK ? s : q->trouble;
	if (s != STATUS_OK) {
		end_call(q, s);
		return;
	}
	q->waiting = redis_number_at(reply, QUEUE);
	q->is_ended = str_eq(redis_text_at(reply, STATE), STR("ended"));
	q->is_promoted = is_promoted(redis_text_at(reply, PROMOTED), owner_text(text, q->owner));
	q->ends_ms = redis_type(redis_at(reply, ENDS)) == REDIS_NIL ? q->coupon->ends_ms : redis_number_at(reply, ENDS);
	if (!q->ends_ms || q->is_ended) {
		decide(q);
		return;
	}
	sale_clock_command(&c);
	redis_send(q->service->redis, &c, on_clock, q);
}

static void on_rank(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct queue_call *q = context;
	if (end != REDIS_ANSWER)
		q->trouble = unanswered[end];
	q->position = redis_type(reply) == REDIS_INT ? redis_number(reply) + 1 : 0;
}

/* Both commands are for the hub's server, which executes them in this order. */
static void read_place(struct queue_call *q)
{
	struct redis_command cmd;
	char field[16];
	redis_command(&cmd, "ZRANK");
	key_put(&cmd, KEY_WAITING, q->coupon->id, 0);
	owner_put(&cmd, q->owner);
	redis_send(q->service->redis, &cmd, on_rank, q);
	redis_command(&cmd, "HMGET");
	key_put(&cmd, KEY_HUB, q->coupon->id, 0);
	redis_put_text(&cmd, "fence");
	redis_put_text(&cmd, "queue");
	redis_put_text(&cmd, "state");
	redis_put_text(&cmd, "t1");
	redis_put_text(&cmd, "waits");
	snprintf(field, sizeof field, "P%d", q->segment);
	redis_put_text(&cmd, field);
	redis_send(q->service->redis, &cmd, on_hub, q);
}

void queue_position(struct queue_call *q, struct coupon *c)
{
	q->is_joining = false;
	if (begin_call(q, c))
		read_place(q);
}

void queue_join(struct queue_call *q, struct coupon *c)
{
	FAULT(waiting_asked);
	q->is_joining = true;
	if (begin_call(q, c))
		read_place(q);
}
