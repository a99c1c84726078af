/* The map of a cluster, whatever CLUSTER SLOTS says, and redirections: with links that are connected to nothing. */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/redis_link.h"

/* Links: each is up from the start. Commands wait until the test answers. */

static redisCallbackFn *asked;
static void *asked_context;
static struct link *asked_link;
static int ended, opened, sent;

int __wrap_redisAsyncCommand(redisAsyncContext *ac, redisCallbackFn *fn, void *context, const char *format, ...);

int __wrap_redisAsyncCommand(redisAsyncContext *ac, redisCallbackFn *fn, void *context, const char *format, ...)
{
	assert_string_equal(format, "CLUSTER SLOTS");
	asked = fn;
	asked_context = context;
	asked_link = ac->data;
	return REDIS_OK;
}

struct link *link_open(struct redis *r, const char *address)
{
	struct link *l = calloc(1, sizeof *l);
	assert_non_null(l);
	l->redis = r;
	l->up = true;
	l->ac = calloc(1, sizeof *l->ac);
	assert_non_null(l->ac);
	l->ac->data = l;
	snprintf(l->address, sizeof l->address, "%s", address);
	memcpy(l->run, "0123456789abcdef", REDIS_RUN);
	opened++;
	return l;
}

void link_close(struct link *l)
{
	free(l->ac);
	free(l);
}

bool link_send(struct link *l, struct call *call, bool asking)
{
	(void)asking;
	call->link = l;
	sent++;
	return l->up;
}

void link_learn(struct link *l)
{
	(void)l;
}

void link_hurry(struct link *l)
{
	(void)l;
}

void call_end(struct call *call, enum redis_end end, const redisReply *reply)
{
	(void)call, (void)end, (void)reply;
	ended++;
}

/* A cluster of which two nodes are known, and what a node says of its map */

static struct redis redis;
static struct conf conf = { .redis = "cluster:10.0.0.1:7000,10.0.0.2:7000", .redis_timeout_ms = 1000 };

static int start(void **state)
{
	(void)state;
	redis = (struct redis){ .loop = loop_new(), .conf = &conf };
	redis.parked_last = &redis.parked;
	opened = ended = sent = 0;
	asked = NULL;
	assert_null(route_open(&redis));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	route_close(&redis);
	loop_free(redis.loop);
	return 0;
}

static void say(const char *resp)
{
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;
	route_link_changed(redis.links);
	assert_non_null(asked);
	assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	expect(reply, "'%s' is no reply", resp);
	asked(asked_link->ac, reply, asked_context);
	freeReplyObject(reply);
	redisReaderFree(reader);
}

/* The address that serves a slot, or "". */
static const char *server_of(int slot)
{
	return redis.slots[slot] ? redis.slots[slot]->address : "";
}

#define RANGE(first, last, host, port) "*3\r\n:" first "\r\n:" last "\r\n*3\r\n" host ":" port "\r\n$2\r\nid\r\n"
#define HOST                           "$8\r\n10.0.0.3\r\n"
#define WHOLE                          "*1\r\n" RANGE("0", "16383", HOST, "7000")

static void a_map_is_read(void **state)
{
	(void)state;
	say("*2\r\n" RANGE("0", "8191", HOST, "7000") RANGE("8192", "16383", "$8\r\n10.0.0.1\r\n", "7000"));
	assert_string_equal(server_of(0), "10.0.0.3:7000");
	assert_string_equal(server_of(8191), "10.0.0.3:7000");
	assert_string_equal(server_of(16383), "10.0.0.1:7000");
	assert_int_equal(opened, 3);
	assert_int_equal(redis_servers(&redis), 2);
	assert_true(redis_is_up(&redis));
}

/* A node that does not know its own address, or does not tell, is where it was asked. */
static void an_unknown_host_is_the_one_that_was_asked(void **state)
{
	static const char *const hosts[] = { "*1\r\n" RANGE("0", "16383", "$-1\r\n", "7001"),
					     "*1\r\n" RANGE("0", "16383", "$0\r\n\r\n", "7001") };
	(void)state;
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		say(hosts[i]);
		char expected[sizeof asked_link->address];
		snprintf(expected, sizeof expected, "%.8s:7001", asked_link->address);
		expect(strcmp(server_of(7), expected) == 0, "%zu: '%s', not '%s'", i, server_of(7), expected);
	}
}

