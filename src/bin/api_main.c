/* seckill-api: one worker of a pool, over the listening socket it finds at descriptor 0. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account/revocation.h"
#include "base/clock.h"
#include "bin/program.h"
#include "host/log.h"
#include "http/handlers.h"
#include "http/server.h"
#include "stock/nginx_marker.h"
#include "store/durable.h"
#include "store/rights.h"

enum { LISTEN_FD = 0, STOP_MS = 10000 };

static int pool = -1;

static bool on_flag(int flag, const char *value)
{
	if (flag != 'p')
		return false;
	for (pool = POOLS - 1; pool >= 0 && strcmp(value, pool_name((enum pool)pool)) != 0; pool--)
		;
	return pool >= 0;
}

/* Serves until asked to stop, then until the last request is answered. */
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

int main(int argc, char **argv)
{
	static struct program p = { .name = "seckill-api",
				    .usage = "-p hot|cold|auth [-c FILE] [-s NAME=VALUE]... [-t] [-h] [-V]",
				    .flags = "p:",
				    .flag = on_flag };
	program_start(&p, argc, argv);
	if (pool < 0)
		program_fail(&p, EXIT_USAGE, "-p hot, -p cold or -p auth is missing");
	program_open(&p, pool == POOL_HOT ? WITH_LOOP_REDIS | WITH_REDIS | WITH_TOKENS | WITH_MARKS
					  : WITH_REDIS | WITH_DB | WITH_TOKENS | WITH_MARKS);
	program_signals(&p);
	program_check_versions(&p);
	if (!durable_at_start(&p.service, pool != POOL_HOT))
		program_fail(&p, EXIT_CONFIG,
			     "Redis or MySQL may lose what it acknowledged; require_durable = no accepts that");
	revocation_refresh(&p.service); /* the first request already knows who has logged out */
	bool away;
	if (pool == POOL_COLD)
		rights_refused(&p.service, RIGHTS_WORKERS, &away); /* /readyz says it from then on */
	if (pool == POOL_HOT) {
		redis_free(p.service.redis_sync);
		p.service.redis_sync = NULL;
		nginx_marker_watch(&p.service);
		redis_wait_up(p.service.redis); /* before the first request comes */
		revocation_watch(&p.service);
	}
	struct server *server =
		server_new(&p.service, LISTEN_FD, (enum pool)pool, pool == POOL_HOT ? p.conf.connections : 1);
	if (!server)
		program_fail(&p, EXIT_SYSTEM,
			     arena_printf(&p.arena, "descriptor 0 is no listening socket: %s", strerror(errno)));
	log_info("started", LOG_TEXT("pool", pool_name((enum pool)pool)));
	run(&p, server);
	redis_free(p.service.redis); /* its callbacks answer into connections that are still there */
	p.service.redis = NULL;
	lists_free(p.service.lists);
	server_free(server);
	program_close(&p);
	log_info("stopped");
	return EXIT_STOPPED;
}
