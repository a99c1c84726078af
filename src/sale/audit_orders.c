/*
 * One segment, order by order. The owners are read first, then the list, the
 * dead letters, the rows: orders only move that way, so one that is in none
 * of the places it can still reach is lost, also while the sale goes on. What
 * is kept of an order is nine bytes, and of so many at a time as the window
 * has; a segment that sold more is read again for the next ones.
 */
#include <stdlib.h>

#include "sale/audit_part.h"
#include "sale/audit_scan.h"
#include "sale/claim.h"
#include "sale/failure.h"
#include "sale/key.h"
#include "sale/record.h"

enum { WINDOW = 1 << 20, SOME = 500, USERS = 64, STEP = 16384 };

enum mark { OWNED = 1, QUEUED = 2, DEAD = 4, ROW = 8, OVER = 16, TWICE = 32 };

struct compare {
	struct service *svc;
	struct audit *audit;
	int segment;
	const struct audit_manner *manner;
	enum status status;
	struct arena arena; /* of one answer */

	int64_t sold, first, count; /* sequences from 1 to sold are there; those from first on are compared now */
	int64_t *user;              /* by sequence - first: the owner, or else who has it elsewhere */
	unsigned char *marks;

	int64_t last_owner, last_listed, last_row; /* the highest sequence anywhere */
	int64_t behind;                            /* on the list: what stands behind that which is seen next */
	const char *place;
	int64_t read;
};

static void add(struct compare *c, struct finding one)
{
	one.segment = c->segment;
	findings_add(&c->audit->findings, one);
}

/* Where this sequence is kept, or -1. Every place is read once a window; what is told of a place, in the first. */
static int64_t place_of(struct compare *c, int64_t sequence, int64_t *highest)
{
	if (++c->read % STEP == 0 && c->manner->progress)
		c->manner->progress(c->manner->context, c->segment, c->place, c->read);
	if (sequence > *highest)
		*highest = sequence;
	return sequence >= c->first && sequence < c->first + c->count ? sequence - c->first : -1;
}

static bool is_first_window(const struct compare *c)
{
	return c->first == 1;
}

/* Seeing */

/* Each user claims from one segment, so who has two orders has one of them in another's. */
static void see_stranger(struct compare *c, const struct sighting *s, int home)
{
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	arena_reset(&c->arena);
	redis_command(&cmd, "HGET");
	key_put(&cmd, KEY_OWNERS, c->audit->coupon.id, home);
	redis_put_int(&cmd, s->user);
	if (redis_call(c->svc->redis_now, &c->arena, &cmd, &reply) != REDIS_ANSWER)
		c->status = STATUS_UNAVAILABLE;
	struct finding f = { .sequence = s->sequence, .user = s->user, .is = redis_number(reply), .want = home };
	f.kind = f.is ? FINDING_TWO_ORDERS : FINDING_STRANGER;
	add(c, f);
}

static void see_owner(void *context, const struct sighting *s)
{
	struct compare *c = context;
	if (!s->sequence && is_first_window(c))
		add(c, (struct finding){ .kind = FINDING_BAD_OWNER, .user = s->user });
	int64_t i = place_of(c, s->sequence, &c->last_owner);
	if (i < 0)
		return;
	bool twice = (c->marks[i] & OWNED) && c->user[i] != s->user;
	if (twice)
		add(c,
		    (struct finding){
			    .kind = FINDING_TWO_OWNERS, .sequence = s->sequence, .user = s->user, .is = c->user[i] });
	c->user[i] = s->user;
	c->marks[i] |= twice ? OWNED | TWICE : OWNED;
	int home = coupon_home(&c->audit->coupon, s->user);
	if (home != c->segment)
		see_stranger(c, s, home);
}

/* The user of an order in another place than the owners. */
static void see_user(struct compare *c, int64_t i, const struct sighting *s, enum finding_kind other)
{
	if (!c->user[i])
		c->user[i] = s->user;
	else if (c->user[i] != s->user && (c->marks[i] & (OWNED | TWICE)) == OWNED)
		add(c, (struct finding){ .kind = other, .sequence = s->sequence, .user = c->user[i], .is = s->user });
}

/* The list is seen from its end; what was pushed meanwhile shows as a step back. */
static void see_listed(void *context, const struct sighting *s)
{
	struct compare *c = context;
	if (!s->sequence && is_first_window(c))
		add(c, (struct finding){ .kind = FINDING_GARBAGE });
	if (s->sequence && is_first_window(c)) {
		if (s->sequence < c->behind - 1)
			add(c, (struct finding){ .kind = FINDING_DISORDER, .sequence = c->behind, .is = s->sequence });
		c->behind = s->sequence;
	}
	int64_t i = place_of(c, s->sequence, &c->last_listed);
	if (i < 0)
		return;
	see_user(c, i, s, FINDING_OTHER_IN_LIST);
	c->marks[i] |= QUEUED;
}

