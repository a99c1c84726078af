/*
 * A request from its line to its answer, through the real handlers; the stores are fakes, and the input chooses their
 * replies. Byte 0 chooses token and pool, bytes 1 to 4 the answers of MySQL, bytes 5 to 8 those of Redis; then follow
 * "METHOD URI", a line feed, and the body.
 *
 * Every input must get exactly one answer, and a well-formed one.
 */
#include "fuzz/fuzz.h"

#include <assert.h>
#include <ctype.h>
#include "account/password.h"
#include "api/handlers.h"
#include "api/route.h"
#include "base/parse.h"
#include "fuzz/fake_db.h"
#include "host/log.h"
#include "sale/coupon.h"
#include "unit/fake_redis.h"
#include "unit/forge.h"

enum { FLAGS, DB = 1, REDIS = 5, REPLIES = 4, TEXT = 9 };

/* Fakes of what would make a run slow: hashing, waiting, logging. */

bool password_hash(struct str password, int cost, char text[PASSWORD_TEXT])
{
	(void)cost;
	strcpy(text, "$y$");
	return password.n <= PASSWORD_MAX;
}

bool password_verify(struct str password, struct str stored, int cost)
{
	(void)stored, (void)cost;
	return password.n % 2;
}

bool password_is_current(struct str stored, int cost)
{
	(void)cost;
	return stored.n % 2;
}

void log_line(const char *level, const char *event, const struct log_pair *pairs)
{
	(void)level, (void)event;
	for (; pairs->key; pairs++)
		assert(!pairs->text.p || pairs->text.n < 1 << 20);
}

int64_t __wrap_clock_mono_ms(void);
static int64_t now_ms = 1000000;

int64_t __wrap_clock_mono_ms(void)
{
	return now_ms++;
}

/* Redis */

static const uint8_t *chosen;
static size_t turn;

static void serve(void)
{
	static const char *const replies[] = {
		"nil", "1", "[ ]", "!refused", "!unknown", "!broken", "WON 1 9 1700000000000", "MINE 2", "SOLDOUT 1 5000",
		"EARLY 1500", "[ENDED", "[PAUSED", "[FENCED", "[REGRESS", "NEED 25 0", "GRANT 30 0", "NONE 25 0 1 25 0 2 25 0", "OK 1 1 1",
		":5 :100 :3 :0", ":5 :0", ":1700000000 :123456", "7 7 8 9", ":7-0-1 :7-1-2", "OK 4 25 5",
		"id 7 seller 1 gen 5 amount 100 stock 5 t0 0 t1 0 created 1 pay 0 seller_name s name n description d "
		"segments 4 key :0123456789abcdef",
		"id 7 seller 1 gen :5 amount 100 stock 5 t0 :253402300800000 t1 :999999999999999 created 1 pay 0 "
		"seller_name s name n description d segments 256 key :0123456789abcdef",
		"id 7 seller 1 gen 5 amount 100 stock 5 t0 0 t1 0 created 1 pay 0 seller_name s name n description d "
		"segments 257 key :0123456789abcdef",
		"id 7 segments 4 key :x",
	};
	fake_redis_answer(replies[chosen[turn++ % REPLIES] % (sizeof replies / sizeof replies[0])]);
}

/* The service */

static struct service service;
static struct worker worker;
static struct str credentials[4]; /* nobody, a customer, a seller, garbage */

static struct str issued(struct arena *a, enum user_kind kind)
{
	struct token t = { .user = kind, .name = STR("s"), .kind = kind };
	return token_issue(service.tokens, a, &t);
}

static void start(void)
{
	static struct conf conf;
	static struct arena arena;
	const char *problem;
	service.tokens = forge_tokens(&conf, &arena, STR("0123456789abcdef0123456789abcdef"));
	service.conf = &conf;
	service.loop = loop_new();
	service.stats = stats_open("/nonexistent/board", &problem);
	service.hashing = permits_open("/nonexistent/board", 1);
	credentials[1] = issued(&arena, KIND_CUSTOMER);
	credentials[2] = issued(&arena, KIND_SELLER);
	credentials[3] = STR("Bearer x.y.z");
}

