#include "http/request.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/etag.h"
#include "base/parse.h"
#include "base/random.h"

enum status request_fail(struct request *rq, enum status s, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	rq->response.detail = arena_strndup(rq->arena, text, strlen(text));
	return s;
}

/* A process asks the kernel for the random bytes of many ids at a time. */
static struct str new_id(struct arena *a)
{
	enum { BYTES = 16, IDS = 16 };
	static const char hex[] = "0123456789abcdef";
	static unsigned char bytes[IDS * BYTES];
	static size_t left;
	if (!left) {
		random_bytes(bytes, sizeof bytes);
		left = sizeof bytes;
	}
	char *text = arena_alloc(a, 2 * BYTES);
	for (int i = 0; i < BYTES; i++) {
		unsigned char byte = bytes[--left];
		text[2 * i] = hex[byte >> 4];
		text[2 * i + 1] = hex[byte & 15];
	}
	return (struct str){ text, 2 * BYTES };
}

void request_make_id(struct request *rq)
{
	rq->id = new_id(rq->arena);
	response_header(rq, "X-Request-Id", rq->id);
}

/* "/api/users/" and "/api/users" are the same path. */
static struct str trimmed(struct str path)
{
	if (path.n && path.p[0] == '/')
		path = (struct str){ path.p + 1, path.n - 1 };
	if (path.n && path.p[path.n - 1] == '/')
		path.n--;
	return path;
}

enum status request_split_path(struct request *rq)
{
	struct str rest = trimmed(rq->path), piece;
	if (!rq->path.p)
		return request_fail(rq, STATUS_UNAVAILABLE,
				    "nginx does not pass DOCUMENT_URI: install the nginx/seckill.conf of this version");
	for (; parse_split(&rest, '/', &piece); rq->parts++) {
		if (rq->parts == PATH_MAX_PARTS)
			return STATUS_NOT_FOUND;
		rq->part[rq->parts] = piece;
	}
	return STATUS_OK;
}

struct str request_query(const struct request *rq, struct str name)
{
	struct str rest = rq->query, pair, value = STR("");
	while (parse_split(&rest, '&', &pair))
		if (str_starts(pair, name))
			value = (struct str){ pair.p + name.n, pair.n - name.n };
	return value;
}

enum status request_page(struct request *rq, int64_t *page)
{
	struct str value = request_query(rq, STR("page="));
	*page = 1;
	if (value.n && !parse_int(value, INT64_MIN, INT64_MAX, page))
		return request_fail(rq, STATUS_BAD_PAGE, "page must be a whole number from %lld to %lld",
				    (long long)INT64_MIN, (long long)INT64_MAX);
	*page = *page < 1 ? 1 : *page > PAGE_LAST ? PAGE_LAST : *page;
	return STATUS_OK;
}

enum status request_idempotency(struct request *rq)
{
	enum { KEY_MAX = 255 };
	struct str key = rq->idempotency_key;
	bool ok = key.n <= KEY_MAX;
	for (size_t i = 0; ok && i < key.n; i++)
		ok = key.p[i] > ' ' && key.p[i] < 0x7f;
	return ok ? STATUS_OK
		  : request_fail(rq, STATUS_BAD_REQUEST,
				 "Idempotency-Key must be 1 to %d visible ASCII characters without spaces", KEY_MAX);
}

enum status request_if_match(struct request *rq)
{
	if (!rq->if_match.n || etag_list_is_valid(rq->if_match))
		return STATUS_OK;
	return request_fail(rq, STATUS_BAD_REQUEST, "If-Match must be * or ETags in quotes, with commas between them");
}

enum status request_read(struct request *rq, const struct json_field *fields, int count)
{
	bool is_json;
	if (json_read(rq->arena, rq->body, fields, count, &is_json, &rq->response.detail))
		return STATUS_OK;
	return is_json ? STATUS_BAD_FIELD : STATUS_BAD_JSON;
}

static const char *const locations[POOLS] = { [POOL_HOT] = "@hot", [POOL_COLD] = "@cold", [POOL_AUTH] = "@auth" };

const char *pool_name(enum pool pool)
{
	return locations[pool] + 1;
}

enum status request_elsewhere(struct request *rq, enum pool pool)
{
	rq->response.detail = locations[pool];
	return STATUS_ELSEWHERE;
}

enum status request_own(struct request *rq)
{
	rq->response.detail = "@own";
	return STATUS_ELSEWHERE;
}
