/* Renders an answer from a status and what the handler has written. */
#include <inttypes.h>

#include "http/request.h"

static const char *reason(int http)
{
	static const struct {
		int http;
		const char *text;
	} reasons[] = { { 200, "OK" },
			{ 201, "Created" },
			{ 204, "No Content" },
			{ 400, "Bad Request" },
			{ 401, "Unauthorized" },
			{ 403, "Forbidden" },
			{ 404, "Not Found" },
			{ 405, "Method Not Allowed" },
			{ 409, "Conflict" },
			{ 410, "Gone" },
			{ 412, "Precondition Failed" },
			{ 413, "Content Too Large" },
			{ 422, "Unprocessable Content" },
			{ 429, "Too Many Requests" },
			{ 500, "Internal Server Error" },
			{ 503, "Service Unavailable" } };
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].http == http)
			return reasons[i].text;
	return "";
}

struct buf *response_object(struct request *rq)
{
	struct buf *body = &rq->response.body;
	json_begin(body, NULL, '{');
	json_str(body, "errMsg", STR(""));
	return body;
}

void response_header(struct request *rq, const char *name, struct str value)
{
	struct buf *to = &rq->response.headers;
	buf_puts(to, name);
	buf_put(to, STR(": "));
	buf_put(to, value);
	buf_put(to, STR("\r\n"));
}

/* The problem type of draft-ietf-httpapi-ratelimit-headers-11, section 5.1. */
#define QUOTA_EXCEEDED "https://iana.org/assignments/http-problem-types#quota-exceeded"

/* Problem details (RFC 9457), with a code for programs; errMsg is for compat clients. */
static void put_problem(struct request *rq, enum status s)
{
	struct response *r = &rq->response;
	struct str detail = str_of(r->detail ? r->detail : status_text(s));
	r->body.n = 0;
	r->type = "application/problem+json";
	json_begin(&r->body, NULL, '{');
	json_str(&r->body, "type", r->policy ? STR(QUOTA_EXCEEDED) : STR("about:blank"));
	json_str(&r->body, "title", r->policy ? STR("Quota Exceeded") : str_of(reason(status_http(s))));
	json_int(&r->body, "status", status_http(s));
	json_str(&r->body, "detail", detail);
	json_str(&r->body, "code", str_of(status_code(s)));
	json_str(&r->body, "errMsg", detail);
	if (r->policy) {
		json_begin(&r->body, "violated-policies", '[');
		json_str(&r->body, NULL, str_of(r->policy));
		json_end(&r->body, ']');
	}
	json_end(&r->body, '}');
}

/*
 * Retry-After of a 503 for which the handler has set none. A fenced sale is closed until an operator has recovered it.
 */
static int default_retry_after_s(enum status s)
{
	enum { SOON_S = 1, FENCED_S = 30 };
	return s == STATUS_FENCED ? FENCED_S : SOON_S;
}

static void extra_headers(struct request *rq, enum status s)
{
	struct response *r = &rq->response;
	int http = status_http(s);
	if (http == 503 && !r->retry_after_s)
		r->retry_after_s = default_retry_after_s(s);
	if (r->retry_after_s)
		buf_printf(&r->headers, "Retry-After: %d\r\n", r->retry_after_s);
	if (http == 401)
		buf_puts(&r->headers, "WWW-Authenticate: Bearer\r\n");
}

static void status_line(struct buf *out, int http)
{
	buf_put(out, STR("Status: "));
	buf_int(out, http);
	buf_put(out, STR(" "));
	buf_puts(out, reason(http));
	buf_put(out, STR("\r\n"));
}

static void put_body(struct buf *out, const struct response *r)
{
	struct str body = buf_str(&r->body);
	buf_put(out, STR("Content-Type: "));
	buf_puts(out, r->type ? r->type : "application/json");
	buf_put(out, STR("\r\nContent-Length: "));
	buf_int(out, (int64_t)body.n);
	buf_put(out, STR("\r\n\r\n"));
	buf_put(out, body);
}

/* Every answer is written here, so printf is avoided where it is easy: it would parse a format for each answer. */
struct str response_render(struct request *rq, enum status s)
{
	struct response *r = &rq->response;
	struct buf out;
	buf_init(&out, rq->arena);
	if (s == STATUS_ELSEWHERE) { /* nginx passes the same request to the location in `detail` */
		buf_printf(&out, "X-Accel-Redirect: %s\r\n\r\n", r->detail);
		return buf_str(&out);
	}
	int http = status_http(s);
	if (http >= 400)
		put_problem(rq, s);
	extra_headers(rq, s);
	status_line(&out, http);
	buf_put(&out, buf_str(&r->headers));
	if (http != 204)
		put_body(&out, r);
	else
		buf_put(&out, STR("\r\n"));
	return buf_str(&out);
}