/* The answer */

static int answers;

/* "Name: value" without control characters. */
static bool is_header(struct str line)
{
	struct str rest = line, name;
	if (!parse_split(&rest, ':', &name) || !rest.p || !rest.n || rest.p[0] != ' ' || !name.n)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!isalnum((unsigned char)name.p[i]) && name.p[i] != '-')
			return false;
	for (size_t i = 0; i < rest.n; i++)
		if ((unsigned char)rest.p[i] < ' ')
			return false;
	return true;
}

static void check_answer(struct arena *a, struct str text)
{
	bool is_json_body = false, is_json;
	size_t length = 0;
	struct str rest = text, line;
	const char *problem;
	assert(str_starts(text, STR("Status: ")) || str_starts(text, STR("X-Accel-Redirect: @")));
	for (int i = 0; parse_split(&rest, '\n', &line) && line.n > 1; i++) {
		assert(line.p[--line.n] == '\r');
		assert(is_header(line));
		is_json_body = is_json_body || (str_starts(line, STR("Content-Type: ")) && memmem(line.p, line.n, "json", 4));
		if (str_starts(line, STR("Content-Length: ")))
			length = strtoul(line.p + 16, NULL, 10);
	}
	assert(rest.p && rest.n == length);
	assert(parse_is_utf8(rest));
	assert(!is_json_body || json_read(a, rest, NULL, 0, &is_json, &problem));
}

void request_finish(struct request *rq, enum status s)
{
	assert(s != STATUS_PENDING);
	answers++;
	check_answer(rq->arena, response_render(rq, s));
	arena_release(rq->arena);
	free(rq->arena);
	free(rq);
}

void request_set_aside(struct request *rq)
{
	(void)rq;
}

static struct request *new_request(uint8_t flags, struct str text)
{
	struct request *rq = calloc(1, sizeof *rq);
	struct arena *a = calloc(1, sizeof *a);
	struct str line;
	assert(rq && a);
	*rq = (struct request){ .service = &service, .worker = &worker, .arena = a, .id = STR("1"), .peer = STR("unix:") };
	rq->authorization = credentials[flags >> 1 & 3];
	rq->fallback = flags >> 3 & 1;
	if (flags >> 4 & 1)
		rq->idempotency_key = (struct str){ text.p, text.n < 300 ? text.n / 4 : 300 };
	rq->body = text;
	if (parse_split(&rq->body, '\n', &line)) {
		rq->query = line;
		parse_split(&rq->query, ' ', &rq->method);
		parse_split(&rq->query, '?', &rq->path);
	}
	buf_init(&rq->response.body, a);
	buf_init(&rq->response.headers, a);
	return rq;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < TEXT)
		return 0;
	if (!service.conf)
		start();
	service.coupons = coupons_new();
	fake_db_plan(data + DB, REDIS - DB);
	fake_redis_server = serve;
	chosen = data + REDIS;
	turn = 0;
	answers = 0;
	struct request *rq = new_request(data[FLAGS], (struct str){ (const char *)data + TEXT, size - TEXT });
	enum status s = route_run(rq, data[FLAGS] >> 5 & 1 ? POOL_AUTH : data[FLAGS] & 1 ? POOL_COLD : POOL_HOT);
	if (s != STATUS_PENDING)
		request_finish(rq, s);
	for (int i = 0; fake_redis_waiting() || !answers; i++) {
		assert(i < 100000);
		if (fake_redis_waiting())
			serve();
		now_ms += 20; /* a claim that met a suspect segment retries later */
		loop_turn(service.loop, 0);
	}
	assert(answers == 1);
	coupons_free(service.coupons);
	return 0;
}
