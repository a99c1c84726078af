#include "stock/sold_out.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sale/fence.h"
#include "stock/nginx_marker.h"
#include "stock/winners.h"

enum {
	RENEW_MS = 150,
	CROWD = 16,      /* refusals by segments before the first notice is worth its calls to Redis */
	UNUSED_MS = 2000 /* a notice is not renewed when no claim was refused for this long */
};

/* The state that this file keeps with a coupon. */
struct notice {
	struct coupon_state state;
	struct service *svc;
	struct coupon *coupon;
	struct loop_timer renew;
	bool is_asking;
	int refusals;     /* by segments, since the notice was created */
	int64_t epoch;    /* of the hub, in which the coupon is sold out */
	int64_t until_ms; /* end of the notice; this and the next two by clock_mono_ms */
	int64_t sent_ms;  /* when the hub was asked */
	int64_t used_ms;  /* when a claim was last refused, by the notice or a segment */
	struct winners *winners;
	struct nginx_marker marker;
};

static void query_hub(struct notice *n);

static struct notice *notice_of(const struct coupon *c)
{
	return c->states[COUPON_SOLD_OUT] ? container_of(c->states[COUPON_SOLD_OUT], struct notice, state) : NULL;
}

/* Renews the notice while claims need it. A notice that has ended, because the hub did not answer, ends the marker. */
static void on_renew(struct loop_timer *t)
{
	struct notice *n = container_of(t, struct notice, renew);
	int64_t now = clock_mono_ms();
	if (now >= n->until_ms) {
		nginx_marker_clear(&n->marker);
		return;
	}
	loop_timer_set(n->svc->loop, &n->renew, n->until_ms - now);
	bool needed = now - n->used_ms < UNUSED_MS && n->coupon->cached;
	if (needed && !n->is_asking)
		query_hub(n);
}

/* The fence has this generation and names the hub's present incarnation. Otherwise the hub is suspect. */
static bool hub_is_open(const struct notice *n, struct str fence)
{
	char text[KEY_TEXT];
	struct str hub = key_text(text, KEY_HUB, n->coupon->id, 0);
	return fence_generation(fence) == n->coupon->generation &&
	       str_eq(fence_incarnation(fence), str_of(redis_incarnation(n->svc->redis, hub)));
}

static void extend_notice(struct notice *n, int64_t epoch)
{
	n->epoch = epoch;
	n->until_ms = n->sent_ms + SOLD_OUT_NOTICE_MS;
	nginx_marker_put(&n->marker, n->until_ms - clock_mono_ms());
	winners_read(n->winners, epoch);
	loop_timer_set(n->svc->loop, &n->renew, RENEW_MS);
}

static void end_notice(struct notice *n)
{
	n->until_ms = 0;
	nginx_marker_clear(&n->marker);
}

/* A paused or ended sale is not "sold out". Whether the end is past is said by this host's clock: a notice is short. */
static bool sale_is_open(const struct redis_reply *hub)
{
	struct str state = redis_text_at(hub, 3);
	int64_t ends_ms = redis_number_at(hub, 4);
	return (!state.n || str_eq(state, STR("open"))) && (!ends_ms || clock_ms() < ends_ms);
}

/* Without an answer nothing changes: the notice ends at until_ms. */
static void on_queried(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct notice *n = context;
	int64_t epoch = 0;
	n->is_asking = false;
	bool is_sold_out = end == REDIS_ANSWER && hub_is_open(n, redis_text_at(reply, 0)) && sale_is_open(reply) &&
			   redis_number_at(reply, 1) == 1 && redis_number_in(redis_at(reply, 2), 0, NUMBER_MAX, &epoch);
	if (is_sold_out)
		extend_notice(n, epoch);
	else if (end == REDIS_ANSWER)
		end_notice(n);
	coupon_drop(n->coupon);
}

static void query_hub(struct notice *n)
{
	struct redis_command c;
	n->is_asking = true;
	n->sent_ms = clock_mono_ms();
	redis_command(&c, "HMGET");
	key_put(&c, KEY_HUB, n->coupon->id, 0);
	redis_put_text(&c, "fence");
	redis_put_text(&c, "sold_out");
	redis_put_text(&c, "epoch");
	redis_put_text(&c, "state");
	redis_put_text(&c, "t1");
	coupon_hold(n->coupon);
	redis_send(n->svc->redis, &c, on_queried, n);
}

static void release_notice(struct coupon_state *state)
{
	struct notice *n = container_of(state, struct notice, state);
	loop_timer_cancel(n->svc->loop, &n->renew);
	nginx_marker_clear(&n->marker);
	winners_free(n->winners);
	free(n);
}

static struct notice *notice_new(struct service *svc, struct coupon *c)
{
	struct notice *n = alloc_zeroed(1, sizeof *n);
	*n = (struct notice){
		.state.release = release_notice,
		.svc = svc,
		.coupon = c,
		.renew.fn = on_renew,
		.winners = winners_new(svc, c),
		.marker = { .conf = svc->conf, .stats = svc->stats, .seller = c->seller_name, .name = c->name }
	};
	c->states[COUPON_SOLD_OUT] = &n->state;
	return n;
}

void sold_out_note_refusal(struct service *svc, struct coupon *c)
{
	struct notice *n = c->states[COUPON_SOLD_OUT] ? notice_of(c) : notice_new(svc, c);
	int64_t now = clock_mono_ms();
	n->used_ms = now;
	if (++n->refusals >= CROWD && !n->is_asking && now >= n->until_ms && c->cached)
		query_hub(n);
}

bool sold_out_refuses(const struct coupon *c, struct owner owner)
{
	struct notice *n = notice_of(c);
	int64_t now = n ? clock_mono_ms() : 0;
	if (!n || now >= n->until_ms || !winners_exclude(n->winners, n->epoch, owner))
		return false;
	n->used_ms = now;
	return true;
}

void sold_out_outlast(int64_t since_ms)
{
	while (clock_mono_ms() - since_ms <= SOLD_OUT_NOTICE_MS)
		usleep(10000);
}
