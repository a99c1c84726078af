/*
 * Links to Redis and the map of a cluster, against servers that send what a test sets: maps without hosts, nodes that
 * leave, names that cannot be resolved, and replies that no sound server sends. A bad reply is an error of the call that
 * it belongs to, and of nothing else.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "host/log.h"
#include "redis/redis.h"
#include "unit/peer.h"

int64_t __wrap_clock_mono_ms(void);
static int64_t now_ms;

int64_t __wrap_clock_mono_ms(void)
{
	return now_ms;
}

static int lines;

void log_line(const char *level, const char *event, const struct log_pair *pairs)
{
	(void)level, (void)event, (void)pairs;
	lines++;
}

/* The servers */

static const char *map, *first_reply, *reply; /* to CLUSTER SLOTS; to the first other command; to all others */
static char received[1024];                   /* the last other command */
static int received_count;

static void server_answer(const char *address, struct str command, struct buf *out)
{
	static char asking[64];
	peer_answer_info(address, command, out);
	if (str_starts(command, STR("INFO")))
		return;
	if (str_starts(command, STR("CLUSTER SLOTS"))) {
		buf_puts(out, map);
	} else if (str_starts(command, STR("WHERE"))) {
		snprintf(asking, sizeof asking, "+%s\r\n", address);
		buf_puts(out, asking);
	} else {
		snprintf(received, sizeof received, "%.*s", (int)command.n, command.p);
		received_count++;
		buf_puts(out, first_reply ? first_reply : reply);
		first_reply = NULL;
	}
}

#define ALL_AT(host, port) "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n" host "\r\n:" port "\r\n$1\r\nx\r\n"
#define LOOPBACK           "$9\r\n127.0.0.1"

static struct loop *loop;
static struct conf conf;
static struct redis *redis;

static void pass(int64_t ms)
{
	for (int64_t end = now_ms + ms; now_ms < end; now_ms++)
		loop_turn(loop, 0);
}

/* Turns the loop without time passing, so that everything on its way arrives. */
static void turn(void)
{
	for (int i = 0; i < 50; i++)
		loop_turn(loop, 0);
}

static void open_at(const char *setting)
{
	const char *problem = NULL;
	conf.redis = setting;
	redis = redis_new(loop, &conf, &problem);
	assert_null(problem);
	turn();
}

static int start(void **state)
{
	(void)state;
	now_ms = 1000000;
	lines = 0;
	conf_init(&conf);
	loop = loop_new();
	map = ALL_AT(LOOPBACK, "7000");
	first_reply = NULL;
	reply = "+OK\r\n";
	received_count = 0;
	peer_start(loop, server_answer);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	redis_free(redis);
	redis = NULL;
	peer_stop();
	loop_free(loop);
	conf_release(&conf);
	return 0;
}

/* Calls */

struct said {
	int ends;
	enum redis_outcome end;
	char text[256];
};

static void on_said(void *context, enum redis_outcome end, const struct redis_reply *r)
{
	struct said *s = context;
	struct str text = redis_text(r);
	s->ends++;
	s->end = end;
	snprintf(s->text, sizeof s->text, "%.*s", (int)text.n, text.p);
}

/* One call with a key, to its end. */
static struct said ask(const char *name)
{
	struct said s = { 0 };
	struct redis_command c;
	redis_command(&c, name);
	redis_put_key(&c, STR("key"));
	redis_send(redis, &c, on_said, &s);
	for (int64_t end = now_ms + 2 * conf.redis_timeout_ms; !s.ends && now_ms < end; now_ms++)
		loop_turn(loop, 0);
	assert_int_equal(s.ends, 1);
	return s;
}

