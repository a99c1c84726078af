/*
 * A batch of the drain, between lists and tables that are kept here: what becomes of each record, what stays on its list,
 * and what happens when a server does not do its part.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "drain/move.h"
#include "host/log.h"
#include "order/dead_letter.h"
#include "unit/fake_redis.h"

enum { COUPON = 7, SEGMENTS = 2, MOST = 32 };

/* The log, of which the last event is kept. */
static char event[64];

void log_line(const char *level, const char *name, const struct log_pair *pairs)
{
	(void)level, (void)pairs;
	snprintf(event, sizeof event, "%s", name);
}

/* MySQL: the tables, and as they were when the transaction began */

struct order_row {
	int64_t segment, number, user;
};

struct letter_row {
	int64_t segment, number, state; /* number 0: NULL */
	char record[64], reason[64];
};

static struct tables {
	bool has_coupon;
	int64_t amount, sold;
	struct cursor cursors[SEGMENTS];
	struct order_row orders[MOST];
	struct letter_row letters[MOST];
	int order_count, letter_count;
	int64_t range; /* how far the range of base 0 reaches, 0: not known */
} mysql, before;

static bool in_transaction;
static int64_t refused_user;       /* whose order MySQL does not take */
static enum db_failure commit_end; /* of a commit */
static int commits_before;         /* how many succeed before that one */
static enum db_failure failure;

static bool starts(const char *sql, const char *with)
{
	return strncmp(sql, with, strlen(with)) == 0;
}

static int fail_with(enum db_failure f)
{
	failure = f;
	return -1;
}

static void put_row(struct db_rows *rows, struct arena *a, int columns, const int64_t *numbers)
{
	struct db_value *all = arena_alloc(a, (size_t)(rows->count + 1) * (size_t)columns * sizeof *all);
	if (rows->count)
		memcpy(all, rows->values, (size_t)rows->count * (size_t)columns * sizeof *all);
	for (int i = 0; i < columns; i++)
		all[rows->count * columns + i] = DB_N(numbers[i]);
	rows->values = all;
	rows->columns = columns;
	rows->count++;
}

static int select_cursors(struct arena *a, const struct db_value *v, int count, struct db_rows *rows)
{
	for (int i = 0; i < SEGMENTS; i++)
		if (mysql.cursors[i].exists && (count == 1 || v[1].number == i))
			put_row(rows, a, 3,
				(int64_t[]){ i, mysql.cursors[i].base, mysql.cursors[i].next });
	return 0;
}

static bool is_asked(const struct db_value *v, int count, int64_t segment, int64_t number)
{
	for (int i = 2; i < count; i++)
		if (v[1].number == segment && v[i].number == number)
			return true;
	return false;
}

static int select_orders(struct arena *a, const struct db_value *v, int count, struct db_rows *rows)
{
	for (int i = 0; i < mysql.order_count; i++) {
		const struct order_row *o = &mysql.orders[i];
		if (is_asked(v, count, o->segment, o->number))
			put_row(rows, a, 3, (int64_t[]){ o->number, o->user, 1 });
	}
	return 0;
}

static bool names_lost(const struct letter_row *l)
{
	return strcmp(l->reason, REASON_LOST) == 0 || strcmp(l->reason, REASON_LOST_FOUND) == 0;
}

static int select_letters(struct arena *a, const struct db_value *v, int count, struct db_rows *rows)
{
	for (int i = 0; i < mysql.letter_count; i++) {
		const struct letter_row *l = &mysql.letters[i];
		if (is_asked(v, count, l->segment, l->number))
			put_row(rows, a, 3, (int64_t[]){ l->number, i + 1, l->state == DEAD_OPEN && names_lost(l) });
	}
	return 0;
}

static void select_letter(struct arena *a, const struct letter_row *l, struct db_rows *rows)
{
	put_row(rows, a, 3, (int64_t[]){ COUPON, l->number, 0 });
	((struct db_value *)rows->values)[2] = DB_S(str_of(l->reason));
}

