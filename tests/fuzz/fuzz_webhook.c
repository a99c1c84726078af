/*
 * A payment provider's message: three header values, a line each, and the body. Any of them may come from a stranger. The
 * body is also read as if the signature were right.
 */
#include "fuzz/fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/parse.h"
#include "lifecycle/message.h"
#include "lifecycle/webhook.h"
#include "sale/price.h"

/* Of the published test vector, which is in the corpus. */
enum { NOW = 1614265330 };
static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";

static struct webhook_keys *keys;

static void start(void)
{
	static struct conf conf;
	struct arena a;
	char path[] = "/tmp/seckill-fuzz-XXXXXX", setting[64];
	const char *problem;
	int fd = mkstemp(path);
	if (fd < 0 || write(fd, secret, sizeof secret - 1) < 0 || close(fd))
		abort();
	arena_init(&a);
	conf_init(&conf);
	snprintf(setting, sizeof setting, "payment_key_file=%s", path);
	conf_set(&conf, setting, "fuzz");
	keys = webhook_keys_new(&conf, &a, &problem);
	unlink(path);
	arena_release(&a);
	if (!keys)
		abort();
}

static void check_accepted(const struct webhook *w)
{
	int64_t at_s;
	assert(payment_is_id(w->id) && parse_int(w->timestamp, NOW - 300, NOW + 300, &at_s));
	assert(w->signature.n >= 47);
}

static void check_report(const struct report *r)
{
	bool of_money = r->kind == REPORT_PAID || r->kind == REPORT_REFUNDED;
	assert(of_money || r->kind == REPORT_FAILED || r->kind == REPORT_OTHER);
	assert(!r->payment.p || payment_is_id(r->payment));
	assert(!of_money || (payment_is_id(r->payment) && price_is_currency(r->currency)));
	assert(!of_money || (r->amount >= 0 && r->amount <= PRICE_MAX));
	assert(r->kind != REPORT_REFUNDED || (payment_is_id(r->refund) && r->amount > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct webhook w = { 0 };
	struct str rest = { (const char *)data, size };
	if (!keys)
		start();
	arena_init(&a);
	parse_split(&rest, '\n', &w.id);
	parse_split(&rest, '\n', &w.timestamp);
	parse_split(&rest, '\n', &w.signature);
	w.body = rest.p ? rest : STR("");
	const char *problem = webhook_problem(keys, &w, NOW);
	if (!problem)
		check_accepted(&w);
	struct report r = { .order = { 7, 9, 0 } };
	enum status s = message_read(&a, w.body, &r, &problem);
	assert(s == STATUS_OK || ((s == STATUS_BAD_JSON || s == STATUS_BAD_FIELD) && problem && *problem));
	if (s == STATUS_OK)
		check_report(&r);
	arena_release(&a);
	return 0;
}