static const char *const odd[] = {
	"*0\r\n",
	"$-1\r\n",
	"-ERR This instance has cluster support disabled\r\n",
	"+OK\r\n",
	"*2\r\n:1\r\n$1\r\nx\r\n",
	"*1\r\n*0\r\n",
	"*1\r\n*2\r\n:0\r\n:16383\r\n",
	"*1\r\n*3\r\n:0\r\n:16383\r\n$8\r\n10.0.0.3\r\n",
	"*1\r\n*3\r\n:0\r\n:16383\r\n*1\r\n$8\r\n10.0.0.3\r\n",
	"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n:1\r\n:7000\r\n",
	"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" HOST "$4\r\n7000\r\n",
	"*1\r\n*3\r\n$1\r\n0\r\n:16383\r\n*2\r\n" HOST ":7000\r\n",
	"*1\r\n" RANGE("0", "16383", "$1\r\n?\r\n", "7000"),
	"*1\r\n" RANGE("0", "16383", HOST, "0"),
	"*1\r\n" RANGE("0", "16383", HOST, "65536"),
	"*1\r\n" RANGE("0", "16383", HOST, "-1"),
	"*1\r\n" RANGE("5", "4", HOST, "7000"),
	"*1\r\n" RANGE("-1", "5", HOST, "7000"),
	"*1\r\n" RANGE("16384", "99999", HOST, "7000"),
};

/* Nothing of it is a map, nobody is connected to, and it is asked for again. */
static void an_odd_answer_is_no_map(void **state)
{
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		bool refused;
		if (i)
			start(state);
		say(odd[i]);
		expect(opened == 2, "%zu: %d connections", i, opened);
		expect(redis_servers(&redis) == 0 && !redis_is_up(&redis), "%zu: it is a map", i);
		expect(redis.refreshing, "%zu: it is not asked for again", i);
		expect(strcmp(redis_problem(&redis, &refused), "the map of the cluster is not known") == 0, "%zu: %s",
		       i, redis_problem(&redis, &refused));
		say(WHOLE);
		expect(redis_is_up(&redis), "%zu: the next map is not read", i);
		say(odd[i]);
		expect(strcmp(server_of(9), "10.0.0.3:7000") == 0, "%zu: the map from before is lost", i);
		if (i + 1 < COUNT_OF(odd))
			stop(state);
	}
}

static void what_is_in_order_of_an_odd_answer_counts(void **state)
{
	(void)state;
	say("*3\r\n" RANGE("0", "99", HOST, "0") RANGE("100", "99999", HOST, "7000") "*0\r\n");
	assert_string_equal(server_of(99), "");
	assert_string_equal(server_of(16383), "10.0.0.3:7000");
	assert_int_equal(opened, 3);
}

/* Redirections */

static void a_redirection_names_a_server(void **state)
{
	static const struct {
		const char *error, *address; /* NULL: it is none */
	} rows[] = {
		{ "MOVED 5 10.0.0.9:7003", "10.0.0.9:7003" },
		{ "MOVED 5 :7003", "10.0.0.3:7003" },
		{ "MOVED 5 ::1:7003", "::1:7003" },
		{ "MOVED 5 10.0.0.9", NULL },
		{ "MOVED 5 10.0.0.9:", NULL },
		{ "MOVED 5 10.0.0.9:x", NULL },
		{ "MOVED 5 10.0.0.9:70000", NULL },
		{ "MOVED 5 ?:7003", NULL },
		{ "MOVED 5 ", NULL },
		{ "MOVED 5", NULL },
		{ "MOVED", NULL },
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct call call = { .redis = &redis, .slot = 5, .server = -1 };
		int before = opened;
		say(WHOLE);
		bool taken = route_moved(redis.slots[5], &call, str_of(rows[i].error));
		expect(taken == (rows[i].address != NULL), "%s", rows[i].error);
		expect(strcmp(server_of(5), taken ? rows[i].address : "10.0.0.3:7000") == 0, "%s: '%s'", rows[i].error,
		       server_of(5));
		expect(taken || opened == before + !i, "%s: a connection", rows[i].error);
		struct call asking = { .redis = &redis, .slot = 6, .server = -1 };
		taken = route_ask(redis.slots[6], &asking, str_of(rows[i].error));
		expect(taken == (rows[i].address != NULL), "ASK of %s", rows[i].error);
		assert_string_equal(server_of(6), "10.0.0.3:7000");
	}
}

/* Where nobody is mapped, the run is not known; so it is of a server that was lost. */
static void the_run_of_nobody_is_unknown(void **state)
{
	(void)state;
	assert_string_equal(redis_run(&redis, STR("k")), "0000000000000000");
	say(WHOLE);
	assert_string_equal(redis_run(&redis, STR("k")), "0123456789abcdef");
	redis.slots[0]->up = false;
	assert_string_equal(redis_run(&redis, STR("k")), "0000000000000000");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)

UNIT_MAIN(CASE(a_map_is_read), CASE(an_unknown_host_is_the_one_that_was_asked), CASE(an_odd_answer_is_no_map),
	  CASE(what_is_in_order_of_an_odd_answer_counts), CASE(a_redirection_names_a_server),
	  CASE(the_run_of_nobody_is_unknown))
