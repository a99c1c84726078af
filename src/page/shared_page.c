#include "page/shared_page.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { FRESH_MIN_MS = 2, FRESH_MAX_MS = 250, IDLE_MS = 20 };

/* A page that is being read, or is fresh, or was read within the last IDLE_MS. */
struct shared_page {
	struct table_node node;
	struct shared_pages *pages;
	struct str seller;
	struct coupon_page page;
	bool is_reading;                               /* false: `status` and `text` are of the last read */
	struct shared_page_reader *now;                /* wait for this read */
	struct shared_page_reader *later, **later_end; /* wait for the next read */
	int64_t began_ms, fresh_ms;
	enum status status;
	struct buf text;
	struct arena arena, text_arena;
	struct loop_timer idle;
};

struct shared_pages {
	struct service *service;
	void (*render)(struct buf *text, const struct coupon_page *page);
	struct table table;
};

static void read_page(struct shared_page *sh, struct shared_page_reader *readers)
{
	sh->is_reading = true;
	sh->now = readers;
	sh->began_ms = clock_mono_ms();
	coupon_page_of_name(&sh->page, sh->seller);
}

/* Requests that came too late for the last read share the next one. */
static void read_again(struct shared_page *sh)
{
	struct shared_page_reader *later = sh->later;
	sh->is_reading = false;
	sh->later = NULL;
	sh->later_end = &sh->later;
	if (later)
		read_page(sh, later);
	else
		loop_timer_set(sh->pages->service->loop, &sh->idle, sh->fresh_ms > IDLE_MS ? sh->fresh_ms : IDLE_MS);
}

/* From the beginning of the read. */
static int64_t fresh_after(int64_t read_took_ms)
{
	int64_t fresh_ms = FRESH_MIN_MS + 8 * read_took_ms;
	return read_took_ms + (fresh_ms < FRESH_MAX_MS ? fresh_ms : FRESH_MAX_MS);
}

static void on_page(struct coupon_page *p, enum status s)
{
	struct shared_page *sh = container_of(p, struct shared_page, page);
	struct shared_page_reader *r;
	arena_reset(&sh->text_arena);
	buf_init(&sh->text, &sh->text_arena);
	if (s == STATUS_OK)
		sh->pages->render(&sh->text, p);
	coupon_page_release(p);
	sh->status = s;
	sh->fresh_ms = fresh_after(clock_mono_ms() - sh->began_ms);
	while ((r = sh->now)) {
		sh->now = r->next; /* done may free r */
		r->done(r, s, buf_str(&sh->text));
	}
	read_again(sh);
}

static uint64_t page_hash(struct str seller, int64_t number)
{
	static const uint8_t key[SIPHASH_KEY];
	return siphash(key, seller.p, seller.n) ^ (uint64_t)number;
}

static struct shared_page *page_find(const struct shared_pages *ps, struct str seller, int64_t number)
{
	for (struct table_node *n = table_find(&ps->table, page_hash(seller, number)); n; n = table_next(n)) {
		struct shared_page *sh = container_of(n, struct shared_page, node);
		if (sh->page.number == number && str_eq(sh->seller, seller))
			return sh;
	}
	return NULL;
}

static void page_free(struct table_node *n)
{
	struct shared_page *sh = container_of(n, struct shared_page, node);
	loop_timer_cancel(sh->pages->service->loop, &sh->idle);
	arena_release(&sh->text_arena);
	arena_release(&sh->arena);
	free(sh);
}

static void on_idle(struct loop_timer *t)
{
	struct shared_page *sh = container_of(t, struct shared_page, idle);
	if (sh->is_reading)
		return;
	table_remove(&sh->pages->table, &sh->node);
	page_free(&sh->node);
}

static struct shared_page *page_new(struct shared_pages *ps, struct str seller, int64_t number)
{
	struct shared_page *sh = alloc_zeroed(1, sizeof *sh);
	arena_init(&sh->arena);
	arena_init(&sh->text_arena);
	sh->pages = ps;
	sh->seller = arena_str(&sh->arena, seller);
	sh->page = (struct coupon_page){ .service = ps->service, .number = number, .done = on_page };
	sh->fresh_ms = FRESH_MIN_MS;
	sh->later_end = &sh->later;
	sh->idle.fn = on_idle;
	table_put(&ps->table, &sh->node, page_hash(seller, number));
	return sh;
}

void shared_page_read(struct shared_pages *ps, struct str seller, int64_t number, struct shared_page_reader *r)
{
	struct shared_page *sh = page_find(ps, seller, number);
	if (!sh)
		sh = page_new(ps, seller, number);
	bool is_fresh = clock_mono_ms() - sh->began_ms < sh->fresh_ms;
	r->next = NULL;
	if (!sh->is_reading && is_fresh && (sh->status == STATUS_OK || sh->status == STATUS_NO_CONTENT)) {
		r->done(r, sh->status, buf_str(&sh->text));
	} else if (!sh->is_reading) {
		read_page(sh, r);
	} else if (is_fresh) {
		r->next = sh->now;
		sh->now = r;
	} else {
		*sh->later_end = r;
		sh->later_end = &r->next;
	}
}

struct shared_pages *shared_pages_new(struct service *svc,
				      void (*render)(struct buf *text, const struct coupon_page *page))
{
	struct shared_pages *ps = alloc_zeroed(1, sizeof *ps);
	ps->service = svc;
	ps->render = render;
	return ps;
}

void shared_pages_free(struct shared_pages *ps)
{
	if (ps)
		table_clear(&ps->table, page_free);
	free(ps);
}