static int insert_orders(const struct db_value *v, int count)
{
	for (int i = 0; i < count; i += 9) {
		if (v[i + 3].number == refused_user)
			return fail_with(DB_DATA);
		for (int k = 0; k < mysql.order_count; k++)
			if (mysql.orders[k].segment == v[i + 1].number && mysql.orders[k].number == v[i + 2].number)
				return fail_with(DB_DUPLICATE);
		mysql.orders[mysql.order_count++] =
			(struct order_row){ v[i + 1].number, v[i + 2].number, v[i + 3].number };
	}
	return 0;
}

static int insert_letter(const struct db_value *v)
{
	struct letter_row *l = &mysql.letters[mysql.letter_count++];
	*l = (struct letter_row){ .segment = v[1].number, .number = v[2].type == DB_NULL ? 0 : v[2].number };
	snprintf(l->record, sizeof l->record, "%.*s", (int)v[3].text.n, v[3].text.p);
	snprintf(l->reason, sizeof l->reason, "%.*s", (int)v[5].text.n, v[5].text.p);
	return 0;
}

/* "... CASE segment WHEN ? THEN ? ... END WHERE coupon_id = ? AND segment IN (?, ...)" */
static int move_cursors(const struct db_value *v, int count)
{
	for (int i = 0; i < (count - 1) / 3; i++)
		mysql.cursors[v[2 * i].number].next = v[2 * i + 1].number;
	return 0;
}

static int write_row(const char *sql, const struct db_value *v, int count, int64_t *affected)
{
	if (starts(sql, "INSERT INTO drain_cursors"))
		mysql.cursors[v[1].number] = (struct cursor){ 0, 1, true };
	else if (starts(sql, "INSERT INTO orders"))
		return insert_orders(v, count);
	else if (starts(sql, "INSERT INTO dead_letters"))
		return insert_letter(v);
	else if (starts(sql, "INSERT INTO number_ranges"))
		mysql.range = v[3].number;
	else if (starts(sql, "UPDATE drain_cursors"))
		return move_cursors(v, count);
	else if (starts(sql, "UPDATE dead_letters"))
		mysql.letters[v[3].number - 1].state = v[0].number;
	else if (starts(sql, "UPDATE coupons SET sold") && (*affected = mysql.sold + v[0].number <= mysql.amount))
		mysql.sold += v[0].number;
	else if (!starts(sql, "UPDATE coupons SET sold") && !starts(sql, "UPDATE coupons SET final"))
		fail_msg("not known here: %s", sql);
	return 0;
}

int db_run(struct db *db, const struct db_statement *st)
{
	struct arena *a = st->arena;
	const char *sql = st->sql;
	const struct db_value *v = st->params;
	struct db_rows *rows = st->rows;
	int64_t ignored, *affected = st->affected;
	int count = st->count;
	(void)db;
	failure = DB_NONE;
	if (!rows) {
		affected = affected ? affected : &ignored;
		*affected = 1;
		return write_row(sql, v, count, affected);
	}
	*rows = (struct db_rows){ 0 };
	if (starts(sql, "SELECT segment, base, next_number"))
		return select_cursors(a, v, count, rows);
	if (starts(sql, "SELECT seq, user_id, unit FROM orders"))
		return select_orders(a, v, count, rows);
	if (starts(sql, "SELECT seq, id, state"))
		return select_letters(a, v, count, rows);
	if (starts(sql, "SELECT coupon_id, seq, reason FROM dead_letters"))
		select_letter(a, &mysql.letters[v[0].number - 1], rows);
	if (starts(sql, "SELECT pay_within_s, unit_limit FROM coupons") && mysql.has_coupon)
		put_row(rows, a, 2, (int64_t[]){ 0, 1 });
	if (starts(sql, "SELECT c.id, c.generation") && mysql.has_coupon)
		put_row(rows, a, 10, (int64_t[]){ COUPON, 1, mysql.amount, 0, 0, 0, 0, mysql.sold, 0, SEGMENTS });
	if (starts(sql, "SELECT base, count FROM number_ranges") && mysql.range)
		put_row(rows, a, 2, (int64_t[]){ 0, mysql.range });
	if (starts(sql, "SELECT COUNT(*) FROM orders"))
		put_row(rows, a, 1, (int64_t[]){ mysql.order_count });
	return 0;
}

