#include "it/rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "stock/claim.h"

enum { ATTEMPTS = 100 };

struct ask {
	struct claim claim;
	struct customer *customer;
	int64_t began_ms;
	int attempts;
};

static struct {
	const struct options *options;
	struct shared *shared;
	struct service service;
	struct coupon *coupon;
	struct customer **mine; /* of this wave */
	int64_t count, next, under_way;
} w;

static void keep_most(_Atomic int64_t *most, int64_t value)
{
	int64_t known = atomic_load(most);
	while (value > known && !atomic_compare_exchange_weak(most, &known, value))
		;
}

static void keep_least(_Atomic int64_t *least, int64_t value)
{
	int64_t known = atomic_load(least);
	while (value < known && !atomic_compare_exchange_weak(least, &known, value))
		;
}

/* Which answer a customer may get after which. */
static void tell(struct customer *customer, const struct claim *c, enum status told)
{
	bool has_order = customer->told == STATUS_CREATED;
	switch (told) {
	case STATUS_CREATED:
		w.shared->won++;
		w.shared->changed += has_order;
		customer->segment = c->segment;
		customer->sequence = c->sequence;
		break;
	case STATUS_ALREADY_CLAIMED:
		w.shared->repeated++;
		if (!has_order || c->segment != customer->segment || c->sequence != customer->sequence)
			w.shared->changed++;
		return;
	case STATUS_SOLD_OUT:
		w.shared->refused++;
		w.shared->changed += has_order;
		keep_least(&w.shared->first_refusal_ms, clock_ms());
		break;
	default:
		if (w.shared->failed++ < 3)
			fprintf(stderr, "rig: a claim ended as %s\n", status_text(told));
	}
	customer->told = told;
}

static void on_done(struct claim *c, enum status told)
{
	struct ask *ask = c->context;
	keep_most(&w.shared->slowest_ms, clock_mono_ms() - ask->began_ms);
	if (told == STATUS_BUSY && ask->attempts++ < ATTEMPTS) {
		w.shared->busy++;
		ask->began_ms = clock_mono_ms();
		claim_submit(c, w.coupon);
		return;
	}
	tell(ask->customer, c, told);
	free(ask);
	w.under_way--;
}

/* Claims until enough are under way, in a turn of their own, as customers come from a network. */
static void fill(void)
{
	int64_t most = w.options->concurrency ? w.options->concurrency : w.count;
	while (w.under_way < most && w.next < w.count) {
		struct ask *ask = calloc(1, sizeof *ask);
		if (!ask)
			abort();
		ask->customer = w.mine[w.next++];
		ask->began_ms = clock_mono_ms();
		ask->claim = (struct claim){
			.service = &w.service, .user = ask->customer->user, .unit = 1, .done = on_done, .context = ask
		};
		w.under_way++;
		claim_submit(&ask->claim, w.coupon);
	}
	redis_push(w.service.redis);
}

static bool comes(const struct customer *customer, enum wave wave, int64_t rank)
{
	if (wave == ONCE_MORE)
		return customer->told == STATUS_SOLD_OUT || rank < 2;
	return customer->late == (wave == LATECOMERS);
}

static void take_wave(int number)
{
	const struct options *o = w.options;
	w.count = w.next = 0;
	for (int64_t i = number, rank = 0; i < o->customers + o->late; i += o->processes, rank++)
		if (comes(&w.shared->customers[i], w.shared->wave, rank))
			w.mine[w.count++] = &w.shared->customers[i];
}

static void on_coupon(void *context, enum status s, struct coupon *coupon)
{
	(void)context;
	if (s != STATUS_OK) {
		fprintf(stderr, "rig: the coupon: %s\n", status_text(s));
		exit(1);
	}
	w.coupon = coupon_hold(coupon);
}

static void find_coupon(void)
{
	if (w.coupon)
		coupon_drop(w.coupon);
	w.coupon = NULL;
	coupon_find_id(&w.service, w.shared->coupon, on_coupon, NULL);
	loop_turn(w.service.loop, 0); /* a turn waits first and writes last */
	while (!w.coupon)
		loop_turn(w.service.loop, 100);
}

_Noreturn void worker_run(const struct conf *conf, const struct options *o, struct shared *s, int number)
{
	const char *problem;
	w.options = o;
	w.shared = s;
	w.mine = calloc((size_t)(o->customers + o->late), sizeof *w.mine);
	w.service = (struct service){ .conf = conf, .loop = loop_new(), .coupons = coupons_new() };
	w.service.stats = stats_open(conf->board, &problem);
	w.service.redis = redis_new(w.service.loop, conf, &problem);
	while (!redis_is_up(w.service.redis))
		loop_turn(w.service.loop, 100);
	for (;;) {
		pthread_barrier_wait(&s->barrier);
		if (s->over)
			break;
		if (s->wave == ALL_AT_ONCE)
			find_coupon();
		take_wave(number);
		pthread_barrier_wait(&s->barrier);
		for (fill(); w.under_way; fill())
			loop_turn(w.service.loop, 100);
		pthread_barrier_wait(&s->barrier);
	}
	coupon_drop(w.coupon);
	redis_free(w.service.redis);
	coupons_free(w.service.coupons);
	stats_close(w.service.stats);
	loop_free(w.service.loop);
	free(w.mine);
	exit(0);
}