static void a_node_without_a_host_is_the_one_that_was_asked(void **state)
{
	(void)state;
	static const char *const hosts[] = { ALL_AT("$0\r\n", "7000"), ALL_AT("$-1", "7000") };
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		map = hosts[i];
		open_at("cluster:127.0.0.1:7000");
		struct said s = ask("WHERE");
		expect(s.end == REDIS_ANSWER && strcmp(s.text, "127.0.0.1:7000") == 0, "%zu: %d, %s", i, (int)s.end,
		       s.text);
		redis_free(redis);
	}
	map = ALL_AT("$-1", "7001"); /* another port of that host */
	open_at("cluster:127.0.0.1:7000");
	assert_string_equal(ask("WHERE").text, "127.0.0.1:7001");
}

static void a_map_that_cannot_be_read_names_nobody(void **state)
{
	(void)state;
	static const char *const maps[] = {
		"*0\r\n",
		"*1\r\n:1\r\n",
		"*1\r\n*0\r\n",
		"*1\r\n*3\r\n:0\r\n:16383\r\n:7\r\n",
		"*1\r\n*3\r\n:0\r\n:16383\r\n*0\r\n",
		"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n:1\r\n:7000\r\n",
		"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" LOOPBACK "\r\n$4\r\n7000\r\n",
		"*1\r\n*3\r\n$1\r\n0\r\n:16383\r\n*2\r\n" LOOPBACK "\r\n:7000\r\n",
		ALL_AT(LOOPBACK, "0"),
		ALL_AT(LOOPBACK, "65536"),
		ALL_AT("$1\r\n?", "7000"),
		ALL_AT("$3\r\na b", "7000"),
		"*1\r\n*3\r\n:-1\r\n:16383\r\n*2\r\n" LOOPBACK "\r\n:7000\r\n",
		"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n" LOOPBACK "\r\n:7000\r\n",
	};
	for (size_t i = 0; i < COUNT_OF(maps); i++) {
		map = maps[i];
		open_at("cluster:127.0.0.1:7000");
		struct said s = ask("WHERE");
		expect(s.end == REDIS_REFUSED, "map %zu: %d", i, (int)s.end);
		map = ALL_AT(LOOPBACK, "7000");
		s = ask("WHERE");
		expect(s.end == REDIS_ANSWER, "after map %zu: %d", i, (int)s.end);
		redis_free(redis);
	}
	redis = NULL;
	assert_int_equal(peer_dials(NULL), peer_dials("127.0.0.1:7000"));
}

/* A range for every eight hash slots, the first one with another server. */
static void a_map_is_read_to_its_last_slot(void **state)
{
	(void)state;
	enum { RANGES = 2048, EACH = 8, ALL = 9 };
	static char text[RANGES * 64];
	static const char *const keys[ALL] = { "key", "a", "b", "c", "d", "e", "f", "h", "39296" /* slot 16383 */ };
	char *to = text + sprintf(text, "*%d\r\n", RANGES);
	for (int i = 0; i < RANGES; i++)
		to += sprintf(to, "*3\r\n:%d\r\n:%d\r\n*2\r\n" LOOPBACK "\r\n:700%d\r\n", EACH * i, EACH * i + EACH - 1,
			      i ? 1 : 0);
	map = text;
	open_at("cluster:127.0.0.1:7000");
	pass(100);
	for (int i = 0; i < ALL; i++) {
		struct said s = { 0 };
		struct redis_command c;
		redis_command(&c, "WHERE");
		redis_put_key(&c, str_of(keys[i]));
		redis_send(redis, &c, on_said, &s);
		turn();
		expect(s.end == REDIS_ANSWER && strcmp(s.text, "127.0.0.1:7001") == 0, "%s: %s", keys[i], s.text);
	}
}

