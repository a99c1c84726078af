#include "waiting/promote.h"

#include <limits.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/fault.h"
#include "host/log.h"
#include "sale/key.h"
#include "sale/owner.h"
#include "sale/sale_clock.h"
#include "sale/worklist.h"
#include "waiting/award.h"
#include "waiting/journal.h"
#include "waiting/relist.h"
#include "waiting/waited.h"

enum {
	STEP_MS = 50,      /* a step ends after the sale at which it has taken so long */
	LIST_MS = 100,     /* from one reading of the worklist to the next */
	EVERY_MS = 100,    /* from one look at a sale to the next, at least ... */
	SALE_MS = 2,       /* ... and so long for each sale in which people wait */
	REST_MS = 1000,    /* the same for a sale that is paused or over, or whose hub does not answer */
	BATCH = 48,        /* entries promoted at once: as many fit in a command */
	CHUNK = 512,       /* entries read at once, behind those whose homes are away */
	SKIPPED_MS = 1000, /* until these are looked at again */
	OVERS = 1000,      /* rows of entries that end with their sale, in one statement */
	OVER_MS = 5000,    /* how long after its end a sale is over for good: the seller cannot have moved the end */
};

struct promoting {
	struct service *svc;
	struct waited *at;
	int count, room, next; /* next: the one with which the next step begins */
	int64_t list_due_ms;
	bool is_away; /* the worklist could not be read */
};

struct promoting *promoting_new(struct service *svc)
{
	struct promoting *p = alloc_zeroed(1, sizeof *p);
	p->svc = svc;
	return p;
}

void promoting_free(struct promoting *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->count; i++)
		waited_release(&p->at[i]);
	free(p->at);
	free(p);
}

/* Which sales */

static struct waited *find(struct promoting *p, int64_t coupon)
{
	for (int i = 0; i < p->count; i++)
		if (p->at[i].coupon == coupon)
			return &p->at[i];
	return NULL;
}

static void enter(struct promoting *p, int64_t coupon, int segments)
{
	struct waited *known = find(p, coupon);
	if (known) {
		known->is_listed = true;
		return;
	}
	if (p->count == p->room) {
		p->room = p->room ? p->room * 2 : 16;
		p->at = alloc_again(p->at, (size_t)p->room * sizeof *p->at);
	}
	waited_init(&p->at[p->count], coupon, segments);
	p->at[p->count++].is_listed = true;
}

static void drop_unlisted(struct promoting *p)
{
	for (int i = 0; i < p->count;) {
		if (p->at[i].is_listed) {
			i++;
			continue;
		}
		waited_release(&p->at[i]);
		p->at[i] = p->at[--p->count];
	}
}

/* While the worklist's server does not answer, the sales that it named last are looked at. */
static void list_sales(struct promoting *p, struct arena *a)
{
	struct redis_command c;
	const struct redis_reply *members = NULL;
	if (clock_mono_ms() < p->list_due_ms)
		return;
	redis_command(&c, "SMEMBERS");
	key_put(&c, KEY_WAITED, 0, 0);
	p->is_away = redis_call(p->svc->redis_sync, a, &c, &members) != REDIS_ANSWER;
	p->list_due_ms = clock_mono_ms() + LIST_MS;
	if (p->is_away)
		return;
	for (int i = 0; i < p->count; i++)
		p->at[i].is_listed = false;
	for (size_t i = 0; i < redis_count(members); i++) {
		int64_t coupon;
		int segments;
		if (worklist_read(redis_text_at(members, i), &coupon, &segments))
			enter(p, coupon, segments);
	}
	drop_unlisted(p);
}

/* The head of a list */

struct head {
	struct buf text;    /* "owner ticket home ...", for promote.lua */
	int entries, homes; /* of these, entries whose homes are not away */
};

static const struct redis_reply *read_entries(struct service *svc, struct arena *a, int64_t coupon, int64_t from)
{
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	redis_command(&c, "ZRANGE");
	key_put(&c, KEY_WAITING, coupon, 0);
	redis_put_int(&c, from);
	redis_put_int(&c, from + CHUNK - 1);
	redis_put_text(&c, "WITHSCORES");
	return redis_call(svc->redis_sync, a, &c, &reply) == REDIS_ANSWER ? reply : NULL;
}

