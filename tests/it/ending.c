/*
 * Calls the transitions of src/lifecycle that the drainers' jobs make, on a real MySQL, for orderlife.py:
 *
 *   ending CONF expire COUPON NOW_MS PAY_BY:SEGMENT:SEQUENCE...   prints STATUS EXPIRED STALE
 *   ending CONF late PAYMENT ORDER                                 a late payment pays this order; prints STATUS
 *   ending CONF refuse PAYMENT REASON                              prints STATUS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lifecycle/report.h"
#include "lifecycle/transition.h"

static struct conf conf;
static struct service svc;
static struct arena arena;

static int expire(int argc, char **argv)
{
	static struct unpaid orders[EXPIRE_MAX];
	struct expiry e = { .coupon = atoll(argv[0]), .now_ms = atoll(argv[1]), .orders = orders };
	for (int i = 2; i < argc && e.count < EXPIRE_MAX; i++, e.count++) {
		long long pay_by, sequence;
		if (sscanf(argv[i], "%lld:%d:%lld", &pay_by, &orders[e.count].segment, &sequence) != 3)
			return 64;
		orders[e.count].pay_by_ms = pay_by;
		orders[e.count].sequence = sequence;
	}
	enum status s = order_expire(&svc, &arena, &e);
	printf("%s %d %d\n", status_code(s), e.expired, e.stale);
	return 0;
}

/* The late payment of this id. */
static bool find(const char *id, struct payment *p)
{
	struct payment *all;
	int count;
	if (payment_late(&svc, &arena, STR(""), 1000, &all, &count) != STATUS_OK)
		return false;
	for (int i = 0; i < count; i++)
		if (str_eq(all[i].id, str_of(id))) {
			*p = all[i];
			return true;
		}
	*p = (struct payment){ .id = str_of(id) };
	return true;
}

static int settle(const char *what, const char *id, const char *text)
{
	struct payment late;
	struct order_number order;
	if (!find(id, &late))
		return 69;
	if (strcmp(what, "refuse") == 0)
		puts(status_code(order_refuse_late(&svc, &arena, &late, str_of(text))));
	else if (order_number_read(str_of(text), &order))
		puts(status_code(order_pay_late(&svc, &arena, &late, &order)));
	else
		return 64;
	return 0;
}

int main(int argc, char **argv)
{
	const char *problem;
	if (argc < 5)
		return 64;
	conf_init(&conf);
	conf_load_file(&conf, argv[1]);
	svc.conf = &conf;
	svc.stats = stats_open("/nonexistent/board", &problem);
	svc.db = db_new(&conf);
	svc.loop_sync = loop_new();
	svc.redis_sync = redis_new(svc.loop_sync, &conf, &problem);
	if (!conf_ok(&conf) || !svc.redis_sync)
		return 78;
	int code = strcmp(argv[2], "expire") == 0 ? expire(argc - 3, argv + 3) : settle(argv[2], argv[3], argv[4]);
	db_free(svc.db);
	redis_free(svc.redis_sync);
	loop_free(svc.loop_sync);
	arena_release(&arena);
	stats_close(svc.stats);
	conf_release(&conf);
	return code;
}