static void a_redirection_that_leads_nowhere_is_an_error_of_its_call(void **state)
{
	(void)state;
	static const char *const errors[] = {
		"-MOVED 1 nocolon\r\n",
		"-MOVED 1 \r\n",
		"-MOVED 1\r\n",
		"-MOVED\r\n",
		"-MOVED 1 :\r\n",
		"-MOVED 1 127.0.0.1:\r\n",
		"-MOVED 1 127.0.0.1:port\r\n",
		"-MOVED 1 127.0.0.1:65536\r\n",
		"-MOVED 1 127.0.0.1:-1\r\n",
		"-MOVED 1 a b:7001\r\n",
		"-ASK 1 nocolon\r\n",
		"-ASK\r\n",
	};
	open_at("cluster:127.0.0.1:7000");
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		first_reply = errors[i];
		struct said s = ask("GET");
		expect(s.end == REDIS_REFUSED, "%s: %d", errors[i], (int)s.end);
		s = ask("GET");
		expect(s.end == REDIS_ANSWER, "after %s: %d", errors[i], (int)s.end);
	}
	first_reply = "-MOVED 1 :7001\r\n";
	assert_string_equal(ask("GET").text, "OK");
	assert_int_equal(peer_dials("127.0.0.1:7001"), 1);
}

/* A call for each of them would never end: an address for every redirection is a link for every redirection. */
static void a_cluster_names_so_many_nodes_and_no_more(void **state)
{
	(void)state;
	enum { MANY = 400, LIMIT = 256 };
	char text[64];
	open_at("cluster:127.0.0.1:7000");
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof text, "-ASK 1 127.0.0.1:%d\r\n", 8000 + i);
		first_reply = text;
		ask("GET");
	}
	assert_int_equal(peer_dials(NULL), LIMIT);
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
}

static void a_reply_that_nobody_asked_for_ends_the_connection(void **state)
{
	(void)state;
	static const struct str unasked[] = {
		BYTES("+OK\r\n"),
		BYTES(":1\r\n"),
		BYTES("$-1\r\n"),
		BYTES("*1\r\n:1\r\n"),
		BYTES("$2\r\nab\r\n"),
		BYTES("*-1\r\n"),
		BYTES("-ERR away with you\r\n"),
		BYTES("nonsense\r\n"),
	};
	open_at("tcp:127.0.0.1:7000");
	for (size_t i = 0; i < COUNT_OF(unasked); i++) {
		turn();
		int before = peer_dials(NULL);
		peer_send("127.0.0.1:7000", unasked[i]);
		turn();
		pass(300);
		expect(peer_dials(NULL) == before + 1, "%s: %d dials", unasked[i].p, peer_dials(NULL) - before);
		struct said s = ask("GET");
		expect(s.end == REDIS_ANSWER, "after %s: %d", unasked[i].p, (int)s.end);
	}
}

static void two_replies_to_one_command_end_the_connection(void **state)
{
	(void)state;
	open_at("tcp:127.0.0.1:7000");
	first_reply = "+OK\r\n+OK\r\n";
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
	pass(300);
	assert_int_equal(peer_dials(NULL), 2);
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
}

static void an_array_that_is_announced_too_large_ends_the_connection(void **state)
{
	(void)state;
	open_at("tcp:127.0.0.1:7000");
	int64_t began_ms = now_ms;
	first_reply = "*1000000000\r\n:1\r\n";
	assert_int_equal(ask("GET").end, REDIS_UNKNOWN);
	assert_true(now_ms - began_ms < 100); /* at once: the call does not wait for a thousand million elements */
	pass(300);
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
}

/* Half a reply, and no call: INFO, which the link sends itself, finds it; else the map would never be read. */
static void a_reply_that_does_not_end_ends_the_connection(void **state)
{
	(void)state;
	map = "*1\r\n*3\r\n";
	open_at("cluster:127.0.0.1:7000");
	pass(100);
	assert_false(redis_is_up(redis));
	map = ALL_AT(LOOPBACK, "7000");
	pass(3 * conf.redis_timeout_ms);
	assert_true(redis_is_up(redis));
	assert_int_equal(peer_dials(NULL), 2);
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
}

