/* Every handler of the route table. What each answers is in docs/openapi.yaml. */
#ifndef HTTP_HANDLERS_H
#define HTTP_HANDLERS_H

#include "http/route.h"

/* handle_auth.c */
handler handle_user_create, handle_login, handle_logout;

/* handle_claim.c; the second line is the cold pool's, for a coupon that the hot one does not know */
handler handle_claim, handle_claim_compat;
handler handle_coupon_unknown, handle_claim_compat_unknown;

/* handle_coupon.c */
handler handle_coupon_create, handle_stock_add, handle_coupon_read;

/* handle_list.c; the second is the cold pool's, for a name that is no seller in Redis */
handler handle_coupon_list, handle_list_unknown;
void lists_free(struct lists *ls); /* service.lists, when nothing is being read any more; NULL is fine */

/* handle_order.c */
handler handle_order_read, handle_order_list;

/* handle_ops.c */
handler handle_time, handle_health, handle_ready, handle_metrics;

#endif
