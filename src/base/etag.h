/* Entity tags, as a client names them in If-Match (RFC 9110, sections 8.8.3 and 13.1.1). */
#ifndef BASE_ETAG_H
#define BASE_ETAG_H

#include <stdbool.h>

#include "base/str.h"

/* Whether the value of an If-Match is "*" or a list of entity tags, with at least one. */
bool etag_list_is_valid(struct str list);

/*
 * Whether the value of an If-Match holds for a representation with this entity tag, which has its quotes: the list is
 * "*", or names the tag. A weak tag (W/"...") never matches; a list that is not valid does not match.
 */
bool etag_list_has(struct str list, struct str tag);

#endif
