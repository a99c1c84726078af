#include "api/route.h"

#include <time.h>

#include "account/revocation.h"
#include "api/handlers.h"
#include "base/parse.h"

const struct route routes[] = {
#define X(method, pattern, who, pool, limit, handle, unknown, help)                                                    \
	{ method, pattern, who, POOL_##pool, limit, handle, unknown, help },
#include "api/route.def"
#undef X
};
const int route_count = sizeof routes / sizeof routes[0];

/* strncmp would take a NUL in the path for the end of the pattern. */
static bool begins(const char *p, struct str part)
{
	return strncmp(p, part.p, part.n) == 0 && !memchr(part.p, '\0', part.n);
}

static bool matches(const struct request *rq, const struct route *route)
{
	const char *p = route->pattern;
	for (int i = 0; i < rq->parts; i++) {
		struct str part = rq->part[i];
		if (*p++ != '/' || (*p != '{' && !begins(p, part)))
			return false;
		p = *p == '{' ? strchrnul(p, '/') : p + part.n;
	}
	return *p == '\0';
}

static enum status wrong_method(struct request *rq)
{
	struct buf allow;
	buf_init(&allow, rq->arena);
	for (int i = 0; i < route_count; i++)
		if (matches(rq, &routes[i]))
			buf_printf(&allow, "%s%s%s", allow.n ? ", " : "", routes[i].method,
				   str_eq(str_of(routes[i].method), STR("GET")) ? ", HEAD" : "");
	if (!allow.n)
		return STATUS_NOT_FOUND;
	response_header(rq, "Allow", buf_str(&allow));
	return STATUS_METHOD_NOT_ALLOWED;
}

static enum status find_route(struct request *rq)
{
	for (int i = 0; i < route_count; i++)
		if (str_eq(rq->method, str_of(routes[i].method)) && matches(rq, &routes[i])) {
			rq->route = &routes[i];
			return STATUS_OK;
		}
	return wrong_method(rq);
}

/* Names in a path must follow the rule for names in a body. */
static enum status check_names(struct request *rq)
{
	struct str rest = { rq->route->pattern + 1, strlen(rq->route->pattern) - 1 }, piece;
	for (int i = 0; parse_split(&rest, '/', &piece); i++)
		if (piece.p[0] == '{' && !parse_is_name(rq->part[i]))
			return request_fail(rq, STATUS_BAD_PATH, "%.*s in the path " PARSE_NAME_RULE, (int)piece.n,
					    piece.p);
	return STATUS_OK;
}

static enum status check_role(struct request *rq)
{
	static const struct {
		enum user_kind kind; /* 0: any */
		enum status otherwise;
		const char *detail;
	} needs[] = {
		[ANY_TOKEN] = { 0, STATUS_OK, NULL },
		[CUSTOMER] = { KIND_CUSTOMER, STATUS_FORBIDDEN, "only a customer may do this: log in as one" },
		[SELLER] = { KIND_SELLER, STATUS_FORBIDDEN, "only a seller may do this: log in as one" },
		[COMPAT_CUSTOMER] = { KIND_CUSTOMER, STATUS_UNAUTHORIZED,
				      "only a customer may do this: log in as one" },
		[COMPAT_SELLER] = { KIND_SELLER, STATUS_UNAUTHORIZED, "only a seller may do this: log in as one" },
	};
	enum who who = rq->route->who;
	if (!needs[who].kind || needs[who].kind == rq->token.kind)
		return STATUS_OK;
	rq->response.detail = needs[who].detail;
	return needs[who].otherwise;
}

static enum status check_token(struct request *rq, enum pool pool)
{
	if (rq->route->who == ANYONE && !rq->authorization.n)
		return STATUS_OK;
	if (pool != POOL_HOT)
		revocation_refresh(rq->service);
	enum status s = token_check(rq->service->tokens, rq->arena, rq->authorization, time(NULL), &rq->token);
	if (rq->route->who != ANYONE)
		return s == STATUS_OK ? check_role(rq) : s;
	if (s != STATUS_OK) /* the route needs no token, so a token that is not valid is ignored */
		rq->token = (struct token){ 0 };
	return STATUS_OK;
}

static enum status check_body(struct request *rq)
{
	size_t limit = rq->route->body_limit;
	if (!limit || rq->body.n <= limit)
		return STATUS_OK;
	return request_fail(rq, STATUS_TOO_LARGE, "the body must be at most %zu bytes", limit);
}

static enum status handle(struct request *rq, enum pool pool)
{
	const struct route *route = rq->route;
	if (pool == POOL_COLD && rq->fallback && route->unknown)
		return route->unknown(rq);
	return pool == route->pool ? route->handle(rq) : request_elsewhere(rq, route->pool);
}

enum status route_run(struct request *rq, enum pool pool)
{
	enum status s = request_split_path(rq);
	if (s == STATUS_OK)
		s = find_route(rq);
	if (s == STATUS_OK)
		s = check_names(rq);
	if (s == STATUS_OK)
		s = check_token(rq, pool);
	if (s == STATUS_OK)
		s = check_body(rq);
	return s == STATUS_OK ? handle(rq, pool) : s;
}
