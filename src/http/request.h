/*
 * A request as a value: parsed once, then read by one handler, which fills
 * the response. It lives in its connection; its memory dies with the answer.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdint.h>

#include "account/token.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "sale/service.h"
#include "sale/status.h"

enum { PATH_MAX_PARTS = 8, PAGE_LAST = 1000000000 };

struct response {
	struct buf body;    /* a JSON object under construction, or empty */
	struct buf headers; /* further header lines, each with \r\n */
	const char *detail; /* for errors: instead of status_text */
	const char *type;   /* instead of application/json */
	int retry_after_s;  /* 0: none */
};

struct request {
	struct service *service;
	struct arena *arena;
	struct str method; /* as received; HEAD arrives as GET */
	struct str path;   /* as nginx reads it: percent-encoding undone, dot segments and repeated slashes resolved */
	struct str query;  /* as received */
	struct str authorization, idempotency_key, id, peer, body;
	const struct route *route;
	struct str part[PATH_MAX_PARTS]; /* the path's pieces: api, users, NAME, coupons, ... */
	int parts;
	struct token token; /* valid when the route asks for one */
	bool fallback;      /* cold pool: the hot pool did not know this coupon or user */
	struct response response;
	void (*answer)(struct request *rq, enum status s); /* the server's; called exactly once */
	void (*set_aside)(struct request *rq);             /* the server's */
};

/* Fills part from path; STATUS_OK, STATUS_NOT_FOUND (too many parts), or STATUS_UNAVAILABLE (nginx passed none). */
enum status request_split_path(struct request *rq);

/*
 * The query parameter `page`, 1 to PAGE_LAST: 1 when it is missing, empty or below 1; PAGE_LAST, which is beyond the
 * end of every list, when it is above. STATUS_OK, or STATUS_BAD_PAGE with the detail set when it is not an int64_t.
 */
enum status request_page(struct request *rq, int64_t *page);

/*
 * Of routes whose repetition is answered alike by nature: an Idempotency-Key is not kept, but one that is none is
 * refused. STATUS_OK, also without one, or STATUS_BAD_REQUEST.
 */
enum status request_idempotency(struct request *rq);

/* Reads the body by a table of fields. STATUS_OK, STATUS_BAD_JSON or STATUS_BAD_FIELD with the detail set. */
enum status request_read(struct request *rq, const struct json_field *fields, int count);

/* Sets the detail of an error and returns the status: `return request_fail(rq, STATUS_BAD_FIELD, "...")`. */
enum status request_fail(struct request *rq, enum status s, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * A handler that returned STATUS_PENDING ends the request with this. The
 * request and its arena are gone afterwards.
 */
void request_finish(struct request *rq, enum status s);

/*
 * Before a handler returns STATUS_PENDING whose answer comes by a timer: a worker that serves one connection at a time
 * takes others meanwhile. The caller bounds how many requests are set aside.
 */
void request_set_aside(struct request *rq);

/* Ends a request of the hot pool that only the cold one can answer: nginx asks there. */
void request_hand_over(struct request *rq);

/* A JSON success body: begins with "errMsg": "". The handler adds members and calls json_end. */
struct buf *response_object(struct request *rq);
void response_header(struct request *rq, const char *name, struct str value);

/* The answer as a CGI response in the request's arena: status line, headers, body; errors as problem+json. */
struct str response_render(struct request *rq, enum status s);

#endif