int db_has_row(struct db *db, const struct db_rows *rows)
{
	(void)db;
	return rows->count ? 0 : fail_with(DB_BROKEN);
}

int db_int(struct db *db, const struct db_value *v, int64_t min, int64_t max, int64_t *number)
{
	(void)db;
	if (v->number < min || v->number > max)
		return fail_with(DB_BROKEN);
	*number = v->number;
	return 0;
}

int db_begin(struct db *db)
{
	(void)db;
	assert_false(in_transaction);
	in_transaction = true;
	before = mysql;
	return 0;
}

int db_begin_long(struct db *db)
{
	return db_begin(db);
}

int db_commit(struct db *db)
{
	(void)db;
	if (commit_end != DB_NONE && !commits_before--) {
		enum db_failure f = commit_end;
		commit_end = DB_NONE;
		return fail_with(f);
	}
	in_transaction = false;
	return 0;
}

void db_rollback(struct db *db)
{
	(void)db;
	if (in_transaction)
		mysql = before;
	in_transaction = false;
}

enum db_failure db_failure(const struct db *db)
{
	(void)db;
	return failure;
}

const char *db_error(const struct db *db)
{
	(void)db;
	return failure ? "MySQL refuses it" : "";
}

/* Redis: the lists, of base 0 unless said otherwise */

static const char *lists[SEGMENTS][MOST];
static int lengths[SEGMENTS];
static const char *list_base;
static int away_segment, untrimmable_segment; /* -1: none */
static bool customers_away;
static int asked_inspections;

static void push(int segment, const char *record)
{
	lists[segment][lengths[segment]++] = record;
}

static void drop(int segment, int count)
{
	for (int i = count; i < lengths[segment]; i++)
		lists[segment][i - count] = lists[segment][i];
	lengths[segment] -= count;
}

static void peek(int segment, const char *args)
{
	struct str texts[MOST + 1] = { str_of(list_base) };
	int index = 0, count = 0, n = 1;
	assert_int_equal(sscanf(args, "| %d %d", &index, &count), 2);
	for (int i = index; i < index + count && i < lengths[segment]; i++)
		texts[n++] = str_of(lists[segment][i]);
	fake_redis_answer_texts(texts, (size_t)n);
}

/* Up to a number, and not past what cannot be read. */
static void trim(int segment, const char *args)
{
	char base[16];
	int upto = 0, count = 0;
	assert_int_equal(sscanf(args, "| %15s %d", base, &upto), 2);
	assert_string_equal(base, list_base);
	assert_false(in_transaction);
	while (count < lengths[segment] && atoi(lists[segment][count]) > 0 && atoi(lists[segment][count]) <= upto)
		count++;
	drop(segment, count);
	fake_redis_answer("1");
}

static void serve(void)
{
	const char *sent = fake_redis_oldest(), *key = strchr(sent, ':');
	int segment = key ? atoi(key + 4) : 0;
	asked_inspections += starts(sent, "SADD sk:doubt");
	if (starts(sent, "peek") && segment == away_segment)
		fake_redis_answer("!unknown");
	else if (starts(sent, "peek"))
		peek(segment, strchr(sent, '|'));
	else if (starts(sent, "trim") && segment == untrimmable_segment)
		fake_redis_answer("!refused");
	else if (starts(sent, "trim"))
		trim(segment, strchr(sent, '|'));
	else if (starts(sent, "drop"))
		drop(segment, 1), fake_redis_answer("1");
	else if (starts(sent, "enter"))
		fake_redis_answer(customers_away ? "!refused" : "[]");
	else if (starts(sent, "HMGET sk:{7:h}:hub amount"))
		fake_redis_answer(":4 :0 :0 :0 :0");
	else
		fake_redis_answer("nil");
}

