/* seckill-api: one worker of a pool. It serves the listening socket at descriptor 0. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account/revocation.h"
#include "api/handlers.h"
#include "api/route.h"
#include "base/clock.h"
#include "bin/program.h"
#include "host/log.h"
#include "http/server.h"
#include "stock/nginx_marker.h"
#include "store/durable.h"
#include "store/rights.h"

enum { LISTEN_FD = 0, STOP_MS = 10000 };

static int pool = -1;
static struct worker worker;

static bool on_flag(int flag, const char *value)
{
	if (flag != 'p')
		return false;
	for (pool = POOLS - 1; pool >= 0 && strcmp(value, pool_name((enum pool)pool)) != 0; pool--)
		;
	return pool >= 0;
}

/* Serves until the process is asked to stop and the last request is answered, at most STOP_MS later. */
static void run(struct program *p, struct server *server)
{
	int64_t until = INT64_MAX;
	while (server_is_alive(server) && clock_mono_ms() < until) {
		loop_turn(p->service.loop, until == INT64_MAX ? -1 : 100);
		if (program_is_stopping() && until == INT64_MAX) {
			until = clock_mono_ms() + STOP_MS;
			server_stop(server);
		}
	}
}

/* The hot pool never blocks: it closes its blocking connection, and uses timers to read logouts and the clock. */
static void start_hot(struct service *svc)
{
	redis_free(svc->redis_sync);
	svc->redis_sync = NULL;
	nginx_marker_watch(svc);
	redis_wait_up(svc->redis); /* so that the first request need not be refused */
	revocation_watch(svc);
}

static void start(struct program *p)
{
	static const int parts[POOLS] = {
		[POOL_HOT] = WITH_LOOP_REDIS | WITH_REDIS | WITH_TOKENS | WITH_MARKS | WITH_RATES,
		[POOL_COLD] = WITH_REDIS | WITH_DB | WITH_TOKENS | WITH_MARKS | WITH_PAYMENT_KEYS,
		[POOL_AUTH] = WITH_REDIS | WITH_DB | WITH_TOKENS | WITH_MARKS,
	};
	bool away;
	program_open(p, parts[pool]);
	program_signals(p);
	program_check_versions(p);
	if (!durable_at_start(&p->service, pool != POOL_HOT))
		program_fail(p, EXIT_CONFIG,
			     "Redis or MySQL may lose what it acknowledged; require_durable = no accepts that");
	revocation_refresh(&p->service); /* logged-out tokens are refused from the first request on */
	if (pool == POOL_COLD)
		rights_refused(&p->service, RIGHTS_WORKERS, &away); /* logs missing rights, which /readyz names, too */
	if (pool == POOL_HOT)
		start_hot(&p->service);
}

int main(int argc, char **argv)
{
	static struct program p = { .name = "seckill-api",
				    .usage = "-p hot|cold|auth [-c FILE] [-s NAME=VALUE]... [-t] [-h] [-V]",
				    .flags = "p:",
				    .flag = on_flag };
	program_start(&p, argc, argv);
	if (pool < 0)
		program_fail(&p, EXIT_USAGE, "-p hot, -p cold or -p auth is missing");
	start(&p);
	struct server *server = server_new(&p.service, LISTEN_FD, (enum pool)pool,
					   pool == POOL_HOT ? p.conf.connections : 1, route_run, &worker);
	if (!server)
		program_fail(&p, EXIT_SYSTEM,
			     arena_printf(&p.arena, "descriptor 0 is not a listening socket: %s", strerror(errno)));
	log_info("started", LOG_TEXT("pool", pool_name((enum pool)pool)));
	run(&p, server);
	redis_free(p.service.redis); /* before the connections are freed, because callbacks answer requests */
	p.service.redis = NULL;
	worker_release(&worker);
	server_free(server);
	program_close(&p);
	log_info("stopped");
	return EXIT_STOPPED;
}
