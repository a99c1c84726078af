#include "sale/sale_clock.h"

void sale_clock_command(struct redis_command *c)
{
	redis_command(c, "TIME");
}

int64_t sale_clock_ms(const struct redis_reply *reply)
{
	return redis_number_at(reply, 0) * 1000 + redis_number_at(reply, 1) / 1000;
}

enum status sale_clock_read(struct service *svc, struct arena *a, int64_t *now_ms)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	sale_clock_command(&c);
	if (redis_call(svc->redis_sync, a, &c, &reply) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	*now_ms = sale_clock_ms(reply);
	return STATUS_OK;
}
