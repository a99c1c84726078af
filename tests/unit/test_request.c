/* From a request to its handler, and from a status to the answer. The handlers and the token check are fakes. */
#include "unit/unit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "account/revocation.h"
#include "api/handlers.h"
#include "api/route.h"
#include "base/json.h"
#include "http/framing.h"

/* Fakes: a handler records its name; an Authorization value names the role. */

static const char *handled;

#define X(method, pattern, who, pool, limit, handle, unknown, help)                                                    \
	enum status handle(struct request *rq)                                                                         \
	{                                                                                                              \
		(void)rq;                                                                                              \
		handled = #handle;                                                                                     \
		return STATUS_OK;                                                                                      \
	}
#include "api/route.def"
X(, , , , , handle_list_unknown, , )
X(, , , , , handle_coupon_unknown, , )
X(, , , , , handle_coupon_read_unknown, , )
X(, , , , , handle_claim_compat_unknown, , )
X(, , , , , handle_waiting_unknown, , )
#undef X

enum status token_check(struct tokens *ts, struct arena *a, struct str authorization, int64_t now_s, struct token *t)
{
	(void)ts, (void)a, (void)now_s;
	static const struct {
		struct str word;
		enum status status;
		enum user_kind kind;
	} known[] = {
		{ BYTES(""), STATUS_NO_TOKEN, 0 },
		{ BYTES("customer"), STATUS_OK, KIND_CUSTOMER },
		{ BYTES("seller"), STATUS_OK, KIND_SELLER },
		{ BYTES("expired"), STATUS_EXPIRED_TOKEN, KIND_SELLER },
		{ BYTES("revoked"), STATUS_REVOKED_TOKEN, KIND_SELLER },
	};
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (str_eq(authorization, known[i].word)) {
			*t = (struct token){ .user = 7, .kind = known[i].kind };
			return known[i].status;
		}
	return STATUS_BAD_TOKEN;
}

static int refreshed;

void revocation_refresh(struct service *svc)
{
	(void)svc;
	refreshed++;
}

/* A request */

static struct service service;

static struct request request_of(struct arena *a, const char *method, const char *path)
{
	struct request rq = { .service = &service, .arena = a, .method = str_of(method), .path = str_of(path) };
	buf_init(&rq.response.body, a);
	buf_init(&rq.response.headers, a);
	handled = "";
	refreshed = 0;
	return rq;
}

static int start(void **state)
{
	static struct arena a;
	arena_init(&a);
	*state = &a;
	return 0;
}

static int stop(void **state)
{
	arena_release(*state);
	return 0;
}

/* nginx has undone percent-encoding, so a % is a character. */
static void paths_are_split(void **state)
{
	static const struct {
		const char *path;
		enum status status;
		const char *parts; /* in < > each */
	} rows[] = {
		{ "/", STATUS_OK, "<>" },
		{ "/healthz", STATUS_OK, "<healthz>" },
		{ "/api/users", STATUS_OK, "<api><users>" },
		{ "/api/users/", STATUS_OK, "<api><users>" },
		{ "/api/users//", STATUS_OK, "<api><users><>" },
		{ "//api/users", STATUS_OK, "<><api><users>" },
		{ "/api//users", STATUS_OK, "<api><><users>" },
		{ "/a?b", STATUS_OK, "<a?b>" },
		{ "/a#b/c d\n", STATUS_OK, "<a#b><c d\n>" },
		{ "/../x", STATUS_OK, "<..><x>" },
		{ "/%41/50%", STATUS_OK, "<%41><50%>" },
		{ "/a+b", STATUS_OK, "<a+b>" },
		{ "/\xe4\xbd\xa0", STATUS_OK, "<\xe4\xbd\xa0>" },
		{ "/1/2/3/4/5/6/7/8", STATUS_OK, "<1><2><3><4><5><6><7><8>" },
		{ "/1/2/3/4/5/6/7/8/9", STATUS_NOT_FOUND, NULL },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct request rq = request_of(*state, "GET", rows[i].path);
		enum status s = request_split_path(&rq);
		expect(s == rows[i].status, "%s: %s", rows[i].path, status_code(s));
		if (s != STATUS_OK)
			continue;
		char parts[128] = "";
		for (int k = 0; k < rq.parts; k++)
			snprintf(parts + strlen(parts), sizeof parts - strlen(parts), "<%.*s>", (int)rq.part[k].n,
				 rq.part[k].p);
		expect(strcmp(parts, rows[i].parts) == 0, "%s: %s", rows[i].path, parts);
	}
	struct request none = request_of(*state, "GET", NULL); /* nginx's configuration is older than the worker */
	assert_int_equal(route_run(&none, POOL_HOT), STATUS_UNAVAILABLE);
	assert_non_null(strstr(none.response.detail, "DOCUMENT_URI"));
}

