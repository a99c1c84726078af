/*
 * seckill-orderd: one drainer of a pool. It keeps no state of its own: after a kill, all it needs is in Redis and
 * MySQL.
 */
#include "base/clock.h"
#include "bin/housekeeping.h"
#include "bin/program.h"
#include "host/log.h"
#include "store/durable.h"

/* Rests, but ends early when a server of Redis is back or was replaced, because orders and inspections wait for it. */
static void rest(struct service *svc, int ms)
{
	int64_t until = clock_mono_ms() + ms;
	unsigned changes = redis_changes(svc->redis_sync);
	do {
		int64_t left = until - clock_mono_ms();
		loop_turn(svc->loop_sync, left > 0 ? (int)left : 0);
	} while (!program_is_stopping() && clock_mono_ms() < until && changes == redis_changes(svc->redis_sync));
}

int main(int argc, char **argv)
{
	static struct program p = { .name = "seckill-orderd",
				    .usage = "[-c FILE] [-s NAME=VALUE]... [-t] [-h] [-V]",
				    .flags = "" };
	program_start(&p, argc, argv);
	program_open(&p, WITH_REDIS | WITH_DB | WITH_MARKS | WITH_SYNC_ENGINE);
	program_signals(&p);
	program_check_versions(&p);
	if (!durable_at_start(&p.service, true))
		program_fail(&p, EXIT_CONFIG,
			     "Redis or MySQL may lose what it acknowledged; require_durable = no accepts that");
	log_info("started");
	struct housekeeping *h = housekeeping_new(&p.service);
	while (!program_is_stopping())
		rest(&p.service, housekeeping_turn(h));
	housekeeping_free(h);
	program_close(&p);
	log_info("stopped");
	return EXIT_STOPPED;
}
