/* The sale clock: Redis's, which opens and closes sales. In ms since 1970. */
#ifndef SALE_SALE_CLOCK_H
#define SALE_SALE_CLOCK_H

#include "sale/service.h"
#include "sale/status.h"

/* Builds the command that reads the clock, and reads its reply. */
void sale_clock_command(struct redis_command *c);
int64_t sale_clock_ms(const struct redis_reply *reply);

/* Reads the clock. STATUS_OK, STATUS_UNAVAILABLE. Blocks. */
enum status sale_clock_read(struct service *svc, struct arena *a, int64_t *now_ms);

#endif