/* A letter of another user under this number says nothing about the order. */
static void see_dead(void *context, const struct sighting *s)
{
	struct compare *c = context;
	int64_t any = 0, i = place_of(c, s->sequence, &any);
	if (!s->over && is_first_window(c))
		add(c, (struct finding){ .kind = FINDING_DEAD_LETTER, .sequence = s->sequence, .is = s->id });
	if (i >= 0 && (!c->user[i] || c->user[i] == s->user)) {
		c->user[i] = s->user;
		c->marks[i] |= DEAD;
	}
}

static void see_row(void *context, const struct sighting *s)
{
	struct compare *c = context;
	int64_t i = place_of(c, s->sequence, &c->last_row);
	if (s->unknown_user)
		add(c, (struct finding){ .kind = FINDING_UNKNOWN_USER, .sequence = s->sequence, .user = s->user });
	if (i < 0)
		return;
	if (!s->over)
		see_user(c, i, s, FINDING_OTHER_IN_ROW);
	c->marks[i] |= s->over ? OVER : ROW;
}

static void read_place(struct compare *c, const char *place, enum status (*scan)(const struct scan *),
		       void (*see)(void *, const struct sighting *))
{
	const struct scan s = {
		.svc = c->svc, .coupon = c->audit->coupon.id, .segment = c->segment, .see = see, .context = c
	};
	c->place = place;
	c->read = 0;
	if (c->status == STATUS_OK)
		c->status = scan ? scan(&s)
				 : scan_rows(&s, c->first,
					     c->first + c->count > c->sold ? UINT32_MAX : c->first + c->count - 1);
}

/* Judging what was seen */

static void judge(struct compare *c, int64_t i)
{
	struct finding f = { .sequence = c->first + i, .user = c->user[i] };
	unsigned marks = c->marks[i];
	if (marks == 0)
		f.kind = FINDING_NO_TRACE;
	else if ((marks & (QUEUED | ROW)) && !(marks & OWNED))
		f.kind = FINDING_NO_OWNER;
	else if (marks == OWNED || marks == (OWNED | TWICE))
		f.kind = FINDING_LOST;
	else if (!(marks & (ROW | OVER | DEAD)) && f.sequence < c->audit->segments[c->segment].cursor)
		f.kind = FINDING_NO_ROW;
	else
		return;
	add(c, f);
}

struct entry {
	struct compare *compare;
	int64_t sequence, user;
};

static void on_entry(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct entry *e = context;
	if (end != REDIS_ANSWER)
		e->compare->status = STATUS_UNAVAILABLE;
	else if (redis_type(reply) == REDIS_NIL)
		add(e->compare, (struct finding){ .kind = FINDING_NO_INDEX, .sequence = e->sequence, .user = e->user });
}

/* Customers find their orders by an index of their own. */
static void check_index(struct compare *c)
{
	struct entry entries[SOME];
	char order[ORDER_TEXT];
	int n = 0;
	c->place = "indexes";
	c->read = 0;
	for (int64_t i = 0, any = 0; c->status == STATUS_OK && i < c->count; i++) {
		struct redis_command cmd;
		place_of(c, c->first + i, &any);
		if (c->marks[i] & OWNED) {
			entries[n] = (struct entry){ c, c->first + i, c->user[i] };
			redis_command(&cmd, "ZSCORE");
			key_put(&cmd, KEY_CUSTOMER, c->user[i], 0);
			redis_put(&cmd, order_text(order, c->audit->coupon.id, c->segment, c->first + i));
			redis_send(c->svc->redis_now, &cmd, on_entry, &entries[n++]);
		}
		if (n == SOME || i + 1 == c->count) {
			redis_settle(c->svc->redis_now);
			n = 0;
		}
	}
	redis_settle(c->svc->redis_now);
}

static bool is_among(const struct db_rows *rows, int64_t user)
{
	for (int i = 0; i < rows->count; i++)
		if (db_row(rows, i)->number == user)
			return true;
	return false;
}

