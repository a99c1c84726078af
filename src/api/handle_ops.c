/* Routes for operators and load balancers. */
#include "api/handlers.h"
#include "base/disk.h"
#include "host/log.h"
#include "host/stats.h"
#include "inspect/quarantined.h"
#include "sale/sale_clock.h"
#include "stock/acknowledged.h"
#include "stock/claim_cost.h"
#include "store/durable.h"
#include "store/layout.h"
#include "store/rights.h"

static void on_time(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct request *rq = context;
	if (end != REDIS_ANSWER) {
		request_finish(rq, STATUS_UNAVAILABLE);
		return;
	}
	struct buf *body = response_object(rq);
	json_time(body, "time", sale_clock_ms(reply));
	json_end(body, '}');
	request_finish(rq, STATUS_OK);
}

enum status handle_time(struct request *rq)
{
	struct redis_command c;
	sale_clock_command(&c);
	redis_send(rq->service->redis, &c, on_time, rq);
	return STATUS_PENDING;
}

enum status handle_health(struct request *rq)
{
	json_end(response_object(rq), '}');
	return STATUS_OK;
}

/* The problems that take the host out of service, collected for the answer. */
struct readiness {
	struct request *request;
	struct buf detail;
};

/*
 * Adds a problem to the answer and logs it. If the server could not be asked, the reason is only logged, because
 * anybody may read the answer.
 */
static void add_problem(struct readiness *r, const char *server, enum access access, const char *reason)
{
	static const char *const texts[] = {
		[ACCESS_AWAY] = "is away", [ACCESS_REFUSED] = "refuses the account of the service, see the log"
	};
	if (access != ACCESS_OK)
		buf_printf(&r->detail, "%s%s %s", r->detail.n ? "; " : "", server, texts[access]);
	else if (reason)
		buf_printf(&r->detail, "%s%s", r->detail.n ? "; " : "", reason);
	if (reason)
		log_error_limited("not_ready", LOG_TEXT("server", server), LOG_TEXT("reason", reason));
}

static void put_warning(struct request *rq, const char *subject, const char *problem)
{
	if (problem)
		json_str(&rq->response.body, NULL, str_of(arena_printf(rq->arena, "%s: %s", subject, problem)));
}

/* `own`, why this process cannot use a shared file; or, by the gauge, that another process cannot. NULL: all can. */
static const char *shared_problem(const struct request *rq, const char *own, enum counter gauge)
{
	return own || !stats_read(rq->service->stats, gauge)
		       ? own
		       : "a process cannot use the file: see private_memory in its log";
}

/* The replicas of a cluster are checked, too, because any of them may be promoted. */
static const char *replica_problem(struct request *rq)
{
	const char *holds, *problem = durable_replicas_problem(rq->service, rq->arena, &holds);
	if (!problem || !rq->service->conf->require_durable)
		return NULL;
	log_warn_limited("replicas", LOG_TEXT("reason", problem));
	return problem;
}

/* Problems with which sales go on, so that they do not take the host out of service. */
static void put_warnings(struct request *rq)
{
	const struct service *s = rq->service;
	json_begin(&rq->response.body, "warnings", '[');
	put_warning(rq, "replicas", replica_problem(rq));
	put_warning(rq, "board", shared_problem(rq, stats_problem(s->stats), COUNT_private_memory__board));
	put_warning(rq, "marks", shared_problem(rq, high_water_problem(s->high_water), COUNT_private_memory__marks));
	put_warning(rq, "board.rates", shared_problem(rq, NULL, COUNT_private_memory__rates));
	put_warning(rq, "marks", acknowledged_problem(rq->service, rq->arena));
	put_warning(rq, "page_cache", *s->conf->page_cache ? disk_problem(s->conf->page_cache) : NULL);
	put_warning(rq, "sold_out_dir", *s->conf->sold_out_dir ? disk_problem(s->conf->sold_out_dir) : NULL);
	json_end(&rq->response.body, ']');
}

/* The closed sales. They do not take the host out of service, because other sales go on. */
static void put_closed(struct request *rq, const struct str *titles, int count)
{
	struct buf *body = &rq->response.body;
	json_begin(body, "closed", '[');
	for (int i = 0; i < count; i++)
		json_str(body, NULL, titles[i]);
	json_end(body, ']');
}

static void check_redis(struct readiness *r)
{
	struct request *rq = r->request;
	enum access access;
	const char *reason = durable_redis_problem(rq->service, rq->arena, &access);
	if (access != ACCESS_OK || rq->service->conf->require_durable)
		add_problem(r, "Redis", access, reason);
}

static void check_mysql(struct readiness *r)
{
	struct service *svc = r->request->service;
	struct arena *arena = r->request->arena;
	enum access access;
	bool away;
	const char *reason = durable_mysql_problem(svc, arena, &access);
	if (db_failure(svc->db) == DB_SCHEMA)
		add_problem(r, "MySQL", ACCESS_OK, reason);
	else if (access != ACCESS_OK || svc->conf->require_durable)
		add_problem(r, "MySQL", access, reason);
	add_problem(r, "Redis", ACCESS_OK, layout_problem(svc, arena));
	if (access == ACCESS_OK)
		add_problem(r, "MySQL", ACCESS_OK, rights_problem(svc, arena, RIGHTS_WORKERS, &away));
	if (stats_read(svc->stats, COUNT_drain_denied))
		add_problem(r, "MySQL", ACCESS_OK,
			    "MySQL refuses statements of the drainers: see account_refused in their log");
}

enum status handle_ready(struct request *rq)
{
	struct readiness r = { .request = rq };
	struct str *closed;
	int count;
	buf_init(&r.detail, rq->arena);
	check_redis(&r);
	check_mysql(&r);
	if (r.detail.n) {
		rq->response.detail = buf_str(&r.detail).p;
		return STATUS_UNAVAILABLE;
	}
	enum status s = quarantined_list(rq->service, rq->arena, &closed, &count);
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	json_int(body, "wait_replicas", redis_wait_replicas(rq->service->redis_sync));
	put_warnings(rq);
	put_closed(rq, closed, count);
	json_end(body, '}');
	return STATUS_OK;
}

static void put_metric(struct buf *out, const struct stats *stats, enum counter c)
{
	struct str metric = stats_metric(c);
	int n = (int)metric.n;
	if (*stats_help(c))
		buf_printf(out, "# HELP seckill_%.*s %s\n# TYPE seckill_%.*s %s\n", n, metric.p, stats_help(c), n,
			   metric.p, stats_is_gauge(c) ? "gauge" : "counter");
	buf_printf(out, "seckill_%.*s%s %llu\n", n, metric.p, stats_labels(c),
		   (unsigned long long)stats_read(stats, c));
}

enum status handle_metrics(struct request *rq)
{
	struct buf *out = &rq->response.body;
	for (enum counter c = 0; c < COUNTERS; c++)
		put_metric(out, rq->service->stats, c);
	buf_printf(out,
		   "# HELP seckill_scripts_per_win Lua scripts of every kind for each claim that won\n"
		   "# TYPE seckill_scripts_per_win gauge\nseckill_scripts_per_win %.4f\n",
		   claim_scripts_per_win(rq->service->stats));
	buf_printf(out,
		   "# HELP seckill_marks_used Segments with an entry in the high-water table, of "
		   "%d\n# TYPE seckill_marks_used gauge\nseckill_marks_used %d\n",
		   HIGH_WATER_MAX, high_water_count(rq->service->high_water));
	rq->response.type = "text/plain; version=0.0.4; charset=utf-8";
	return STATUS_OK;
}