/* A batch */

static struct conf conf;
static struct service service;
static struct arena arena;
static struct batch batch;

static int start(void **state)
{
	static struct stats *stats;
	const char *problem;
	(void)state;
	if (!stats) {
		conf_init(&conf);
		stats = stats_open("/nonexistent/board", &problem);
	}
	service = (struct service){ .conf = &conf, .stats = stats };
	conf.drain_batch = 1000;
	mysql = (struct tables){ .has_coupon = true, .amount = 100 };
	memset(lengths, 0, sizeof lengths);
	list_base = "0";
	away_segment = untrimmable_segment = -1;
	customers_away = false;
	refused_user = -1;
	asked_inspections = 0;
	event[0] = '\0';
	fake_redis_is_single = true;
	fake_redis_server = serve;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	assert_false(in_transaction);
	arena_release(&arena);
	fake_redis_reset();
	return 0;
}

static int move_from(int segment)
{
	arena_reset(&arena);
	batch_init(&batch, &service, &arena, COUPON, SEGMENTS);
	batch.first = segment;
	return batch_move(&batch);
}

static int move(void)
{
	return move_from(0);
}

/* As the drain does it: the next batch passes over what this one has left on its lists. */
static int move_behind(void)
{
	struct place places[SEGMENTS];
	for (int i = 0; i < SEGMENTS; i++)
		places[i] = batch.segment[i].passed;
	arena_reset(&arena);
	batch_init(&batch, &service, &arena, COUPON, SEGMENTS);
	for (int i = 0; i < SEGMENTS; i++)
		batch.segment[i].passed = places[i];
	return batch_move(&batch);
}

static bool has_order(int64_t segment, int64_t number, int64_t user)
{
	for (int i = 0; i < mysql.order_count; i++)
		if (mysql.orders[i].segment == segment && mysql.orders[i].number == number)
			return mysql.orders[i].user == user;
	return false;
}

static const struct letter_row *only_letter(void)
{
	assert_int_equal(mysql.letter_count, 1);
	return &mysql.letters[0];
}

/* What becomes of a record */

static void orders_become_rows_and_leave_their_lists(void **state)
{
	(void)state;
	push(0, "1|11|1000");
	push(0, "2|12|900");
	push(1, "1|13|1100");
	assert_int_equal(move(), 3);
	assert_true(has_order(0, 1, 11) && has_order(0, 2, 12) && has_order(1, 1, 13));
	assert_int_equal(mysql.sold, 3);
	assert_int_equal(mysql.cursors[0].next, 3);
	assert_int_equal(mysql.cursors[1].next, 2);
	assert_int_equal(batch.oldest_ms, 900);
	assert_int_equal(lengths[0] + lengths[1], 0);
}

static void orders_that_come_again_are_recognised(void **state)
{
	(void)state;
	push(0, "1|11|1000");
	push(0, "2|12|1000");
	assert_int_equal(move(), 2);
	push(0, "1|11|1000");
	push(0, "2|12|1000");
	push(0, "3|13|1000");
	assert_int_equal(move(), 1);
	assert_int_equal(mysql.order_count, 3);
	assert_int_equal(mysql.sold, 3);
	assert_int_equal(lengths[0], 0);
}

static void a_gap_stops_its_segment_alone(void **state)
{
	(void)state;
	push(0, "1|11|1000");
	push(0, "3|12|1000");
	push(1, "1|13|1000");
	assert_int_equal(move(), 2);
	assert_string_equal(event, "drain_gap");
	assert_int_equal(lengths[0], 1);
	assert_int_equal(lengths[1], 0);
	assert_int_equal(mysql.cursors[0].next, 2);
}