/* A name server that does not answer delays the calls to that node only. */
static void a_name_is_looked_up_beside_the_loop(void **state)
{
	(void)state;
	open_at("cluster:127.0.0.1:7000");
	map = ALL_AT("$9\r\nslow.test", "7000");
	first_reply = "-MOVED 1 slow.test:7000\r\n";
	assert_int_equal(ask("GET").end, REDIS_REFUSED);
	pass(1000);
	assert_int_equal(peer_lookups("slow.test"), 1); /* one at a time */
	assert_int_equal(peer_dials("slow.test:7000"), 0);
}

static void a_name_is_dialled_at_its_address(void **state)
{
	(void)state;
	peer_lookup_address = "192.0.2.7";
	map = ALL_AT("$6\r\ndb.tld", "7000");
	open_at("cluster:db.tld:7000");
	assert_string_equal(ask("WHERE").text, "192.0.2.7:7000");
	assert_int_equal(peer_lookups("db.tld"), 1);
}

static void a_node_that_no_slot_names_is_forgotten(void **state)
{
	(void)state;
	open_at("cluster:127.0.0.1:7000");
	first_reply = "-MOVED 1 127.0.0.1:7001\r\n";
	map = ALL_AT(LOOPBACK, "7001");
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
	pass(1000);
	assert_int_equal(peer_connections(), 2);
	map = ALL_AT(LOOPBACK, "7000"); /* 7001 leaves */
	peer_absent("127.0.0.1:7001");
	peer_send("127.0.0.1:7001", STR("nonsense\r\n"));
	pass(20000);
	int dials = peer_dials("127.0.0.1:7001"), said = lines;
	assert_true(dials < 30); /* it was tried again for a while, less and less often */
	pass(60000);
	assert_int_equal(peer_dials("127.0.0.1:7001"), dials);
	assert_int_equal(peer_connections(), 1);
	assert_true(lines <= said);
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
}

static void a_node_of_the_settings_that_left_is_tried_now_and_then(void **state)
{
	(void)state;
	map = ALL_AT(LOOPBACK, "7001");
	open_at("cluster:127.0.0.1:7000,127.0.0.1:7001");
	pass(1000);
	peer_absent("127.0.0.1:7000");
	peer_send("127.0.0.1:7000", STR("nonsense\r\n"));
	pass(30000);
	int dials = peer_dials("127.0.0.1:7000");
	pass(60000);
	expect(peer_dials("127.0.0.1:7000") - dials <= 7, "%d in a minute", peer_dials("127.0.0.1:7000") - dials);
	map = ALL_AT(LOOPBACK, "7000"); /* it is back, and has all hash slots: it is connected at once */
	peer_absent(NULL);
	first_reply = "-MOVED 1 127.0.0.1:7000\r\n";
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
}

#define NODE(port)     "*3\r\n" LOOPBACK "\r\n:" port "\r\n$1\r\nx\r\n"
#define WITH_A_REPLICA "*1\r\n*4\r\n:0\r\n:16383\r\n" NODE("7000") NODE("7001")

/* A replica is connected as long as the map names it, however rarely the map is read: the next map may promote it. */
static void a_replica_stays_while_the_map_names_it(void **state)
{
	(void)state;
	map = WITH_A_REPLICA;
	open_at("cluster:127.0.0.1:7000");
	pass(1000);
	assert_int_equal(peer_dials("127.0.0.1:7001"), 0);
	redis_survey(redis);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(redis_servers(redis), 1);
		assert_int_equal(redis_replicas(redis), 1);
		assert_int_equal(redis_replicas_of(redis, 0), 1);
		assert_string_equal(redis_server_name(redis, 1), "127.0.0.1:7001");
		pass(30000);
	}
	assert_int_equal(peer_dials("127.0.0.1:7001"), 1);
	assert_int_equal(peer_connections(), 2);
	peer_absent("127.0.0.1:7001");
	peer_send("127.0.0.1:7001", STR("nonsense\r\n"));
	pass(10000);
	assert_true(peer_dials("127.0.0.1:7001") > 35); /* it is dialled again as often as a master */
	peer_absent(NULL);
	pass(1000);
	map = ALL_AT(LOOPBACK, "7000"); /* it leaves */
	pass(30000);
	assert_int_equal(redis_replicas(redis), 0);
	assert_int_equal(peer_connections(), 1);
}