static void pages(void **state)
{
	static const struct {
		const char *query;
		enum status status;
		int64_t page;
	} rows[] = {
		{ NULL, STATUS_OK, 1 },
		{ "", STATUS_OK, 1 },
		{ "page=1", STATUS_OK, 1 },
		{ "page=20", STATUS_OK, 20 },
		{ "page=0", STATUS_OK, 1 },
		{ "page=-3", STATUS_OK, 1 },
		{ "x=1&page=3&y", STATUS_OK, 3 },
		{ "pages=7", STATUS_OK, 1 },
		{ "mypage=7", STATUS_OK, 1 },
		{ "page", STATUS_OK, 1 },
		{ "&&page=2&&", STATUS_OK, 2 },
		{ "page=1000000000", STATUS_OK, 1000000000 },
		{ "page=", STATUS_OK, 1 },
		{ "page=3&page=", STATUS_OK, 1 },
		{ "page=&x", STATUS_OK, 1 },
		{ "page=two", STATUS_BAD_PAGE, 0 },
		{ "page=1.5", STATUS_BAD_PAGE, 0 },
		{ "page=2x", STATUS_BAD_PAGE, 0 },
		{ "page= 2", STATUS_BAD_PAGE, 0 },
		{ "page=1&page=x", STATUS_BAD_PAGE, 0 },
		/* beyond the end of every list */
		{ "page=1000000001", STATUS_OK, PAGE_LAST },
		{ "page=9223372036854775807", STATUS_OK, PAGE_LAST },
		{ "page=-9223372036854775808", STATUS_OK, 1 },
		{ "page=9223372036854775808", STATUS_BAD_PAGE, 0 },
		{ "page=-9223372036854775809", STATUS_BAD_PAGE, 0 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t page = 0;
		struct request rq = request_of(*state, "GET", "/");
		rq.query = str_of(rows[i].query);
		enum status s = request_page(&rq, &page);
		expect(s == rows[i].status, "%s: %s", rows[i].query, status_code(s));
		expect(s != STATUS_OK || page == rows[i].page, "%s: %lld", rows[i].query, (long long)page);
		expect(s == STATUS_OK || strstr(rq.response.detail, "9223372036854775807"), "%s", rows[i].query);
	}
}

/* Routes */

static const char *const words[] = {
#define X(method, pattern, who, pool, limit, handle, unknown, help) #handle,
#include "api/route.def"
#undef X
};

/* The pattern with a name for every {x}. */
static const char *path_of(struct arena *a, const struct route *route)
{
	char *path = arena_strndup(a, route->pattern, strlen(route->pattern)), *to = path;
	for (const char *p = path; *p; p++) {
		*to++ = *p == '{' ? 'n' : *p;
		if (*p == '{')
			p = strchr(p, '}');
	}
	*to = '\0';
	return path;
}

static const char *token_for(enum who who)
{
	return who == SELLER || who == COMPAT_SELLER ? "seller" : "customer";
}

static void every_route_reaches_its_handler_in_its_pool(void **state)
{
	for (int i = 0; i < route_count; i++) {
		for (enum pool pool = POOL_HOT; pool < POOLS; pool++) {
			struct request rq = request_of(*state, routes[i].method, path_of(*state, &routes[i]));
			rq.authorization = str_of(token_for(routes[i].who));
			enum status s = route_run(&rq, pool);
			bool here = pool == routes[i].pool;
			expect(s == (here ? STATUS_OK : STATUS_ELSEWHERE), "%s %s: %s", routes[i].method,
			       routes[i].pattern, status_code(s));
			expect(strcmp(handled, here ? words[i] : "") == 0, "%s %s: %s", routes[i].method,
			       routes[i].pattern, handled);
			expect(here || rq.response.detail[0] == '@', "%s %s", routes[i].method, routes[i].pattern);
			expect(rq.route == &routes[i], "%s %s", routes[i].method, routes[i].pattern);
		}
	}
}

/* The cold pool gets a request with FALLBACK when the hot pool does not know the coupon or seller. */
static void a_fallback_reaches_the_handler_for_the_unknown(void **state)
{
	for (int i = 0; i < route_count; i++) {
		struct request rq = request_of(*state, routes[i].method, path_of(*state, &routes[i]));
		rq.authorization = str_of(token_for(routes[i].who));
		rq.fallback = true;
		enum status s = route_run(&rq, POOL_COLD);
		bool ours = routes[i].pool == POOL_COLD || routes[i].unknown;
		expect(s == (ours ? STATUS_OK : STATUS_ELSEWHERE), "%s %s: %s", routes[i].method, routes[i].pattern,
		       status_code(s));
		expect(routes[i].pool == POOL_COLD || !routes[i].unknown || strstr(handled, "_unknown"), "%s %s: %s",
		       routes[i].method, routes[i].pattern, handled);
	}
}

static void unknown_path_is_404_and_wrong_method_405(void **state)
{
	static const struct {
		const char *method, *uri;
		enum status status;
		const char *allow;
	} rows[] = {
		{ "GET", "/", STATUS_NOT_FOUND, NULL },
		{ "GET", "/api", STATUS_NOT_FOUND, NULL },
		{ "GET", "/api/user", STATUS_NOT_FOUND, NULL },
		{ "POST", "/api/users/x", STATUS_NOT_FOUND, NULL },
		{ "GET", "/api/users/x/coupons/y/z", STATUS_NOT_FOUND, NULL },
		{ "GET", "/API/TIME", STATUS_NOT_FOUND, NULL },
		{ "GET", "/api//time", STATUS_NOT_FOUND, NULL },
		{ "GET", "/%61pi/time", STATUS_NOT_FOUND, NULL },
		{ "GET", "/api/time?", STATUS_NOT_FOUND, NULL },
		{ "GET", "/healthz/", STATUS_OK, NULL },
		{ "GET", "/api/users", STATUS_METHOD_NOT_ALLOWED, "Allow: POST\r\n" },
		{ "DELETE", "/api/users/", STATUS_METHOD_NOT_ALLOWED, "Allow: POST\r\n" },
		{ "PUT", "/api/users/s/coupons", STATUS_METHOD_NOT_ALLOWED, "Allow: POST, GET, HEAD\r\n" },
		{ "POST", "/api/time", STATUS_METHOD_NOT_ALLOWED, "Allow: GET, HEAD\r\n" },
		{ "get", "/api/time", STATUS_METHOD_NOT_ALLOWED, "Allow: GET, HEAD\r\n" },
		{ "", "/api/time", STATUS_METHOD_NOT_ALLOWED, "Allow: GET, HEAD\r\n" },
		{ "GETX", "/api/time", STATUS_METHOD_NOT_ALLOWED, "Allow: GET, HEAD\r\n" },
		{ "DELETE", "/api/users/s/coupons/c", STATUS_METHOD_NOT_ALLOWED, "Allow: PATCH, GET, HEAD\r\n" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct request rq = request_of(*state, rows[i].method, rows[i].uri);
		enum status s = route_run(&rq, POOL_HOT);
		expect(s == rows[i].status, "%s %s: %s", rows[i].method, rows[i].uri, status_code(s));
		expect(str_eq(buf_str(&rq.response.headers), str_of(rows[i].allow ? rows[i].allow : "")), "%s %s: %s",
		       rows[i].method, rows[i].uri, buf_str(&rq.response.headers).p);
	}
}

static void names_in_a_path_are_names(void **state)
{
	static const struct {
		const char *name;
		enum status status;
	} rows[] = {
		{ "bob", STATUS_OK },
		{ "a b", STATUS_OK },
		{ "50%", STATUS_OK },
		{ "?", STATUS_OK },
		{ "\xe4\xbd\xa0", STATUS_OK },
		{ "old\xe2\x80\x8bname", STATUS_OK }, /* older than the rule for new names */
		{ "...", STATUS_OK },
		{ "..", STATUS_BAD_PATH },
		{ ".", STATUS_BAD_PATH },
		{ "{1:h}", STATUS_OK }, /* no key is made of it */
		{ "", STATUS_BAD_PATH },
		{ "a\r\nb", STATUS_BAD_PATH },
		{ "\xff", STATUS_BAD_PATH },
		{ "\xc0\xaf", STATUS_BAD_PATH },
		{ "\xed\xa0\x80", STATUS_BAD_PATH },
		{ "\xe2\x80\xae", STATUS_BAD_PATH },
		{ "1234567890123456789012345678901234567890123456789012345678901", STATUS_BAD_PATH },
		{ "123456789012345678901234567890123456789012345678901234567890", STATUS_OK },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct request rq =
			request_of(*state, "GET", arena_printf(*state, "/api/users/%s/coupons/c", rows[i].name));
		enum status s = route_run(&rq, POOL_HOT);
		expect(s == rows[i].status, "'%s': %s", rows[i].name, status_code(s));
		expect(s == STATUS_OK || strstr(rq.response.detail, "seller"), "'%s': %s", rows[i].name,
		       rq.response.detail);
	}
}

static void who_may_ask(void **state)
{
	enum { NOBODY, EXPIRED, GARBAGE, AS_CUSTOMER, AS_SELLER, TOKENS };
	static const char *const tokens[TOKENS] = { "", "expired", "garbage", "customer", "seller" };
	static const enum status matrix[][TOKENS] = {
		[ANYONE] = { STATUS_OK, STATUS_OK, STATUS_OK, STATUS_OK, STATUS_OK },
		[ANY_TOKEN] = { STATUS_NO_TOKEN, STATUS_EXPIRED_TOKEN, STATUS_BAD_TOKEN, STATUS_OK, STATUS_OK },
		[CUSTOMER] = { STATUS_NO_TOKEN, STATUS_EXPIRED_TOKEN, STATUS_BAD_TOKEN, STATUS_OK, STATUS_FORBIDDEN },
		[SELLER] = { STATUS_NO_TOKEN, STATUS_EXPIRED_TOKEN, STATUS_BAD_TOKEN, STATUS_FORBIDDEN, STATUS_OK },
		[COMPAT_CUSTOMER] = { STATUS_NO_TOKEN, STATUS_EXPIRED_TOKEN, STATUS_BAD_TOKEN, STATUS_OK,
				      STATUS_UNAUTHORIZED },
		[COMPAT_SELLER] = { STATUS_NO_TOKEN, STATUS_EXPIRED_TOKEN, STATUS_BAD_TOKEN, STATUS_UNAUTHORIZED,
				    STATUS_OK },
	};
	for (int i = 0; i < route_count; i++)
		for (int who = 0; who < TOKENS; who++) {
			struct request rq = request_of(*state, routes[i].method, path_of(*state, &routes[i]));
			rq.authorization = str_of(tokens[who]);
			enum status s = route_run(&rq, routes[i].pool), wanted = matrix[routes[i].who][who];
			expect(s == wanted, "%s %s as '%s': %s, not %s", routes[i].method, routes[i].pattern,
			       tokens[who], status_code(s), status_code(wanted));
			expect((*handled != '\0') == (wanted == STATUS_OK), "%s %s as '%s'", routes[i].method,
			       routes[i].pattern, tokens[who]);
		}
}

/* A token that is not valid gives no rights on a public page. */
static void a_public_page_ignores_a_bad_token(void **state)
{
	struct request rq = request_of(*state, "GET", "/api/users/s/coupons/c");
	rq.authorization = STR("revoked");
	assert_int_equal(route_run(&rq, POOL_HOT), STATUS_OK);
	assert_int_equal(rq.token.user, 0);
	assert_int_equal(rq.token.kind, 0);
}

/* In the hot pool a timer does it; see account/revocation.h. */
static void cold_pool_reads_logouts_before_it_checks(void **state)
{
	struct request rq = request_of(*state, "POST", "/api/auth/logout");
	rq.authorization = STR("customer");
	assert_int_equal(route_run(&rq, POOL_COLD), STATUS_OK);
	assert_int_equal(refreshed, 1);
	rq = request_of(*state, "GET", "/api/users/s/coupons");
	rq.authorization = STR("customer");
	assert_int_equal(route_run(&rq, POOL_HOT), STATUS_OK);
	assert_int_equal(refreshed, 0);
}

static void bodies_are_bounded(void **state)
{
	for (int i = 0; i < route_count; i++) {
		size_t limit = routes[i].body_limit;
		for (int over = 0; over <= 1; over++) {
			struct request rq = request_of(*state, routes[i].method, path_of(*state, &routes[i]));
			rq.authorization = str_of(token_for(routes[i].who));
			rq.body = (struct str){ arena_alloc(*state, limit + 1), limit + (size_t)over };
			enum status s = route_run(&rq, routes[i].pool);
			expect(s == (limit && over ? STATUS_TOO_LARGE : STATUS_OK), "%s %s, %zu bytes: %s",
			       routes[i].method, routes[i].pattern, rq.body.n, status_code(s));
		}
	}
}

static void a_body_is_read_by_its_table(void **state)
{
	int64_t n = 0;
	const struct json_field field = { "n", JSON_INT, true, 1, 9, NULL, &n, NULL };
	static const struct {
		const char *body;
		enum status status;
	} rows[] = { { "{\"n\":5}", STATUS_OK }, { "{\"n\":0}", STATUS_BAD_FIELD }, { "{}", STATUS_BAD_FIELD },
		     { "[]", STATUS_BAD_JSON },  { "", STATUS_BAD_JSON },           { "{\"n\":5", STATUS_BAD_JSON } };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct request rq = request_of(*state, "POST", "/");
		rq.body = str_of(rows[i].body);
		expect(request_read(&rq, &field, 1) == rows[i].status, "%s", rows[i].body);
		expect(rows[i].status == STATUS_OK || rq.response.detail, "%s", rows[i].body);
	}
	assert_int_equal(n, 5);
}

/* Answers */

static const char *rendered(struct request *rq, enum status s)
{
	return response_render(rq, s).p;
}

static void an_answer_byte_by_byte(void **state)
{
	struct request rq = request_of(*state, "GET", "/");
	json_str(response_object(&rq), "name", STR("\"x\""));
	json_end(&rq.response.body, '}');
	response_header(&rq, "Location", STR("/here"));
	assert_string_equal(
		rendered(&rq, STATUS_CREATED),
		"Status: 201 Created\r\nLocation: /here\r\nContent-Type: application/json\r\nContent-Length: 28\r\n"
		"\r\n{\"errMsg\":\"\",\"name\":\"\\\"x\\\"\"}");
}

static void a_problem_byte_by_byte(void **state)
{
	struct request rq = request_of(*state, "GET", "/");
	response_object(&rq); /* begun, and dropped */
	assert_string_equal(rendered(&rq, STATUS_SOLD_OUT),
			    "Status: 410 Gone\r\nContent-Type: application/problem+json\r\nContent-Length: 108\r\n\r\n"
			    "{\"type\":\"about:blank\",\"title\":\"Gone\",\"status\":410,\"detail\":\"sold out\","
			    "\"code\":\"sold-out\",\"errMsg\":\"sold out\"}");
}

static void a_rate_limit_is_a_problem_of_its_own_type(void **state)
{
	struct request rq = request_of(*state, "POST", "/");
	rq.response.policy = "claims";
	rq.response.detail = "too often";
	rq.response.retry_after_s = 1;
	assert_string_equal(rendered(&rq, STATUS_RATE_LIMITED),
			    "Status: 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: application/problem+json\r\n"
			    "Content-Length: 206\r\n\r\n{\"type\":\"https://iana.org/assignments/http-problem-types#"
			    "quota-exceeded\",\"title\":\"Quota Exceeded\",\"status\":429,\"detail\":\"too often\","
			    "\"code\":\"rate-limited\",\"errMsg\":\"too often\",\"violated-policies\":[\"claims\"]}");
}

static void a_204_has_no_body(void **state)
{
	struct request rq = request_of(*state, "GET", "/");
	response_header(&rq, "Seckill-Result", STR("sold-out"));
	assert_string_equal(rendered(&rq, STATUS_NO_CONTENT),
			    "Status: 204 No Content\r\nSeckill-Result: sold-out\r\n\r\n");
}

static void another_pool_is_a_redirect_of_nginx(void **state)
{
	struct request rq = request_of(*state, "GET", "/");
	assert_int_equal(request_elsewhere(&rq, POOL_COLD), STATUS_ELSEWHERE);
	assert_string_equal(rendered(&rq, STATUS_ELSEWHERE), "X-Accel-Redirect: @cold\r\n\r\n");
}

static void a_detail_replaces_the_text(void **state)
{
	struct request rq = request_of(*state, "GET", "/");
	assert_int_equal(request_fail(&rq, STATUS_BAD_FIELD, "%s is \"wrong\"\n", "amount"), STATUS_BAD_FIELD);
	const char *text = rendered(&rq, STATUS_BAD_FIELD);
	assert_non_null(strstr(text, "\"detail\":\"amount is \\\"wrong\\\"\\u000a\""));
	assert_non_null(strstr(text, "\"errMsg\":\"amount is \\\"wrong\\\"\\u000a\""));
}

static void every_status_renders(void **state)
{
	for (int s = 0; s < STATUS_COUNT; s++) {
		int http = status_http((enum status)s);
		if (!http || http == 204)
			continue;
		struct request rq = request_of(*state, "GET", "/");
		if (http < 400)
			json_end(response_object(&rq), '}');
		struct str text = response_render(&rq, (enum status)s);
		const char *body = strstr(text.p, "\r\n\r\n") + 4, *length = strstr(text.p, "Content-Length: ");
		expect((size_t)atoi(length + 16) == strlen(body), "%s", status_code((enum status)s));
		expect(atoi(text.p + 8) == http && isupper(text.p[12]), "%s has no reason",
		       status_code((enum status)s));
		expect(!strstr(text.p, "Retry-After: ") == (http != 503), "%s", status_code((enum status)s));
		expect(!strstr(text.p, "WWW-Authenticate: Bearer\r\n") == (http != 401), "%s",
		       status_code((enum status)s));
		struct str code = STR(""), message = STR("?"), detail = STR("");
		int64_t number = http;
		const struct json_field fields[] = {
			{ "code", JSON_TEXT, http >= 400, 1, 40, &code, NULL, NULL },
			{ "detail", JSON_TEXT, http >= 400, 1, 200, &detail, NULL, NULL },
			{ "errMsg", JSON_TEXT, true, 0, 200, &message, NULL, NULL },
			{ "status", JSON_INT, http >= 400, 400, 599, NULL, &number, NULL },
		};
		bool is_json;
		const char *problem;
		expect(json_read(*state, str_of(body), fields, COUNT_OF(fields), &is_json, &problem), "%s: %s",
		       status_code((enum status)s), problem);
		expect(number == http && str_eq(message, detail), "%s", status_code((enum status)s));
		expect(http < 400 || str_eq(code, str_of(status_code((enum status)s))), "%s",
		       status_code((enum status)s));
	}
}

static void retry_after_is_sent(void **state)
{
	struct request rq = request_of(*state, "GET", "/");
	assert_non_null(strstr(rendered(&rq, STATUS_BUSY), "\r\nRetry-After: 1\r\n"));
	rq = request_of(*state, "GET", "/");
	rq.response.retry_after_s = 5;
	assert_non_null(strstr(rendered(&rq, STATUS_NOT_STARTED), "\r\nRetry-After: 5\r\n"));
	rq = request_of(*state, "GET", "/");
	rq.response.retry_after_s = 7;
	assert_non_null(strstr(rendered(&rq, STATUS_UNAVAILABLE), "\r\nRetry-After: 7\r\n"));
	rq = request_of(*state, "GET", "/");
	assert_non_null(strstr(rendered(&rq, STATUS_FENCED), "\r\nRetry-After: 30\r\n"));
}

static void an_idempotency_key_is_visible_ascii(void **state)
{
	char long_key[256];
	memset(long_key, '~', sizeof long_key);
	const struct {
		struct str key;
		enum status status;
	} rows[] = {
		{ { NULL, 0 }, STATUS_OK },
		{ BYTES(""), STATUS_OK },
		{ BYTES("x"), STATUS_OK },
		{ BYTES("\"8e03978e-40d5-43dd-bc93-6894a57f9324\""), STATUS_OK },
		{ { long_key, 255 }, STATUS_OK },
		{ { long_key, 256 }, STATUS_BAD_REQUEST },
		{ BYTES("a b"), STATUS_BAD_REQUEST },
		{ BYTES(" "), STATUS_BAD_REQUEST },
		{ BYTES("a\0b"), STATUS_BAD_REQUEST },
		{ BYTES("a\tb"), STATUS_BAD_REQUEST },
		{ BYTES("\x7f"), STATUS_BAD_REQUEST },
		{ BYTES("\xc3\xa9"), STATUS_BAD_REQUEST },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct request rq = request_of(*state, "POST", "/");
		rq.idempotency_key = rows[i].key;
		expect(request_idempotency(&rq) == rows[i].status, "key %zu", i);
		expect(!rq.response.detail == (rows[i].status == STATUS_OK), "key %zu", i);
	}
}

/* A request of FastCGI: its begin, a parameter record with padding, the ends of both streams. */
#define BEGIN_RECORD          "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"
#define PARAM_RECORDS         "\1\4\0\1\0\4\5\0\1\1xyPPPPP\1\4\0\1\0\0\0\0"
#define PARAMS(length, pairs) "\1\4\0\1" length "\0\0" pairs
#define ENDS                  "\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0"
#define WHOLE_REQUEST         BEGIN_RECORD PARAM_RECORDS "\1\5\0\1\0\0\0\0"

static void an_if_match_is_a_list_of_tags(void **state)
{
	const struct {
		struct str value;
		enum status status;
	} rows[] = {
		{ { NULL, 0 }, STATUS_OK },		{ BYTES(""), STATUS_OK },
		{ BYTES("*"), STATUS_OK },		{ BYTES("\"1-10-0\", W/\"x\""), STATUS_OK },
		{ BYTES("1-10-0"), STATUS_BAD_REQUEST }, { BYTES("\"a\"\0"), STATUS_BAD_REQUEST },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct request rq = request_of(*state, "PATCH", "/");
		rq.if_match = rows[i].value;
		expect(request_if_match(&rq) == rows[i].status, "value %zu", i);
	}
}

static void framing_finds_the_end_of_a_request(void **state)
{
	(void)state;
	struct str whole = BYTES(WHOLE_REQUEST);
	assert_int_equal(framing_scan((struct str){ whole.p, 0 }), FRAMING_EMPTY);
	for (size_t n = 1; n < whole.n; n++)
		assert_int_equal(framing_scan((struct str){ whole.p, n }), FRAMING_PARTIAL);
	assert_int_equal(framing_scan(whole), FRAMING_WHOLE);
	static const struct {
		struct str bytes;
		enum framing_end end;
	} rows[] = {
		{ BYTES(WHOLE_REQUEST "GET / HTTP/1.1"), FRAMING_WHOLE },
		{ BYTES(BEGIN_RECORD PARAM_RECORDS "\1\5\0\1\0\1\0\0x"), FRAMING_PARTIAL }, /* a body, not its end */
		{ BYTES(BEGIN_RECORD PARAM_RECORDS "\1\5\0\1\0\0\2\0x"), FRAMING_PARTIAL }, /* in its padding */
		{ BYTES(BEGIN_RECORD "\1\4\0\1\xff\xff\xff\0"), FRAMING_PARTIAL },
		/* records that libfcgi would skip, and wait for more */
		{ BYTES(BEGIN_RECORD PARAM_RECORDS "\1\5\0\2\0\0\0\0"), FRAMING_INVALID }, /* another id */
		{ BYTES(BEGIN_RECORD "\1\4\1\1\0\0\0\0"), FRAMING_INVALID },
		{ BYTES("\1\1\0\0\0\10\0\0\0\1\1\0\0\0\0\0"), FRAMING_INVALID }, /* id 0 */
		{ BYTES("\1\11\0\0\0\0\0\0"), FRAMING_INVALID },                 /* management */
		{ BYTES(BEGIN_RECORD BEGIN_RECORD), FRAMING_INVALID },
		{ BYTES(BEGIN_RECORD "\1\5\0\1\0\0\0\0"), FRAMING_INVALID }, /* a body before the parameters */
		{ BYTES(BEGIN_RECORD PARAM_RECORDS "\1\4\0\1\0\0\0\0"), FRAMING_INVALID },
		{ BYTES(BEGIN_RECORD "\1\2\0\1\0\0\0\0"), FRAMING_INVALID }, /* abort */
		{ BYTES("\1\1\0\1\0\11\0\0"), FRAMING_INVALID },             /* a begin of another size */
		{ BYTES("\1\4\0\1\xff\xff\xff\0"), FRAMING_INVALID },
		{ BYTES("\1\1\0\1\0\10\0\0\0\2\1\0\0\0\0\0"), FRAMING_INVALID }, /* an authorizer */
		/* lengths of names and values: across records, and beyond the end */
		{ BYTES(BEGIN_RECORD PARAMS("\0\5", "\1\200\0\0\3") PARAMS("\0\4", "xabc") ENDS), FRAMING_WHOLE },
		{ BYTES(BEGIN_RECORD PARAMS("\0\2", "\0\0") ENDS), FRAMING_WHOLE },
		{ BYTES(BEGIN_RECORD PARAMS("\0\1", "\1") PARAMS("\0\2", "\0x") ENDS), FRAMING_WHOLE },
		{ BYTES(BEGIN_RECORD PARAMS("\0\3", "\1\2x") ENDS), FRAMING_INVALID },
		{ BYTES(BEGIN_RECORD PARAMS("\0\1", "\200") ENDS), FRAMING_INVALID },
		{ BYTES(BEGIN_RECORD PARAMS("\0\10", "\377\377\377\377\377\377\377\377") ENDS), FRAMING_INVALID },
		{ BYTES("G"), FRAMING_INVALID },
		{ BYTES("\2\1\0\1\0\10\0\0"), FRAMING_INVALID },
		{ BYTES(BEGIN_RECORD "x"), FRAMING_INVALID },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect(framing_scan(rows[i].bytes) == rows[i].end, "bytes %zu", i);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)

UNIT_MAIN(CASE(paths_are_split), CASE(pages), CASE(every_route_reaches_its_handler_in_its_pool),
	  CASE(a_fallback_reaches_the_handler_for_the_unknown), CASE(unknown_path_is_404_and_wrong_method_405),
	  CASE(names_in_a_path_are_names), CASE(who_may_ask), CASE(a_public_page_ignores_a_bad_token),
	  CASE(cold_pool_reads_logouts_before_it_checks), CASE(bodies_are_bounded),
	  CASE(a_body_is_read_by_its_table), CASE(an_answer_byte_by_byte), CASE(a_problem_byte_by_byte),
	  CASE(a_rate_limit_is_a_problem_of_its_own_type),
	  CASE(a_204_has_no_body), CASE(another_pool_is_a_redirect_of_nginx), CASE(a_detail_replaces_the_text),
	  CASE(every_status_renders), CASE(retry_after_is_sent), CASE(an_idempotency_key_is_visible_ascii),
	  CASE(an_if_match_is_a_list_of_tags), CASE(framing_finds_the_end_of_a_request))