static void put_entry(struct head *h, struct str owner, struct str ticket, int home)
{
	buf_puts(&h->text, h->entries++ ? " " : "");
	buf_put(&h->text, owner);
	buf_puts(&h->text, " ");
	buf_put(&h->text, ticket);
	if (home < 0)
		buf_puts(&h->text, " -");
	else
		buf_printf(&h->text, " %d", home);
	h->homes += home >= 0;
}

/*
 * Adds the entries of a chunk. Those before the first one whose home is there are skipped; an entry that is none stops
 * the reading, because nobody can tell its home.
 */
static bool add_entries(struct service *svc, struct waited *w, const struct coupon *c, const struct redis_reply *chunk,
			struct head *h)
{
	for (size_t i = 0; i + 1 < redis_count(chunk) && h->entries < BATCH; i += 2) {
		struct owner owner;
		if (!owner_read(redis_text_at(chunk, i), &owner)) {
			log_error_limited("waiting_entry_unreadable", LOG_INT("coupon", c->id));
			return false;
		}
		int home = coupon_home(c, owner.user);
		home = waited_is_away(svc, w, home) ? -1 : home;
		if (home < 0 && !h->entries)
			w->skipped++;
		else
			put_entry(h, redis_text_at(chunk, i), redis_text_at(chunk, i + 1), home);
	}
	return true;
}

/* False: nobody can be promoted. */
static bool read_head(struct service *svc, struct arena *a, struct waited *w, const struct coupon *c, struct head *h)
{
	int64_t now_ms = clock_mono_ms();
	*h = (struct head){ 0 };
	buf_init(&h->text, a);
	if (now_ms > w->skipped_until || !w->skipped) {
		w->skipped = 0;
		w->skipped_until = now_ms + SKIPPED_MS;
	}
	for (;;) {
		int64_t from = w->skipped;
		const struct redis_reply *chunk = read_entries(svc, a, c->id, from);
		if (!chunk || !redis_count(chunk) || !add_entries(svc, w, c, chunk, h))
			return false;
		if (h->entries)
			return h->homes > 0;
	}
}

/* A sale */

static void rest_for(struct waited *w, int64_t ms)
{
	w->due_ms = clock_mono_ms() + ms;
}

static void forget_sale(struct promoting *p, const struct waited *w)
{
	struct redis_command c;
	worklist_command(&c, "SREM", KEY_WAITED, w->coupon, w->segments);
	redis_send(p->svc->redis_sync, &c, NULL, NULL);
	redis_wait_all(p->svc->redis_sync);
}

/* Whoever joins meanwhile is seen by the second look, or enters the sale again. */
static void leave_sale(struct promoting *p, struct arena *a, struct waited *w, struct coupon *c)
{
	struct hub_answer again;
	forget_sale(p, w);
	FAULT(promote_left);
	waited_ask(p->svc, a, w, c, NULL, &again);
	bool is_moved = waiting_journal_move(p->svc, a, w->coupon) == STATUS_OK;
	w->is_listed = !is_moved || again.word == WAITED_AWAY || again.queue > 0 || again.count > 0;
	if (w->is_listed)
		worklist_wait(p->svc->redis_sync, w->coupon, w->segments);
}

/*
 * Entries of a sale that is over: their rows are marked. True: it is over for good, and no row is left to mark. Records
 * of the journal that come later are marked by whoever drains them, or stay, and mean nothing.
 */
static bool end_entries(struct promoting *p, struct arena *a, const struct waited *w)
{
	int64_t now_ms, changed = 0;
	struct db_rows over;
	struct service *svc = p->svc;
	if (sale_clock_read(svc, a, &now_ms) != STATUS_OK ||
	    db_query(svc->db, a, "SELECT 1 FROM coupons WHERE id = ? AND (state >= 2 OR ends_at_ms BETWEEN 1 AND ?)",
		     &over, DB_N(w->coupon), DB_N(now_ms - OVER_MS)) ||
	    !over.count)
		return false;
	do {
		if (db_exec(svc->db,
			    "UPDATE waiting_entries SET state = 3 WHERE coupon_id = ? AND state = 0 ORDER BY ticket LIMIT ?",
			    &changed, DB_N(w->coupon), DB_N(OVERS)))
			return false;
	} while (changed == OVERS);
	return true;
}

static void look_at_over(struct promoting *p, struct arena *a, struct waited *w)
{
	rest_for(w, REST_MS);
	if (!end_entries(p, a, w))
		return;
	forget_sale(p, w);
	w->is_listed = false;
}

