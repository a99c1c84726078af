/* What claims cost Redis, as /metrics and `seckillctl status` show it. */
#ifndef STOCK_CLAIM_COST_H
#define STOCK_CLAIM_COST_H

#include "host/stats.h"

/* Script calls of all claims, also of those that lost, divided by the claims that won; 0 when none has won. */
double claim_scripts_per_win(const struct stats *s);

#endif
