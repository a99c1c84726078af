/* What happened to orders: the rows of order_events, which are only appended to. event.def is the table of kinds. */
#ifndef LIFECYCLE_EVENT_H
#define LIFECYCLE_EVENT_H

#include "base/arena.h"
#include "sale/order_number.h"
#include "sale/service.h"
#include "sale/status.h"

enum event_kind {
#define X(name, number, text, help) EVENT_##name = number,
#include "lifecycle/event.def"
#undef X
};

/* Who did it; the numbers are those of the column `actor`. */
enum actor { ACTOR_CUSTOMER = 1, ACTOR_SELLER, ACTOR_PROVIDER, ACTOR_OPERATOR, ACTOR_SERVICE };

struct event {
	struct order_number order;
	enum event_kind kind;
	enum actor actor;
	int64_t at_ms;     /* by the sale clock */
	struct str reason; /* at most 1020 bytes; may be empty */
	struct str source; /* the id of a provider's message, at most 128 bytes; empty: none */
};

/* "payment-failed"; "customer", "seller", "provider", "operator", "service". */
const char *event_kind_text(enum event_kind kind);
const char *actor_text(enum actor actor);

/*
 * Appends an event, in the caller's transaction. An order has at most one event of a source, so an event with a source
 * may be repeated. 0; -1: the database has failed. Blocks.
 */
int event_add(struct service *svc, const struct event *e) MUST_CHECK;

/* At most this many events of an order are read: the latest ones. Only a provider's messages can make more. */
enum { EVENTS_MAX = 100 };

/* Reads the events of an order, earliest first, into the arena. STATUS_OK, STATUS_UNAVAILABLE, STATUS_INTERNAL. Blocks.
 */
enum status event_list(struct service *svc, struct arena *a, const struct order_number *order, struct event **events,
		       int *count);

#endif
