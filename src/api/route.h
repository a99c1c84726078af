/* The routes of the service, from the table route.def. tests/repo compares nginx, OpenAPI and the manuals with it. */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "http/request.h"

/* Whose token a route needs. A token of another role gets 403, on compat routes 401. */
enum who { ANYONE, ANY_TOKEN, CUSTOMER, SELLER, COMPAT_CUSTOMER, COMPAT_SELLER };

struct route {
	const char *method, *pattern; /* "/api/users/{seller}/coupons"; {x} matches one name */
	enum who who;
	enum pool pool;
	size_t body_limit; /* the most bytes of a body; 0: the body is ignored */
	handler *handle;
	handler *unknown; /* in the cold pool, for a coupon or user that the hot pool did not find; NULL: none */
	const char *help;
};

extern const struct route routes[];
extern const int route_count;

/* Finds the route, checks names, token, role and body, and calls the handler. */
router route_run;

#endif