/* Promotes the next entries. True: there may be more to do. */
static bool promote(struct promoting *p, struct arena *a, struct waited *w, struct coupon *c, struct hub_answer *hub)
{
	struct head h;
	if (!read_head(p->svc, a, w, c, &h))
		return false;
	FAULT(promote_read);
	struct str entries = buf_str(&h.text);
	waited_ask(p->svc, a, w, c, &entries, hub);
	if (hub->promoted)
		FAULT(promote_noted);
	if (hub->word == WAITED_OK && !hub->promoted)
		w->skipped = 0; /* the list has changed since it was read */
	return award_all(p->svc, a, w, c, hub) > 0 && hub->avail > 0 && hub->queue > 0;
}

/* True: there may be more to do at once. */
static bool look_at(struct promoting *p, struct arena *a, struct waited *w, struct coupon *c)
{
	struct hub_answer hub;
	rest_for(w, EVERY_MS + (int64_t)SALE_MS * p->count);
	waited_ask(p->svc, a, w, c, NULL, &hub);
	award_all(p->svc, a, w, c, &hub);
	waiting_journal_move(p->svc, a, w->coupon); /* what it cannot move now, a later look moves */
	if (hub.word == WAITED_UNLISTED && waiting_relist(p->svc, a, c) == STATUS_OK)
		return true;
	if (hub.word == WAITED_OK && hub.queue && hub.avail > 0)
		return promote(p, a, w, c, &hub);
	if (hub.word == WAITED_OK && hub.queue)
		award_collect(p->svc, a, w, c, &hub);
	else if (hub.word == WAITED_ENDED && !hub.count)
		look_at_over(p, a, w);
	else if (hub.word == WAITED_NOLIST || (hub.word != WAITED_AWAY && !hub.queue && !hub.count))
		leave_sale(p, a, w, c);
	else if (hub.word != WAITED_LATER && hub.word != WAITED_OK)
		rest_for(w, REST_MS);
	return false;
}

struct found {
	struct coupon *coupon;
};

static void on_coupon(void *context, enum status s, struct coupon *c)
{
	struct found *f = context;
	f->coupon = s == STATUS_OK ? coupon_hold(c) : NULL;
}

static bool step_sale(struct promoting *p, struct waited *w)
{
	struct arena a = { 0 };
	struct found f = { NULL };
	bool more = false;
	coupon_find_id(p->svc, w->coupon, on_coupon, &f);
	redis_wait_all(p->svc->redis_sync);
	if (f.coupon && f.coupon->segments == w->segments)
		more = look_at(p, &a, w, f.coupon);
	else
		rest_for(w, REST_MS);
	if (f.coupon)
		coupon_drop(f.coupon);
	arena_release(&a);
	return more;
}

static void set_gauge(const struct promoting *p)
{
	int64_t waiting = 0;
	for (int i = 0; i < p->count; i++)
		waiting += p->at[i].queue;
	stats_set(p->svc->stats, COUNT_people_waiting, (uint64_t)waiting);
}

/* Each sale in its turn: a step that takes too long goes on with the sales that it has left. */
enum promote_step promote_step(struct promoting *p, struct arena *a)
{
	int64_t began_ms = clock_mono_ms();
	bool more = false;
	list_sales(p, a);
	for (int left = p->count; left > 0 && clock_mono_ms() - began_ms < STEP_MS; left--) {
		struct waited *w = &p->at[p->next++ % p->count];
		bool again = clock_mono_ms() >= w->due_ms;
		while (again && clock_mono_ms() - began_ms < STEP_MS)
			again = step_sale(p, w);
		more |= again;
		if (again)
			w->due_ms = 0;
	}
	p->next = p->count ? p->next % p->count : 0;
	drop_unlisted(p);
	set_gauge(p);
	if (p->is_away && !redis_is_up(p->svc->redis_sync))
		return PROMOTE_AWAY;
	return more ? PROMOTE_MORE : PROMOTE_DONE;
}

int promote_rest_ms(const struct promoting *p, int most)
{
	int64_t least = most, now_ms = clock_mono_ms();
	for (int i = 0; i < p->count; i++) {
		int64_t left = p->at[i].due_ms - now_ms;
		least = left < least ? left : least;
	}
	return least > 0 ? (int)least : 0;
}