static void a_number_of_another_customer_stops_its_segment(void **state)
{
	(void)state;
	push(0, "1|11|1000");
	assert_int_equal(move(), 1);
	push(0, "1|12|1000");
	push(0, "2|13|1000");
	assert_int_equal(move(), 0);
	assert_string_equal(event, "drain_sequence_reused");
	assert_true(has_order(0, 1, 11));
	assert_int_equal(lengths[0], 2);
}

static void a_number_named_lost_becomes_a_letter(void **state)
{
	(void)state;
	push(0, "1|11|1000");
	push(0, "2|?|1000");
	push(0, "3|13|1000");
	assert_int_equal(move(), 2);
	assert_int_equal(only_letter()->number, 2);
	assert_string_equal(only_letter()->reason, REASON_LOST);
	assert_int_equal(mysql.cursors[0].next, 4);
	assert_int_equal(batch.dead, 1);
}

static void a_lost_order_that_comes_back_ends_its_letter(void **state)
{
	(void)state;
	push(0, "1|?|1000");
	assert_int_equal(move(), 0);
	push(0, "1|11|1000");
	assert_int_equal(move(), 1);
	assert_int_equal(only_letter()->state, DEAD_RETRIED);
	assert_true(has_order(0, 1, 11));
	assert_int_equal(mysql.sold, 1);
}

static void a_number_of_an_earlier_base_is_new_without_row_and_letter(void **state)
{
	(void)state;
	list_base = "1048576";
	mysql.cursors[0] = (struct cursor){ 1048576, 1048577, true };
	push(0, "5|11|1000");
	push(0, "1048577|12|1000");
	assert_int_equal(move(), 2);
	assert_int_equal(mysql.range, 5);
	assert_int_equal(mysql.cursors[0].next, 1048578);
}

static void a_list_of_another_base_waits_for_an_inspection(void **state)
{
	(void)state;
	mysql.cursors[0] = (struct cursor){ 1048576, 1048577, true };
	push(0, "1|11|1000");
	push(1, "1|12|1000");
	list_base = "0";
	assert_int_equal(move(), 1);
	assert_true(batch.replaced);
	assert_int_equal(asked_inspections, 1);
	assert_int_equal(lengths[0], 1);
}

static void a_coupon_that_mysql_does_not_have_is_closed(void **state)
{
	(void)state;
	mysql.has_coupon = false;
	push(0, "1|11|1000");
	move();
	assert_true(batch.stray);
	assert_int_equal(mysql.order_count, 0);
	assert_int_equal(lengths[0], 1);
}

/* Garbage */

static void garbage_at_the_head_becomes_a_letter(void **state)
{
	(void)state;
	push(0, "1;11;1000");
	push(0, "1|11|1000");
	assert_int_equal(move(), 0);
	assert_string_equal(only_letter()->record, "1;11;1000");
	assert_int_equal(only_letter()->number, 0);
	assert_int_equal(move(), 1);
	assert_int_equal(lengths[0], 0);
}

static void garbage_behind_an_order_waits_until_it_is_the_head(void **state)
{
	(void)state;
	push(0, "1|11|1000");
	push(0, "x");
	push(0, "2|12|1000");
	assert_int_equal(move(), 1);
	assert_int_equal(mysql.letter_count, 0);
	assert_int_equal(lengths[0], 2);
	assert_int_equal(move(), 0);
	assert_string_equal(only_letter()->record, "x");
	assert_int_equal(move(), 1);
}

static void a_number_not_above_the_one_before_it_waits(void **state)
{
	(void)state;
	push(0, "1|11|1000");
	push(0, "1|11|1000");
	assert_int_equal(move(), 1);
	assert_int_equal(lengths[0], 0); /* the trim takes both */
}

/* Refusals */

