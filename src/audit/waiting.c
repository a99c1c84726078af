/*
 * While the list is being completed (waiting/relist.h) nothing is compared. What is on its way (somebody who joined a
 * moment ago, or whose order is being written) is not found a second time.
 */
#include "audit/waiting.h"

#include <stdio.h>

#include "audit/reader.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/owner.h"

struct waiting {
	struct reader reader;
	struct audit *audit;
};

static int64_t read_number(struct waiting *w, const char *command, enum key key, const char *field)
{
	struct redis_command c;
	redis_command(&c, command);
	key_put(&c, key, w->audit->coupon.id, 0);
	if (field)
		redis_put_text(&c, field);
	return redis_number(reader_call(&w->reader, &c));
}

static bool is_whole(struct waiting *w)
{
	return read_number(w, "HGET", KEY_HUB, "waits") == 1;
}

/* Whether a word is in the value of this key's field, or member. */
static bool is_there(struct waiting *w, const char *command, enum key key, int segment, struct str field)
{
	struct redis_command c;
	redis_command(&c, command);
	key_put(&c, key, w->audit->coupon.id, segment);
	redis_put(&c, field);
	struct str value = redis_text(reader_call(&w->reader, &c));
	return value.n > 0;
}

/* Nobody waits for this owner: not the list, not a promotion of his home, no order. */
static bool is_forgotten(struct waiting *w, struct owner owner)
{
	char text[OWNER_TEXT], field[16];
	int home = coupon_home(&w->audit->coupon, owner.user);
	struct str word = owner_text(text, owner);
	snprintf(field, sizeof field, "P%d", home);
	return !is_there(w, "ZSCORE", KEY_WAITING, 0, word) && !is_there(w, "HGET", KEY_HUB, 0, str_of(field)) &&
	       !is_there(w, "HGET", KEY_OWNERS, home, word);
}

/* Returns the last ticket of the page; 0: it was the last page; -1: MySQL does not answer. */
static int64_t check_page(struct waiting *w, int64_t after)
{
	enum { PAGE = 500 };
	struct db_rows rows;
	if (db_query(
		    w->reader.svc->db, w->reader.arena,
		    "SELECT ticket, user_id, unit FROM waiting_entries WHERE coupon_id = ? AND state = 0 AND ticket > ? "
		    "ORDER BY ticket LIMIT ?",
		    &rows, DB_N(w->audit->coupon.id), DB_N(after), DB_N(PAGE)))
		return -1;
	for (int i = 0; i < rows.count && w->reader.status == STATUS_OK; i++) {
		const struct db_value *v = db_row(&rows, i);
		after = v[0].number;
		if (is_forgotten(w, (struct owner){ v[1].number, (int)v[2].number }))
			findings_add(&w->audit->findings, (struct finding){ .kind = FINDING_NOT_LISTED,
									    .sequence = after,
									    .user = v[1].number,
									    .is = after });
	}
	return rows.count == PAGE && w->reader.status == STATUS_OK ? after : 0;
}

static enum status check_entries(struct waiting *w)
{
	struct arena page = { 0 }, *outer = w->reader.arena;
	int64_t after = 0;
	w->reader.arena = &page;
	do {
		arena_reset(&page);
		after = check_page(w, after);
	} while (after > 0);
	arena_release(&page);
	w->reader.arena = outer;
	return after < 0 ? db_status(w->reader.svc->db, "audit") : w->reader.status;
}

static enum status check_tickets(struct waiting *w)
{
	enum { SOME = 500 };
	struct db_rows rows;
	if (db_query(
		    w->reader.svc->db, w->reader.arena,
		    "SELECT promotion, COUNT(*) FROM orders WHERE coupon_id = ? AND promotion IS NOT NULL GROUP BY promotion "
		    "HAVING COUNT(*) > 1 LIMIT ?",
		    &rows, DB_N(w->audit->coupon.id), DB_N(SOME)))
		return db_status(w->reader.svc->db, "audit");
	for (int i = 0; i < rows.count; i++)
		findings_add(&w->audit->findings, (struct finding){ .kind = FINDING_TICKET_TWICE,
								    .sequence = db_row(&rows, i)[0].number,
								    .is = db_row(&rows, i)[0].number,
								    .want = db_row(&rows, i)[1].number });
	return STATUS_OK;
}

enum status audit_waiting(struct service *svc, struct arena *a, struct audit *audit)
{
	struct waiting w = { .reader = { svc, a, STATUS_OK }, .audit = audit };
	if (!audit->coupon.waits)
		return STATUS_OK;
	enum status s = check_tickets(&w);
	if (s != STATUS_OK || !is_whole(&w))
		return s == STATUS_OK ? w.reader.status : s;
	int64_t queue = read_number(&w, "HGET", KEY_HUB, "queue"), count = read_number(&w, "ZCARD", KEY_WAITING, NULL);
	if (w.reader.status == STATUS_OK)
		findings_expect_equal(&audit->findings, FINDING_QUEUE, 0, queue, count);
	return check_entries(&w);
}
