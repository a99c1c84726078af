/* Finds the end of a FastCGI request (FastCGI specification 1.0, section 3.3) in the bytes that have arrived. */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include "base/str.h"

enum framing_end {
	FRAMING_EMPTY,   /* no bytes have arrived */
	FRAMING_WHOLE,   /* a complete request, with its body */
	FRAMING_PARTIAL, /* the beginning of a request */
	FRAMING_INVALID, /* not a request, whatever follows */
};

/*
 * Accepts the requests that web servers send: a BEGIN_REQUEST for a responder, then PARAMS records and STDIN records,
 * each series up to an empty record, all with the same id; the name-value pairs must fill the PARAMS exactly. Anything
 * else, for example a record with another id or a management record, is invalid, because libfcgi would skip it and wait
 * for more.
 */
enum framing_end framing_scan(struct str bytes);

#endif
