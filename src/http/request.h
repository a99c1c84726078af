/*
 * A request: read completely, then passed to one handler, which fills in the response. It is part of its connection;
 * its memory is freed once it is answered.
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

/* A pool is a group of processes that answer the same routes; nginx has a location for each pool. */
enum pool { POOL_HOT, POOL_COLD, POOL_AUTH, POOLS };

struct response {
	struct buf body;    /* a JSON object under construction, or empty */
	struct buf headers; /* further header lines, each ended by \r\n */
	const char *detail; /* an error's detail, in place of status_text; with STATUS_ELSEWHERE, nginx's location */
	const char *type;   /* in place of application/json */
	const char *policy; /* of a 429: the rate limit that was exceeded; NULL: none that has a policy */
	int retry_after_s;  /* 0: not set */
};

struct request {
	struct service *service;
	struct worker *worker; /* what handlers keep from one request to the next */
	struct arena *arena;
	struct str method; /* as received; HEAD arrives as GET */
	struct str path;   /* as nginx reads it: percent-decoded, dot segments and repeated slashes resolved */
	struct str query;  /* as received */
	struct str authorization, idempotency_key, if_match, id, peer, body;
	struct str webhook_id, webhook_timestamp, webhook_signature;
	const struct route *route;
	struct str part[PATH_MAX_PARTS]; /* the path's pieces: api, users, NAME, coupons, ... */
	int parts;
	struct token token; /* set when the route needs one, or the client has sent a valid one */
	bool fallback; /* cold pool: the hot pool has passed it on, in most cases because Redis lacks what it names */
	struct response response;
};

/*
 * Handles a request. The returned status is answered, except STATUS_PENDING: the handler's callbacks call
 * request_finish later. STATUS_ELSEWHERE (request_elsewhere) passes the request to another pool.
 */
typedef enum status handler(struct request *rq);

/* Calls the handler of a request that has come to a pool, or refuses it. Returns what a handler returns. */
typedef enum status router(struct request *rq, enum pool pool);

/* Sets a new id, 32 hexadecimal digits, and the header that sends it: for a request to which nginx gave none. */
void request_make_id(struct request *rq);

/*
 * Sets part and parts from path. STATUS_OK, STATUS_NOT_FOUND (too many parts), STATUS_UNAVAILABLE (nginx sent no path).
 */
enum status request_split_path(struct request *rq);

/*
 * Reads the query parameter `page`: 1 when it is missing, empty or below 1; PAGE_LAST, which is beyond the end of every
 * list, when it is above PAGE_LAST. STATUS_OK; or STATUS_BAD_PAGE, with the detail set, when it is not an int64_t.
 */
enum status request_page(struct request *rq, int64_t *page);

/* The value of a query parameter as received: the last one; empty if there is none. `name` ends with '='. */
struct str request_query(const struct request *rq, struct str name);

/*
 * Checks an Idempotency-Key. STATUS_OK, also without a key; STATUS_BAD_REQUEST: the key is malformed. Routes that are
 * idempotent anyway need no more than this.
 */
enum status request_idempotency(struct request *rq);

/*
 * Checks an If-Match. Whether it holds, etag_list_has decides in the transaction that changes what it is about; one
 * that does not hold is STATUS_PRECONDITION_FAILED. STATUS_OK, also without one; STATUS_BAD_REQUEST: it is malformed.
 */
enum status request_if_match(struct request *rq);

/* Reads the body into the fields of a table. STATUS_OK; STATUS_BAD_JSON or STATUS_BAD_FIELD, with the detail set. */
enum status request_read(struct request *rq, const struct json_field *fields, int count);

/* Sets the detail of an error, and returns the status: `return request_fail(rq, STATUS_BAD_FIELD, "...")`. */
enum status request_fail(struct request *rq, enum status s, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Passes the request to another pool: returns STATUS_ELSEWHERE. nginx limits what one address passes to the cold pool.
 */
enum status request_elsewhere(struct request *rq, enum pool pool);

/* The same, for what only the token's user may read: passes it to the cold pool without that limit. */
enum status request_own(struct request *rq);

/* "hot", "cold" or "auth", as the flag -p names the pools. */
const char *pool_name(enum pool pool);

/*
 * Answers a request, and frees its memory. To be called exactly once after a handler has returned STATUS_PENDING. This
 * and request_set_aside are defined in server.c; tests define their own.
 */
void request_finish(struct request *rq, enum status s);

/*
 * To be called by a handler that returns STATUS_PENDING and waits for a timer: the request does not count in
 * max_connections any more, so a worker that serves one connection at a time accepts another. The caller limits how
 * many requests are set aside.
 */
void request_set_aside(struct request *rq);

/* Begins the JSON body of a success with "errMsg": "". The handler adds members and calls json_end. */
struct buf *response_object(struct request *rq);
void response_header(struct request *rq, const char *name, struct str value);

/* Renders the answer as a CGI response, in the request's arena. The body of an error is problem+json. */
struct str response_render(struct request *rq, enum status s);

#endif
