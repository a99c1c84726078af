/* What operators and load balancers ask. */
#include "base/disk.h"
#include "host/log.h"
#include "host/stats.h"
#include "http/handlers.h"
#include "inspect/inspect.h"
#include "stock/acknowledged.h"
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
	json_time(body, "time", redis_number_at(reply, 0) * 1000 + redis_number_at(reply, 1) / 1000);
	json_end(body, '}');
	request_finish(rq, STATUS_OK);
}

enum status handle_time(struct request *rq)
{
	struct redis_command c;
	redis_command(&c, "TIME");
	redis_send(rq->service->redis, &c, on_time, rq);
	return STATUS_PENDING;
}

enum status handle_health(struct request *rq)
{
	json_end(response_object(rq), '}');
	return STATUS_OK;
}

/* What a server says of our account is for the log: anybody may read the answer. */
static bool problem(struct buf *detail, const char *name, enum access access, const char *text)
{
	static const char *const texts[] = {
		[ACCESS_AWAY] = "is away", [ACCESS_REFUSED] = "refuses the account of the service, see the log"
	};
	if (access != ACCESS_OK)
		buf_printf(detail, "%s%s %s", detail->n ? "; " : "", name, texts[access]);
	else if (text)
		buf_printf(detail, "%s%s", detail->n ? "; " : "", text);
	if (text)
		log_error_limited("not_ready", LOG_TEXT("server", name), LOG_TEXT("reason", text));
	return text;
}

static void put_warning(struct request *rq, const char *what, const char *problem)
{
	if (problem)
		json_str(&rq->response.body, NULL, str_of(arena_printf(rq->arena, "%s: %s", what, problem)));
}

/* Why this process cannot use a file, or that another one cannot. */
static const char *shared_trouble(const struct request *rq, const char *own, enum counter gauge)
{
	return own || !stats_read(rq->service->stats, gauge) ? own : "a process cannot use the file, its log says why";
}

/* What is wrong with the replicas of a cluster, one of which may be promoted. */
static const char *replica_trouble(struct request *rq)
{
	const char *holds, *problem = durable_replicas(rq->service, rq->arena, &holds);
	if (!problem || !rq->service->conf->require_durable)
		return NULL;
	log_warn_limited("replicas", LOG_TEXT("reason", problem));
	return problem;
}

/* A sale needs none of these, so they are no reason to take the host out of service. */
static void put_warnings(struct request *rq)
{
	const struct service *s = rq->service;
	json_begin(&rq->response.body, "warnings", '[');
	put_warning(rq, "replicas", replica_trouble(rq));
	put_warning(rq, "board", shared_trouble(rq, stats_problem(s->stats), COUNT_private_memory__board));
	put_warning(rq, "marks", shared_trouble(rq, high_water_problem(s->high_water), COUNT_private_memory__marks));
	put_warning(rq, "marks", acknowledged_problem(rq->service, rq->arena));
	put_warning(rq, "page_cache", *s->conf->page_cache ? disk_problem(s->conf->page_cache) : NULL);
	put_warning(rq, "sold_out_dir", *s->conf->sold_out_dir ? disk_problem(s->conf->sold_out_dir) : NULL);
	json_end(&rq->response.body, ']');
}

/* A sale that is closed is no reason to take the host out of service: the others go on. */
static void put_closed(struct request *rq, const struct str *titles, int count)
{
	struct buf *body = &rq->response.body;
	json_begin(body, "closed", '[');
	for (int i = 0; i < count; i++)
		json_str(body, NULL, titles[i]);
	json_end(body, ']');
}

enum status handle_ready(struct request *rq)
{
	struct buf detail;
	enum access access;
	bool away, durable = rq->service->conf->require_durable;
	buf_init(&detail, rq->arena);
	const char *text = durable_redis(rq->service, rq->arena, &access);
	bool bad = problem(&detail, "Redis", access, durable || access != ACCESS_OK ? text : NULL);
	text = durable_mysql(rq->service, rq->arena, &access);
	if (db_failure(rq->service->db) == DB_SCHEMA)
		bad |= problem(&detail, "MySQL", ACCESS_OK, text);
	else
		bad |= problem(&detail, "MySQL", access, durable || access != ACCESS_OK ? text : NULL);
	bad |= problem(&detail, "Redis", ACCESS_OK, layout_problem(rq->service, rq->arena));
	if (access == ACCESS_OK)
		bad |= problem(&detail, "MySQL", ACCESS_OK,
			       rights_problem(rq->service, rq->arena, RIGHTS_WORKERS, &away));
	if (stats_read(rq->service->stats, COUNT_drain_denied))
		bad |= problem(&detail, "MySQL", ACCESS_OK,
			       "MySQL refuses the drainers their work: account_refused in their log says what");
	if (bad) {
		rq->response.detail = buf_str(&detail).p;
		return STATUS_UNAVAILABLE;
	}
	struct str *closed;
	int count;
	enum status s = inspect_quarantined(rq->service, rq->arena, &closed, &count);
	if (s != STATUS_OK)
		return s;
	struct buf *body = response_object(rq);
	json_int(body, "wait_replicas", redis_wait_replicas(rq->service->redis_sync));
	put_warnings(rq);
	put_closed(rq, closed, count);
	json_end(body, '}');
	return STATUS_OK;
}

/* Rows of one metric share what stands before "__". */
static size_t metric_name(enum counter c)
{
	const char *cut = strstr(stats_name(c), "__");
	return cut ? (size_t)(cut - stats_name(c)) : strlen(stats_name(c));
}

enum status handle_metrics(struct request *rq)
{
	struct buf *out = &rq->response.body;
	for (enum counter c = 0; c < COUNTERS; c++) {
		int n = (int)metric_name(c);
		const char *name = stats_name(c);
		if (*stats_help(c)) {
			bool counts = n > 6 && strncmp(name + n - 6, "_total", 6) == 0;
			buf_printf(out, "# HELP seckill_%.*s %s\n# TYPE seckill_%.*s %s\n", n, name, stats_help(c), n,
				   name, counts ? "counter" : "gauge");
		}
		buf_printf(out, "seckill_%.*s%s %llu\n", n, name, stats_labels(c),
			   (unsigned long long)stats_read(rq->service->stats, c));
	}
	buf_printf(out,
		   "# HELP seckill_scripts_per_win Lua scripts of every kind for each claim that won\n"
		   "# TYPE seckill_scripts_per_win gauge\nseckill_scripts_per_win %.4f\n",
		   stats_scripts_per_win(rq->service->stats));
	buf_printf(out,
		   "# HELP seckill_marks_used Segments of which this host remembers the highest order number, at most "
		   "%d\n# TYPE seckill_marks_used gauge\nseckill_marks_used %d\n",
		   HIGH_WATER_MAX, high_water_count(rq->service->high_water));
	rq->response.type = "text/plain; version=0.0.4; charset=utf-8";
	return STATUS_OK;
}
