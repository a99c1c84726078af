/* A small part of HTTP, and a histogram: values below 32 have a bucket each; above, the exponent chooses 32 buckets and
 * the next five bits one of them. */
#include "bin/load_answer.h"

#include "base/parse.h"

/* What stands after `name` up to `end`, short enough for a label; empty when it is not there. */
static struct str after(struct str text, const char *name, char end)
{
	const char *p = memmem(text.p, text.n, name, strlen(name));
	if (!p)
		return STR("");
	p += strlen(name);
	const char *stop = memchr(p, end, text.n - (size_t)(p - text.p));
	return stop && stop - p < TALLY_LABEL ? (struct str){ p, (size_t)(stop - p) } : STR("");
}

bool answer_read(struct str text, size_t most, struct answer *out)
{
	static const size_t status_at = sizeof "HTTP/1.1 " - 1;
	int64_t status, length = 0;
	*out = (struct answer){ 0 };
	const char *end = memmem(text.p, text.n, "\r\n\r\n", 4);
	if (!end)
		return text.n < most;
	struct str head = { text.p, (size_t)(end - text.p) + 2 };
	struct str size = after(head, "\r\nContent-Length: ", '\r');
	if (!str_starts(head, STR("HTTP/1.")) || head.n < status_at + 3 ||
	    !parse_int((struct str){ head.p + status_at, 3 }, 100, 599, &status) ||
	    (size.n ? !parse_int(size, 0, (int64_t)most, &length) : status != 204))
		return false;
	out->size = head.n + 2 + (size_t)length;
	if (text.n < out->size)
		return out->size <= most;
	out->status = (int)status;
	out->label = status < 400 ? after(head, "\r\nSeckill-Result: ", '\r')
				  : after((struct str){ end, (size_t)length + 4 }, "\"code\":\"", '"');
	out->closes = str_eq(after(head, "\r\nConnection: ", '\r'), STR("close"));
	return true;
}

enum { SUB_BITS = 5, SUB = 1 << SUB_BITS, LATE_US = 1000000 };

static int bucket_of(int64_t us)
{
	if (us < SUB)
		return us < 0 ? 0 : (int)us;
	int shift = 63 - __builtin_clzll((unsigned long long)us) - SUB_BITS;
	int64_t i = (int64_t)shift * SUB + (us >> shift);
	return i < HISTOGRAM_BUCKETS ? (int)i : HISTOGRAM_BUCKETS - 1;
}

static int64_t top_of(int bucket)
{
	if (bucket < SUB)
		return bucket;
	int shift = bucket / SUB - 1;
	return ((int64_t)(bucket % SUB + SUB + 1) << shift) - 1;
}

static void add(struct histogram *h, int64_t us)
{
	h->buckets[bucket_of(us)]++;
	h->count++;
	h->late += us > LATE_US;
	if (us > h->max_us)
		h->max_us = us;
}

/* The top of the bucket in which the per_mille-th value lies, never above max_us; 0 when it is empty. */
static int64_t at(const struct histogram *h, int per_mille)
{
	int64_t wanted = (h->count * per_mille + 999) / 1000, seen = 0;
	for (int i = 0; i < HISTOGRAM_BUCKETS && h->count; i++)
		if ((seen += h->buckets[i]) >= wanted)
			return top_of(i) < h->max_us ? top_of(i) : h->max_us;
	return 0;
}

void tally_add(struct tally *t, int status, struct str label, int64_t latency_us, int64_t service_us)
{
	int i = 0;
	while (i < t->count && (t->answers[i].status != status || !str_eq(str_of(t->answers[i].label), label)))
		i++;
	if (i == TALLY_ANSWERS)
		i--;
	struct tally_answer *a = &t->answers[i];
	if (i == t->count) {
		t->count++;
		a->status = status;
		memcpy(a->label, label.p, label.n);
	}
	add(&a->latency, latency_us);
	if (status) {
		add(&t->latency, latency_us);
		add(&t->service, service_us);
	}
}

/* Numbers with names, as members of an object or as a line of text. */
struct number {
	const char *name;
	int64_t value;
};

static void put(struct ctl *c, const struct number *numbers, int count)
{
	for (int i = 0; i < count; i++)
		if (c->json)
			json_int(&c->out, numbers[i].name, numbers[i].value);
		else
			buf_printf(&c->out, "%s%s %lld", i ? ", " : "", numbers[i].name, (long long)numbers[i].value);
	if (!c->json)
		buf_puts(&c->out, "\n");
}

static void put_latency(struct ctl *c, const char *name, const struct histogram *h)
{
	const struct number numbers[] = { { "count", h->count },    { "late", h->late },      { "p50_us", at(h, 500) },
					  { "p90_us", at(h, 900) }, { "p99_us", at(h, 990) }, { "p999_us", at(h, 999) },
					  { "max_us", h->max_us } };
	if (c->json)
		json_begin(&c->out, name, '{');
	else
		buf_printf(&c->out, "%-24s ", name);
	put(c, numbers, sizeof numbers / sizeof numbers[0]);
	if (c->json)
		json_end(&c->out, '}');
}

static int64_t with_status(const struct tally *t, int status)
{
	int64_t n = 0;
	for (int i = 0; i < t->count; i++)
		n += t->answers[i].status == status ? t->answers[i].latency.count : 0;
	return n;
}

static void put_answers(struct ctl *c, const struct tally *t)
{
	for (int i = 0; i < t->count; i++) {
		const struct tally_answer *a = &t->answers[i];
		const char *gap = *a->label ? " " : "";
		put_latency(c, arena_printf(c->arena, "%d%s%s", a->status, gap, a->label), &a->latency);
	}
}

void tally_put(struct ctl *c, const struct tally *t)
{
	int64_t rate = t->elapsed_us ? t->latency.count * 1000000 / t->elapsed_us : 0;
	const struct number numbers[] = {
		{ "sent", t->sent },           { "unsent", t->unsent },         { "won", with_status(t, 201) },
		{ "lost", with_status(t, 0) }, { "elapsed_us", t->elapsed_us }, { "per_second", rate }
	};
	if (c->json)
		json_begin(&c->out, NULL, '{');
	put(c, numbers, sizeof numbers / sizeof numbers[0]);
	put_latency(c, "latency", &t->latency);
	put_latency(c, "service", &t->service);
	if (c->json)
		json_begin(&c->out, "answers", '{');
	put_answers(c, t);
	if (c->json) {
		json_end(&c->out, '}');
		json_end(&c->out, '}');
		buf_puts(&c->out, "\n");
	}
}