/* Replicas that cannot be read are left out; the master keeps its hash slots. */
static void a_replica_that_cannot_be_read_is_left_out(void **state)
{
	(void)state;
	static const char *const maps[] = {
		"*1\r\n*4\r\n:0\r\n:16383\r\n" NODE("7000") "*0\r\n",
		"*1\r\n*4\r\n:0\r\n:16383\r\n" NODE("7000") ":7001\r\n",
		"*1\r\n*4\r\n:0\r\n:16383\r\n" NODE("7000") NODE("65536"),
		"*1\r\n*4\r\n:0\r\n:16383\r\n" NODE("7000") "*2\r\n$3\r\na b\r\n:7001\r\n",
	};
	for (size_t i = 0; i < COUNT_OF(maps); i++) {
		map = maps[i];
		open_at("cluster:127.0.0.1:7000");
		redis_survey(redis);
		expect(redis_replicas(redis) == 0, "map %zu: %d", i, redis_replicas(redis));
		assert_string_equal(ask("WHERE").text, "127.0.0.1:7000");
		redis_free(redis);
	}
	redis = NULL;
}

/* A call waits for a connection that was just lost; later calls do not wait again. */
static void a_server_that_stays_away_is_refused_at_once(void **state)
{
	(void)state;
	map = "*2\r\n*3\r\n:0\r\n:8191\r\n" NODE("7000") "*3\r\n:8192\r\n:16383\r\n" NODE("7001");
	open_at("cluster:127.0.0.1:7000,127.0.0.1:7001");
	assert_string_equal(ask("WHERE").text, "127.0.0.1:7001");
	peer_absent("127.0.0.1:7001");
	peer_send("127.0.0.1:7001", STR("nonsense\r\n"));
	turn();
	int64_t began = now_ms;
	assert_int_equal(ask("GET").end, REDIS_REFUSED);
	expect(now_ms - began > 200 && now_ms - began < 400, "the first waits %lld ms", (long long)(now_ms - began));
	for (int i = 0; i < 20; i++, pass(100)) {
		began = now_ms;
		assert_int_equal(ask("GET").end, REDIS_REFUSED);
		expect(now_ms - began < 20, "call %d waits %lld ms", i, (long long)(now_ms - began));
	}
	peer_absent(NULL);
	pass(300);
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
}

/* Nothing has failed as long as its first lookup goes on. */
static void a_server_whose_name_is_looked_up_is_not_away(void **state)
{
	(void)state;
	map = ALL_AT("$9\r\nslow.test", "7000");
	open_at("cluster:127.0.0.1:7000");
	pass(500);
	int64_t began = now_ms;
	assert_int_equal(ask("GET").end, REDIS_REFUSED);
	assert_true(now_ms - began >= conf.redis_timeout_ms);
}