static void an_order_that_is_refused_becomes_a_letter(void **state)
{
	(void)state;
	refused_user = 12;
	push(0, "1|11|1000");
	push(0, "2|12|1000");
	push(0, "3|13|1000");
	push(1, "1|14|1000");
	assert_int_equal(move(), 3);
	assert_true(has_order(0, 1, 11) && has_order(0, 3, 13) && has_order(1, 1, 14));
	assert_int_equal(only_letter()->number, 2);
	assert_string_equal(only_letter()->reason, "MySQL refuses it");
	assert_int_equal(batch.dead, 1);
	assert_int_equal(mysql.sold, 3);
	assert_int_equal(mysql.cursors[0].next, 4);
	assert_int_equal(lengths[0] + lengths[1], 0);
}

static void after_a_refusal_a_gap_stops_its_segment_alone(void **state)
{
	(void)state;
	refused_user = 11;
	push(0, "1|11|1000");
	push(0, "4|12|1000");
	push(0, "5|13|1000");
	push(1, "1|14|1000");
	assert_int_equal(move(), 1);
	assert_int_equal(only_letter()->number, 1);
	assert_int_equal(lengths[0], 2);
	assert_int_equal(lengths[1], 0);
}

static void more_orders_than_units_become_letters(void **state)
{
	(void)state;
	mysql.amount = 4;
	mysql.sold = 3;
	push(0, "1|11|1000");
	push(0, "2|12|1000");
	assert_int_equal(move(), 1);
	assert_int_equal(mysql.sold, 4);
	assert_string_equal(only_letter()->reason, "more orders than units");
	assert_int_equal(lengths[0], 0);
}

static void a_failure_that_may_pass_changes_nothing(void **state)
{
	(void)state;
	commit_end = DB_TRANSIENT;
	commits_before = 0;
	push(0, "1|11|1000");
	assert_int_equal(move(), -1);
	assert_int_equal(mysql.order_count + mysql.letter_count, 0);
	assert_int_equal(mysql.sold, 0);
	assert_int_equal(lengths[0], 1);
	assert_string_equal(event, "drain_failed");
	assert_int_equal(move(), 1);
}

static void a_failure_amid_single_orders_leaves_only_what_is_not_committed(void **state)
{
	(void)state;
	refused_user = 12;
	commit_end = DB_TRANSIENT;
	commits_before = 2;
	push(0, "1|11|1000");
	push(0, "2|12|1000");
	push(0, "3|13|1000");
	assert_int_equal(move(), -1);
	assert_int_equal(mysql.order_count, 1);
	assert_int_equal(only_letter()->number, 2);
	assert_int_equal(lengths[0], 1);
	assert_int_equal(move(), 1);
	assert_true(has_order(0, 3, 13));
	assert_int_equal(lengths[0], 0);
}

/* Lists */

static void a_batch_is_no_larger_than_drain_batch_and_begins_where_it_is_told(void **state)
{
	(void)state;
	enum { EACH = 4 };
	static char texts[SEGMENTS][EACH][32];
	for (int s = 0; s < SEGMENTS; s++)
		for (int i = 0; i < EACH; i++) {
			snprintf(texts[s][i], sizeof texts[s][i], "%d|%d%d|1000", i + 1, s + 1, i + 1);
			push(s, texts[s][i]);
		}
	conf.drain_batch = 3;
	assert_int_equal(move_from(0), 3);
	assert_int_equal(lengths[0], 2);
	assert_int_equal(lengths[1], 3);
	assert_int_equal(move_from(1), 3);
	assert_int_equal(lengths[0], 1);
	assert_int_equal(lengths[1], 1);
	conf.drain_batch = 1;
	assert_int_equal(move_from(1), 1);
	assert_int_equal(lengths[1], 0);
	assert_int_equal(move_from(1), 1); /* an empty list leaves its room to the next */
	assert_int_equal(lengths[0], 0);
	assert_int_equal(mysql.order_count, 8);
}

static void a_list_that_is_away_does_not_hold_up_the_others(void **state)
{
	(void)state;
	away_segment = 0;
	push(0, "1|11|1000");
	push(1, "1|12|1000");
	assert_int_equal(move(), 1);
	assert_true(batch.away);
	assert_int_equal(lengths[0], 1);
	away_segment = -1;
	assert_int_equal(move(), 1);
	assert_false(batch.away);
}

