/* The one table of what the service answers: route.def. nginx, OpenAPI and the manual are checked against it. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http/request.h"

enum pool { POOL_HOT, POOL_COLD, POOL_AUTH, POOLS };

/* Who may ask. COMPAT_ roles answer 401 where the others answer 403. */
enum who { ANYONE, ANY_TOKEN, CUSTOMER, SELLER, COMPAT_CUSTOMER, COMPAT_SELLER };

typedef enum status handler(struct request *rq);

struct route {
	const char *method, *pattern; /* "/api/users/{seller}/coupons"; {x} matches one name */
	enum who who;
	enum pool pool;
	size_t body_limit;
	handler *handle;
	handler *unknown; /* cold pool, for what the hot one does not know; NULL: none */
	const char *help;
};

extern const struct route routes[];
extern const int route_count;

/* "hot"; what -p takes. */
const char *pool_name(enum pool pool);

/*
 * Finds the route, checks token, role and body, and runs the handler. Returns
 * its status: STATUS_PENDING when the answer comes later through
 * request_finish, STATUS_ELSEWHERE when another pool must answer.
 */
enum status route_run(struct request *rq, enum pool pool);

#endif
