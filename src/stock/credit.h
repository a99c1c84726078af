/*
 * Units that were granted to a segment whose server did not answer when they were to be credited: they are in flight,
 * and nothing brings them there while nobody claims.
 */
#ifndef STOCK_CREDIT_H
#define STOCK_CREDIT_H

#include "stock/claim_script.h"

/*
 * Credits the hub's totals to the segment, and tries again five times a second, for a minute, until the server answers.
 * Does not block. Safe to repeat: totals only grow, and the segment refuses those of an earlier base or term.
 */
void credit_later(struct service *svc, struct coupon *c, int segment, const struct totals *totals);

#endif
