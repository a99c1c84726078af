/* FastCGI's records (FastCGI specification 1.0, section 3.3), as far as one must know them to see where a request ends.
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include "base/str.h"

enum framing_end {
	FRAMING_NOTHING, /* no byte has come */
	FRAMING_WHOLE,   /* a request is there to the end of its body */
	FRAMING_PARTIAL, /* what is there may become one */
	FRAMING_RUBBISH, /* and this never will */
};

/*
 * Looks at what a peer has sent so far. A request is what web servers send: one BEGIN_REQUEST for a responder, PARAMS
 * and STDIN, each up to an empty record, all of one id, and names and values as long as their lengths say. Anything
 * else (other ids, management records) is rubbish: libfcgi would skip it and wait for more, or wait for the peer to
 * leave.
 */
enum framing_end framing_look(struct str bytes);

#endif
