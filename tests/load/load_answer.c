/*
 * A small part of HTTP, and a histogram: values below 32 have a bucket each; above, the exponent chooses 32 buckets and
 * the next five bits one of them.
 */
#include "load/load_answer.h"

#include <stdio.h>

#include "base/json.h"
#include "base/parse.h"

/* The text between `name` and `end`; empty when there is none, or it is too long for a label. */
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

static void put_latency(struct buf *out, const char *name, const struct histogram *h)
{
	json_begin(out, name, '{');
	json_int(out, "count", h->count);
	json_int(out, "late", h->late);
	json_int(out, "p50_us", at(h, 500));
	json_int(out, "p90_us", at(h, 900));
	json_int(out, "p99_us", at(h, 990));
	json_int(out, "p999_us", at(h, 999));
	json_int(out, "max_us", h->max_us);
	json_end(out, '}');
}

static int64_t with_status(const struct tally *t, int status)
{
	int64_t n = 0;
	for (int i = 0; i < t->count; i++)
		n += t->answers[i].status == status ? t->answers[i].latency.count : 0;
	return n;
}

static void put_answers(struct buf *out, const struct tally *t)
{
	json_begin(out, "answers", '{');
	for (int i = 0; i < t->count; i++) {
		const struct tally_answer *a = &t->answers[i];
		char name[TALLY_LABEL + 8];
		snprintf(name, sizeof name, "%d%s%s", a->status, *a->label ? " " : "", a->label);
		put_latency(out, name, &a->latency);
	}
	json_end(out, '}');
}

void tally_put(struct buf *out, const struct tally *t)
{
	json_begin(out, NULL, '{');
	json_int(out, "sent", t->sent);
	json_int(out, "unsent", t->unsent);
	json_int(out, "won", with_status(t, 201));
	json_int(out, "lost", with_status(t, 0));
	json_int(out, "elapsed_us", t->elapsed_us);
	json_int(out, "per_second", t->elapsed_us ? t->latency.count * 1000000 / t->elapsed_us : 0);
	put_latency(out, "latency", &t->latency);
	put_latency(out, "service", &t->service);
	put_answers(out, t);
	json_end(out, '}');
}
