/* seckill-orderd: one drainer of a pool. Stateless: what it needs to go on after a kill is in Redis and MySQL. */
#include <stdlib.h>

#include "account/revocation_sync.h"
#include "base/clock.h"
#include "bin/program.h"
#include "drain/drain.h"
#include "host/log.h"
#include "order/acknowledged_sweep.h"
#include "store/durable.h"
#include "store/rights.h"

/* A server that is back is noticed within TROUBLE_MAX_MS: slots in doubt wait for MySQL. */
enum { IDLE_MAX_MS = 200, TROUBLE_MAX_MS = 500 };

/* How long to wait after a pass: nothing while batches are full, longer and longer while there is nothing or no server.
 */
static int pause_ms(const struct conf *conf, int moved, int last_ms)
{
	int least = conf->drain_idle_ms;
	if (moved > 0 && moved >= conf->drain_batch / 2)
		return 0;
	if (moved > 0)
		return least;
	int next = last_ms < least ? least : last_ms * 2;
	int most = moved < 0 ? TROUBLE_MAX_MS : IDLE_MAX_MS;
	return next > most ? most : next;
}

/* Ends early when a server of Redis is back, or was replaced: orders and inspections wait for nothing else then. */
static void rest(struct service *svc, int ms)
{
	int64_t until = clock_mono_ms() + ms;
	unsigned changes = redis_changes(svc->redis_sync);
	do {
		int64_t left = until - clock_mono_ms();
		loop_turn(svc->loop_sync, left > 0 ? (int)left : 0);
	} while (!program_is_stopping() && clock_mono_ms() < until && changes == redis_changes(svc->redis_sync));
}

/* An account that may not write orders would be noticed with the first order: it is said before, and until it may. */
static bool may_drain(struct service *svc)
{
	bool away, refused = rights_refused(svc, RIGHTS_DRAINERS, &away);
	stats_set(svc->stats, COUNT_drain_denied, refused);
	return !refused && !away;
}

int main(int argc, char **argv)
{
	static struct program p = { .name = "seckill-orderd",
				    .usage = "[-c FILE] [-s NAME=VALUE]... [-t] [-h] [-V]",
				    .flags = "" };
	program_start(&p, argc, argv);
	program_open(&p, WITH_REDIS | WITH_DB | WITH_MARKS);
	program_signals(&p);
	program_check_versions(&p);
	if (!durable_at_start(&p.service, true))
		program_fail(&p, EXIT_CONFIG,
			     "Redis or MySQL may lose what it acknowledged; require_durable = no accepts that");
	log_info("started");
	struct drain *d = drain_new(&p.service);
	struct revocation_sync *revocations = revocation_sync_new(&p.service);
	struct acknowledged_sweep *acknowledged = acknowledged_sweep_new(&p.service);
	bool well = false; /* after trouble the account is looked at again */
	for (int wait = 0; !program_is_stopping();) {
		well = well || may_drain(&p.service);
		int moved = drain_pass(d);
		well = well && moved >= 0;
		acknowledged_sweep_step(acknowledged);
		wait = pause_ms(&p.conf, well ? moved : -1, wait);
		bool more = revocation_sync_step(revocations);
		more |= acknowledged_sweep_step(acknowledged);
		rest(&p.service, more || drain_rushes(d) ? 0 : wait);
	}
	acknowledged_sweep_free(acknowledged);
	revocation_sync_free(revocations);
	drain_free(d);
	program_close(&p);
	log_info("stopped");
	return EXIT_STOPPED;
}