/* Scripts calculate in doubles: whole numbers are exact up to 2^53, and their sums and milliseconds fit in 64 bits. */
static void numbers_are_bounded(void **state)
{
	(void)state;
	static const struct {
		const char *reply;
		int64_t number;
	} rows[] = {
		{ ":9007199254740992\r\n", 9007199254740992 },
		{ ":9007199254740993\r\n", 0 },
		{ ":9223372036854775807\r\n", 0 },
		{ ":-9223372036854775808\r\n", 0 },
		{ "$16\r\n9007199254740992\r\n", 9007199254740992 },
		{ "$16\r\n9007199254740993\r\n", 0 },
		{ "+-7\r\n", -7 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct arena a = { 0 };
		struct redis_command c;
		const struct redis_reply *r = NULL;
		reply = rows[i].reply;
		if (!redis)
			open_at("tcp:127.0.0.1:7000");
		redis_command(&c, "GET");
		assert_int_equal(redis_call(redis, &a, &c, &r), REDIS_ANSWER);
		expect(redis_number(r) == rows[i].number, "%s: %lld", rows[i].reply, (long long)redis_number(r));
		arena_release(&a);
	}
}

/* A value in Redis may have any length, and some are sent back: a call with an overlong word ends, not the process. */
static void a_word_that_is_too_long_is_an_error_of_its_call(void **state)
{
	(void)state;
	static char large[REDIS_TEXT_MAX + 1];
	struct arena a = { 0 };
	struct redis_command c;
	open_at("tcp:127.0.0.1:7000");
	memset(large, 'x', sizeof large);
	redis_command(&c, "SREM");
	redis_put(&c, (struct str){ large, sizeof large });
	redis_put_text(&c, "more");
	assert_int_equal(redis_call(redis, &a, &c, NULL), REDIS_BROKEN);
	assert_int_equal(ask("GET").end, REDIS_ANSWER);
	arena_release(&a);
}

/* Batches */

#define SHA1 "0123456789012345678901234567890123456789"
static const struct redis_script script = { "sell", "return 1", SHA1 };

static void send_batched(struct said *s, const char *key, const char *common, const char *own)
{
	struct redis_command c;
	redis_batch(&c, &script);
	redis_put_key(&c, str_of(key));
	redis_put_text(&c, common);
	struct redis_common *m = redis_common_new(&c);
	redis_batch_call(&c, m);
	redis_put_text(&c, own);
	redis_send(redis, &c, on_said, s);
	redis_common_drop(m);
}

static void calls_with_equal_words_are_a_group(void **state)
{
	(void)state;
	struct said s[4] = { 0 };
	open_at("tcp:127.0.0.1:7000");
	first_reply = "*4\r\n+first\r\n+second\r\n+third\r\n+fourth\r\n";
	send_batched(&s[0], "{a}", "x", "1");
	send_batched(&s[2], "{a}", "y", "2");
	send_batched(&s[1], "{a}", "x", "3");
	send_batched(&s[3], "{b}", "x", "4");
	turn();
	assert_string_equal(received, "EVALSHA " SHA1 " 3 {a} {a} {b} 3 2 x 1 3 1 y 2 1 x 4");
	static const char *const answers[] = { "first", "second", "third", "fourth" };
	for (int i = 0; i < 4; i++)
		expect(s[i].ends == 1 && strcmp(s[i].text, answers[i]) == 0, "%d: %s", i, s[i].text);
}

static void a_batch_waits_for_the_one_before_it(void **state)
{
	(void)state;
	struct said s[3] = { 0 };
	open_at("tcp:127.0.0.1:7000");
	reply = "";
	send_batched(&s[0], "{a}", "x", "1");
	turn();
	send_batched(&s[1], "{a}", "x", "2");
	turn();
	send_batched(&s[2], "{a}", "x", "3");
	turn();
	assert_int_equal(received_count, 1);
	reply = "*2\r\n+two\r\n+three\r\n";
	peer_send("127.0.0.1:7000", STR("*1\r\n+one\r\n"));
	turn();
	assert_string_equal(received, "EVALSHA " SHA1 " 1 {a} 1 2 x 2 3");
	assert_true(received_count == 2 && strcmp(s[0].text, "one") == 0 && strcmp(s[2].text, "three") == 0);
}

static void a_batch_has_one_hash_slot_of_a_cluster(void **state)
{
	(void)state;
	struct said s[3] = { 0 };
	open_at("cluster:127.0.0.1:7000");
	reply = "*1\r\n+one\r\n";
	first_reply = "*2\r\n+one\r\n+two\r\n";
	send_batched(&s[0], "{a}", "x", "1");
	send_batched(&s[1], "{b}", "x", "2");
	send_batched(&s[2], "{a}", "x", "3");
	turn();
	assert_string_equal(received, "EVALSHA " SHA1 " 1 {b} 1 1 x 2");
	assert_true(received_count == 2 && strcmp(s[2].text, "two") == 0 && strcmp(s[1].text, "one") == 0);
}

static void a_lost_connection_ends_what_was_sent_and_what_waited(void **state)
{
	(void)state;
	struct said s[2] = { 0 };
	open_at("tcp:127.0.0.1:7000");
	reply = "";
	send_batched(&s[0], "{a}", "x", "1");
	turn();
	send_batched(&s[1], "{a}", "x", "2");
	peer_absent("127.0.0.1:7000");
	peer_send("127.0.0.1:7000", STR("?\r\n"));
	pass(10);
	assert_true(s[0].ends == 1 && s[0].end == REDIS_UNKNOWN);
	assert_true(s[1].ends == 1 && s[1].end == REDIS_REFUSED);
}

/* More calls than a batch may have leave as several batches; an error is the answer to each call of its batch. */
static void a_batch_is_bounded(void **state)
{
	(void)state;
	enum { CALLS = 300 };
	static struct said s[CALLS];
	memset(s, 0, sizeof s);
	open_at("tcp:127.0.0.1:7000");
	reply = "-OOM\r\n";
	for (int i = 0; i < CALLS; i++)
		send_batched(&s[i], "{a}", "x", "1");
	turn();
	assert_int_equal(received_count, 3);
	for (int i = 0; i < CALLS; i++)
		assert_true(s[i].ends == 1 && s[i].end == REDIS_REFUSED);
}

/* Whichever call finds that the server does not know the script, it is loaded once. */
static void a_script_is_loaded_once_for_a_batch(void **state)
{
	(void)state;
	struct said s[2] = { 0 };
	open_at("tcp:127.0.0.1:7000");
	first_reply = "-NOSCRIPT\r\n";
	reply = "*2\r\n+one\r\n+two\r\n"; /* also to SCRIPT LOAD */
	send_batched(&s[0], "{a}", "x", "1");
	send_batched(&s[1], "{a}", "x", "2");
	turn();
	assert_int_equal(received_count, 3);
	assert_true(strcmp(s[0].text, "one") == 0 && strcmp(s[1].text, "two") == 0);
}

#define EACH(name) cmocka_unit_test_setup_teardown(name, start, stop)

UNIT_MAIN(EACH(a_node_without_a_host_is_the_one_that_was_asked), EACH(a_map_that_cannot_be_read_names_nobody),
	  EACH(a_map_is_read_to_its_last_slot), EACH(a_redirection_that_leads_nowhere_is_an_error_of_its_call),
	  EACH(a_cluster_names_so_many_nodes_and_no_more), EACH(a_reply_that_nobody_asked_for_ends_the_connection),
	  EACH(two_replies_to_one_command_end_the_connection),
	  EACH(an_array_that_is_announced_too_large_ends_the_connection),
	  EACH(a_reply_that_does_not_end_ends_the_connection), EACH(a_name_is_looked_up_beside_the_loop),
	  EACH(a_name_is_dialled_at_its_address), EACH(a_node_that_no_slot_names_is_forgotten),
	  EACH(a_node_of_the_settings_that_left_is_tried_now_and_then), EACH(a_replica_stays_while_the_map_names_it),
	  EACH(a_replica_that_cannot_be_read_is_left_out), EACH(a_server_that_stays_away_is_refused_at_once),
	  EACH(a_server_whose_name_is_looked_up_is_not_away), EACH(numbers_are_bounded),
	  EACH(a_word_that_is_too_long_is_an_error_of_its_call), EACH(calls_with_equal_words_are_a_group),
	  EACH(a_batch_waits_for_the_one_before_it), EACH(a_batch_has_one_hash_slot_of_a_cluster),
	  EACH(a_lost_connection_ends_what_was_sent_and_what_waited), EACH(a_batch_is_bounded),
	  EACH(a_script_is_loaded_once_for_a_batch))
