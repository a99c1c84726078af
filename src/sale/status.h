/*
 * Every way a request or an operation can end, from the one table in
 * status.def: the enum, the HTTP code, the wire code that clients match on,
 * and the sentence a person reads.
 */
#ifndef SALE_STATUS_H
#define SALE_STATUS_H

enum status {
#define X(name, http, code, text) STATUS_##name,
#include "sale/status.def"
#undef X
	STATUS_COUNT
};

int status_http(enum status s);         /* 0 for those that never reach a client */
const char *status_code(enum status s); /* "sold-out" */
const char *status_text(enum status s);

#endif