static void a_list_that_is_not_trimmed_is_passed_over(void **state)
{
	(void)state;
	untrimmable_segment = 0;
	push(0, "1|11|1000");
	push(0, "2|12|1000");
	push(1, "1|13|1000");
	assert_int_equal(move(), 3);
	assert_int_equal(lengths[0], 2);
	assert_int_equal(batch.segment[0].passed.number, 2);
	assert_int_equal(batch.segment[0].passed.index, 1);
	assert_int_equal(batch.segment[1].passed.number, 0);
	push(0, "3|14|1000");
	assert_int_equal(move_behind(), 1);
	assert_int_equal(batch.segment[0].passed.number, 3);
	assert_int_equal(batch.segment[0].passed.index, 2);
	untrimmable_segment = -1;
	assert_int_equal(move(), 0);
	assert_int_equal(lengths[0], 0);
	assert_int_equal(mysql.order_count, 4);
}

static void a_list_that_others_have_trimmed_is_read_from_its_head(void **state)
{
	(void)state;
	untrimmable_segment = 0;
	push(0, "1|11|1000");
	push(0, "2|12|1000");
	assert_int_equal(move(), 2);
	drop(0, 2);
	push(0, "3|13|1000");
	assert_int_equal(move_behind(), 0);
	assert_int_equal(batch.segment[0].passed.number, 0);
	assert_int_equal(move_behind(), 1);
}

/* In a cluster. */
static void an_order_stays_while_its_customers_list_is_away(void **state)
{
	char now[32];
	(void)state;
	fake_redis_is_single = false;
	customers_away = true;
	snprintf(now, sizeof now, "1|11|%lld", (long long)clock_ms());
	push(0, now);
	assert_int_equal(move(), 1);
	assert_int_equal(lengths[0], 1);
	assert_int_equal(batch.segment[0].passed.number, 1);
	customers_away = false;
	assert_int_equal(move(), 0);
	assert_int_equal(lengths[0], 0);
}

#define BATCH_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

UNIT_MAIN(BATCH_TEST(orders_become_rows_and_leave_their_lists), BATCH_TEST(orders_that_come_again_are_recognised),
	  BATCH_TEST(a_gap_stops_its_segment_alone), BATCH_TEST(a_number_of_another_customer_stops_its_segment),
	  BATCH_TEST(a_number_named_lost_becomes_a_letter), BATCH_TEST(a_lost_order_that_comes_back_ends_its_letter),
	  BATCH_TEST(a_number_of_an_earlier_base_is_new_without_row_and_letter),
	  BATCH_TEST(a_list_of_another_base_waits_for_an_inspection),
	  BATCH_TEST(a_coupon_that_mysql_does_not_have_is_closed), BATCH_TEST(garbage_at_the_head_becomes_a_letter),
	  BATCH_TEST(garbage_behind_an_order_waits_until_it_is_the_head),
	  BATCH_TEST(a_number_not_above_the_one_before_it_waits), BATCH_TEST(an_order_that_is_refused_becomes_a_letter),
	  BATCH_TEST(after_a_refusal_a_gap_stops_its_segment_alone), BATCH_TEST(more_orders_than_units_become_letters),
	  BATCH_TEST(a_failure_that_may_pass_changes_nothing),
	  BATCH_TEST(a_failure_amid_single_orders_leaves_only_what_is_not_committed),
	  BATCH_TEST(a_batch_is_no_larger_than_drain_batch_and_begins_where_it_is_told),
	  BATCH_TEST(a_list_that_is_away_does_not_hold_up_the_others),
	  BATCH_TEST(a_list_that_is_not_trimmed_is_passed_over),
	  BATCH_TEST(a_list_that_others_have_trimmed_is_read_from_its_head),
	  BATCH_TEST(an_order_stays_while_its_customers_list_is_away))
