/*
 * A table of the lines that were written within the last minute, by a hash of the event and its pairs. While the table
 * is full, all other lines share one more entry, so that the size of the log is limited.
 */
#include "base/clock.h"
#include "base/siphash.h"
#include "host/log.h"

enum { LINES = 256, QUIET_MS = 60000, CROWDED_MS = 1000, PAIRS = 12 };

struct entry {
	uint64_t hash; /* 0: unused */
	int64_t written_ms;
	long long left_out;
};

static struct entry lines[LINES], others = { .hash = 1 };

static uint64_t hash_add(uint64_t hash, const void *bytes, size_t n)
{
	uint8_t key[SIPHASH_KEY] = { 0 };
	memcpy(key, &hash, sizeof hash);
	return siphash(key, bytes, n);
}

static uint64_t hash_of(const char *event, const struct log_pair *pairs)
{
	uint64_t hash = hash_add(0, event, strlen(event));
	for (; pairs->key; pairs++) {
		hash = hash_add(hash, pairs->key, strlen(pairs->key));
		hash = pairs->text.p ? hash_add(hash, pairs->text.p, pairs->text.n)
				     : hash_add(hash, &pairs->number, sizeof pairs->number);
	}
	return hash ? hash : 1;
}

static bool is_over(const struct entry *e, int64_t now)
{
	return !e->hash || now - e->written_ms >= QUIET_MS;
}

/* The entry of the line, or an expired entry, or the entry of all other lines. */
static struct entry *entry_find(uint64_t hash, int64_t now)
{
	struct entry *unused = NULL;
	for (int i = 0; i < LINES; i++) {
		if (lines[i].hash == hash)
			return &lines[i];
		if (!unused && is_over(&lines[i], now))
			unused = &lines[i];
	}
	if (!unused)
		return &others;
	*unused = (struct entry){ .hash = hash, .written_ms = now - QUIET_MS };
	return unused;
}

static void write_line(const char *level, const char *event, const struct log_pair *pairs, long long left_out)
{
	struct log_pair all[PAIRS + 2] = { 0 };
	int n = 0;
	while (n < PAIRS && pairs[n].key) {
		all[n] = pairs[n];
		n++;
	}
	if (left_out)
		all[n] = LOG_INT("repeated", left_out);
	log_line(level, event, all);
}

void log_line_limited(const char *level, const char *event, const struct log_pair *pairs)
{
	int64_t now = clock_mono_ms();
	struct entry *e = entry_find(hash_of(event, pairs), now);
	if (now - e->written_ms < (e == &others ? CROWDED_MS : QUIET_MS)) {
		e->left_out++;
		return;
	}
	write_line(level, event, pairs, e->left_out);
	e->written_ms = now;
	e->left_out = 0;
}