/* Those which MySQL does not know. A statement of one size; the last users are asked for more than once. */
static void ask_users(struct compare *c, const int64_t *at, int n)
{
	struct db_rows rows;
	struct db_value v[USERS];
	struct buf sql;
	arena_reset(&c->arena);
	buf_init(&sql, &c->arena);
	buf_puts(&sql, "SELECT id FROM users WHERE id IN (");
	for (int k = 0; k < USERS; k++) {
		buf_puts(&sql, k ? ", ?" : "?");
		v[k] = DB_N(c->user[at[k < n ? k : 0]]);
	}
	buf_puts(&sql, ")");
	if (db_run(c->svc->db, &c->arena, sql.p, v, USERS, &rows, NULL)) {
		c->status = failure_of_db(c->svc->db, "audit");
		return;
	}
	for (int k = 0; k < n; k++)
		if (!is_among(&rows, c->user[at[k]]))
			add(c, (struct finding){ .kind = FINDING_UNKNOWN_USER,
						 .sequence = c->first + at[k],
						 .user = c->user[at[k]] });
}

/* Of orders that wait; the others were seen with their rows. */
static void check_users(struct compare *c)
{
	int64_t at[USERS];
	int n = 0;
	for (int64_t i = 0; c->status == STATUS_OK && i < c->count; i++) {
		if ((c->marks[i] & QUEUED) && !(c->marks[i] & ROW))
			at[n++] = i;
		if (n == USERS || (n && i + 1 == c->count)) {
			ask_users(c, at, n);
			n = 0;
		}
	}
}

static void compare_window(struct compare *c)
{
	memset(c->user, 0, (size_t)c->count * sizeof *c->user);
	memset(c->marks, 0, (size_t)c->count);
	read_place(c, "owners", scan_owners, see_owner);
	read_place(c, "list", scan_list, see_listed);
	read_place(c, "dead letters", scan_dead, see_dead);
	read_place(c, "MySQL", NULL, see_row);
	for (int64_t i = 0; c->status == STATUS_OK && i < c->count; i++)
		judge(c, i);
	check_users(c);
	check_index(c);
}

/* Rows and cursor commit together, so a cursor that is read after the rows is beyond them: else the drain stands still.
 */
static void check_cursor(struct compare *c)
{
	struct db_rows rows;
	if (c->status != STATUS_OK)
		return;
	arena_reset(&c->arena);
	if (db_query(c->svc->db, &c->arena, "SELECT next_seq FROM drain_cursors WHERE coupon_id = ? AND segment = ?",
		     &rows, DB_N(c->audit->coupon.id), DB_N(c->segment))) {
		c->status = failure_of_db(c->svc->db, "audit");
		return;
	}
	int64_t next = rows.count ? db_row(&rows, 0)->number : 1;
	if (next <= c->last_row)
		add(c, (struct finding){ .kind = FINDING_CURSOR_BEHIND, .is = next, .want = c->last_row });
}

/* What is beyond the units sold was sold while we looked, or never. */
static void check_beyond(struct compare *c)
{
	const struct {
		enum finding_kind kind;
		int64_t highest;
	} places[] = { { FINDING_BEYOND_OWNERS, c->last_owner },
		       { FINDING_BEYOND_LIST, c->last_listed },
		       { FINDING_BEYOND_ROWS, c->last_row } };
	struct redis_command cmd;
	const struct redis_reply *reply = NULL;
	if (c->status != STATUS_OK)
		return;
	arena_reset(&c->arena);
	redis_command(&cmd, "HGET");
	key_put(&cmd, KEY_SEGMENT, c->audit->coupon.id, c->segment);
	redis_put_text(&cmd, "n");
	if (redis_call(c->svc->redis_now, &c->arena, &cmd, &reply) != REDIS_ANSWER)
		c->status = STATUS_UNAVAILABLE;
	for (int i = 0; c->status == STATUS_OK && i < 3; i++)
		if (places[i].highest > redis_number(reply))
			add(c, (struct finding){ .kind = places[i].kind,
						 .sequence = places[i].highest,
						 .is = redis_number(reply) });
}

enum status audit_orders(struct service *svc, struct audit *audit, int segment, const struct audit_manner *manner)
{
	struct compare c = { .svc = svc, .audit = audit, .segment = segment, .manner = manner };
	int64_t window = manner->window ? manner->window : WINDOW;
	c.sold = audit->segments[segment].sold > 0 ? audit->segments[segment].sold : 0;
	if (c.sold > SEQUENCE_MAX)
		c.sold = SEQUENCE_MAX;
	if (c.sold < window)
		window = c.sold > 0 ? c.sold : 1;
	c.user = malloc((size_t)window * sizeof *c.user);
	c.marks = malloc((size_t)window);
	if (!c.user || !c.marks)
		abort();
	c.first = 1;
	do {
		c.count = c.sold - c.first + 1 < window ? c.sold - c.first + 1 : window;
		compare_window(&c);
		c.first += window;
	} while (c.first <= c.sold && c.status == STATUS_OK);
	check_cursor(&c);
	check_beyond(&c);
	free(c.user);
	free(c.marks);
	arena_release(&c.arena);
	return c.status;
}
