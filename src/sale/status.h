/*
 * How a request or an operation ended. The table status.def has for each status the enumerator, the HTTP code, the wire
 * code for programs, and the text for people.
 */
#ifndef SALE_STATUS_H
#define SALE_STATUS_H

enum status {
#define X(name, http, code, text) STATUS_##name,
#include "sale/status.def"
#undef X
	STATUS_COUNT
};

int status_http(enum status s);         /* 0: clients never get this status */
const char *status_code(enum status s); /* "sold-out" */
const char *status_text(enum status s);

#endif
