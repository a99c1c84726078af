/*
 * Replies of Redis, through hiredis, links, map and batches, with claims on top. The first byte chooses the setting (one
 * server or a cluster) and whether INFO and the map come from the input, too; the rest are replies, one for each
 * command in their order, with 0 bytes between. After the last one the server is sound again: then every call has ended,
 * and the next one is answered.
 */
#include "fuzz/fuzz.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/parse.h"
#include "page/availability.h"
#include "host/log.h"
#include "sale/key.h"
#include "stock/claim.h"
#include "unit/peer.h"

int64_t __wrap_clock_mono_ms(void);
static int64_t now_ms = 1000000;

int64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

/* The log would be the most of the work. */
void log_line(const char *level, const char *event, const struct log_pair *pairs)
{
	(void)level, (void)event, (void)pairs;
}

enum { CLUSTER = 1, ALL = 2, CLAIMS = 3, CALLS = CLAIMS + 2, TURNS = 6000 };

static struct str replies;
static int flags;

#define SOUND_MAP "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:7000\r\n"

static void answer_soundly(const char *address, struct str command, struct buf *out)
{
	if (str_starts(command, STR("INFO")))
		peer_answer_info(address, command, out);
	else if (str_starts(command, STR("CLUSTER")))
		buf_puts(out, SOUND_MAP);
	else
		buf_puts(out, "+OK\r\n");
}

static void server_answer(const char *address, struct str command, struct buf *out)
{
	struct str next;
	bool of_server = str_starts(command, STR("INFO")) || str_starts(command, STR("CLUSTER"));
	if ((of_server && !(flags & ALL)) || !parse_split(&replies, '\0', &next))
		answer_soundly(address, command, out);
	else
		buf_put(out, next);
}

/* The calls, and how many have ended */

static int ends;

static void on_reply(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	(void)context;
	for (size_t i = 0; end == REDIS_ANSWER && i < redis_count(reply); i++)
		assert(redis_number_at(reply, i) <= NUMBER_MAX && redis_number_at(reply, i) >= -NUMBER_MAX);
	ends++;
}

static void on_claimed(struct claim *c, enum status s)
{
	(void)c;
	assert(s != STATUS_PENDING);
	ends++;
}

static void on_stock(void *context, enum status s, const struct availability *st)
{
	(void)context;
	assert((s == STATUS_OK) == (st != NULL));
	ends++;
}

static struct coupon *coupon_new(void)
{
	struct coupon *c = calloc(1, sizeof *c);
	assert(c);
	*c = (struct coupon){ .id = 7,
			      .seller = 3,
			      .generation = 5,
			      .amount = 100,
			      .segments = 4,
			      .created_ms = 1,
			      .seller_name = STR("s"),
			      .name = STR("n"),
			      .description = STR("d"),
			      .holders = 1 };
	return c;
}

static bool turn_until(struct loop *loop, int wanted)
{
	for (int i = 0; i < TURNS && ends < wanted; i++, now_ms++)
		loop_turn(loop, 0);
	return ends == wanted;
}

static void ask_all(struct service *svc, struct coupon *c, struct claim *claims)
{
	struct redis_command cmd;
	for (int i = 0; i < CLAIMS; i++) {
		claims[i] = (struct claim){ .service = svc, .user = i + 1, .unit = 1 + i % 3, .done = on_claimed };
		claim_submit(&claims[i], c);
	}
	availability_read(svc, c, AVAILABILITY_LISTS, on_stock, NULL);
	redis_command(&cmd, "HGETALL");
	key_put(&cmd, KEY_DESCRIPTOR, 7, 0);
	redis_send(svc->redis, &cmd, on_reply, NULL);
}

static struct stats *one_board(void)
{
	static struct stats *stats;
	const char *problem;
	if (!stats)
		stats = stats_open("/nonexistent/board", &problem);
	return stats;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf conf;
	const char *problem;
	struct claim claims[CLAIMS];
	if (!size)
		return 0;
	if (!conf.redis) {
		conf_init(&conf);
		conf.redis_timeout_ms = 200;
		signal(SIGPIPE, SIG_IGN);
	}
	flags = data[0];
	replies = size > 1 ? (struct str){ (const char *)data + 1, size - 1 } : (struct str){ 0 };
	conf.redis = flags & CLUSTER ? "cluster:127.0.0.1:7000" : "tcp:127.0.0.1:7000";
	struct loop *loop = loop_new();
	peer_start(loop, server_answer);
	peer_lookup_address = "127.0.0.1";
	struct service svc = { .conf = &conf, .stats = one_board(), .loop = loop, .coupons = coupons_new() };
	svc.high_water = high_water_open("/nonexistent/marks", &problem);
	svc.redis = redis_new(loop, &conf, &problem);
	assert(svc.redis);
	struct coupon *c = coupon_new();
	for (int i = 0; i < 50 && !redis_is_up(svc.redis); i++, now_ms++)
		loop_turn(loop, 0);
	ends = 0;
	ask_all(&svc, c, claims);
	assert(turn_until(loop, CALLS));

	struct redis_command cmd;
	replies = (struct str){ 0 };
	for (int i = 0; i < TURNS && !redis_is_up(svc.redis); i++, now_ms++)
		loop_turn(loop, 0);
	assert(redis_is_up(svc.redis));
	redis_command(&cmd, "GET");
	redis_put_key(&cmd, STR("key"));
	redis_send(svc.redis, &cmd, on_reply, NULL);
	assert(turn_until(loop, CALLS + 1));

	redis_free(svc.redis);
	peer_stop();
	coupon_drop(c);
	availability_close(&svc);
	coupons_free(svc.coupons);
	high_water_close(svc.high_water);
	loop_free(loop);
	return 0;
}
