/*
 * Order lists as a drainer reads them, and each record alone. The first byte is the number of segments, and whether the
 * lists have another base than the cursors; the next eight decide how MySQL fails; the rest is the records, one a line,
 * which the segments get in turn.
 */
#include "fuzz/fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "drain/move.h"
#include "fuzz/fake_db.h"
#include "host/log.h"
#include "sale/order_record.h"
#include "unit/fake_redis.h"

enum { PLAN = 8, RECORDS_MAX = 64, SEGMENTS = 8 };

/* Writing the log would take most of the time. */
void log_line(const char *level, const char *event, const struct log_pair *pairs)
{
	(void)level, (void)event, (void)pairs;
}

static struct str lists[SEGMENTS][RECORDS_MAX + 1]; /* the base first, as in a reply of peek.lua */
static size_t length[SEGMENTS];                     /* records */

/* A text that is read as a record is the text of that record, but for zeros before its numbers. */
static void read_alone(struct str text)
{
	struct order_record r = { .segment = 3 };
	bool read = order_record_read(text, &r);
	assert(r.segment == 3 && r.raw.p == text.p && r.raw.n == text.n);
	assert(read == (r.sequence > 0) && read == (r.claimed_ms > 0) && (read || (!r.user && !r.ticket)));
	assert(r.unit >= read && r.unit <= (read ? UNITS_MAX : 0) && (r.user || (r.unit == read && !r.ticket)));
	char again[ORDER_RECORD_TEXT];
	if (read)
		assert(order_record_text(again, &r).n <= text.n);
}

/* Of the lists; in fake_db all cursors have base 1. */
static struct str base;

static void deal(struct str text, int segments)
{
	struct str record;
	memset(length, 0, sizeof length);
	for (int i = 0; i < segments; i++)
		lists[i][0] = base;
	for (int i = 0; i < RECORDS_MAX && parse_split(&text, '\n', &record); i++) {
		read_alone(record);
		lists[i % segments][++length[i % segments]] = record;
	}
}

/* Answers "peek sk:{7:N}:s ..." with base and list. No list is trimmed before a commit. */
static void serve(void)
{
	const char *command = fake_redis_oldest();
	assert(strncmp(command, "trim", 4) != 0 || (fake_db_commits() > 0 && str_eq(base, STR("1"))));
	if (strncmp(command, "peek", 4) == 0) {
		int segment = atoi(strchr(command, ':') + 4);
		fake_redis_answer_texts(lists[segment], length[segment] + 1);
	} else {
		fake_redis_answer("1");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct conf conf;
	static struct stats *stats;
	const char *problem;
	struct arena a;
	struct batch b;
	if (size < 1 + PLAN)
		return 0;
	if (!stats) {
		conf_init(&conf);
		stats = stats_open("/nonexistent/board", &problem);
	}
	struct service svc = { .conf = &conf, .stats = stats };
	int segments = data[0] % SEGMENTS + 1;
	base = data[0] & 128 ? STR("2") : STR("1");
	deal((struct str){ (const char *)data + 1 + PLAN, size - 1 - PLAN }, segments);
	fake_db_plan(data + 1, PLAN);
	fake_redis_server = serve;
	arena_init(&a);
	batch_init(&b, &svc, &a, 7, segments);
	int moved = batch_move(&b);
	assert(moved >= -1 && moved <= (str_eq(base, STR("1")) ? 2 * RECORDS_MAX : 0));
	assert(fake_redis_waiting() == 0);
	arena_release(&a);
	return 0;
}
