/*
 * A page of coupons: what a seller sells, or what a customer won. An index in
 * Redis names them; descriptors come from the cache, stock from Redis, all at
 * once, and the last part to come in answers. A seller's page that somebody
 * else asks for is read once for all who ask within FRESH_MS, or within nine
 * times as long as the read before took: so reading takes a tenth of the time
 * at most. Who comes later, while it is still being read, shares the next one.
 */
#include <stdlib.h>

#include "account/user.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/siphash.h"
#include "base/table.h"
#include "catalog/availability.h"
#include "http/handlers.h"
#include "sale/key.h"
#include "sale/seller_index.h"

enum { PAGE = 20, FRESH_MS = 2, IDLE_MS = 20 };

struct asker {
	struct asker *next;
	struct request *request;
};

/* A seller's page that is being read, or was a moment ago. */
struct shared {
	struct table_node node;
	struct service *service;
	struct str seller;
	int64_t page;
	struct list *reading;        /* NULL: `status` and `body` are of the last read */
	struct asker *later, **last; /* who gets the next one */
	int64_t began_ms, fresh_ms;
	enum status status;
	struct buf body;
	struct arena arena, body_arena;
	struct loop_timer idle;
};

struct lists {
	struct table shared;
};

struct entry {
	struct list *list;
	struct coupon *coupon; /* NULL: Redis no longer knows it */
	bool has_stock;        /* false: its stock is not in Redis, an operator must look */
	int64_t left, amount;
};

struct list {
	struct service *service;
	struct asker *askers;
	struct shared *shared; /* NULL: one customer's own page, or one seller's */
	int64_t page;
	bool of_seller;
	int count, outstanding;
	enum status status;
	struct entry entries[PAGE];
};

static void lookup(struct list *l);

static struct list *list_new(struct service *svc, struct asker *askers, int64_t page)
{
	struct list *l = alloc_zeroed(1, sizeof *l);
	*l = (struct list){ .service = svc, .askers = askers, .page = page, .status = STATUS_OK };
	return l;
}

static void put_entry(struct buf *body, const struct entry *e)
{
	json_begin(body, NULL, '{');
	json_str(body, "name", e->coupon->name);
	json_int(body, "stock", e->coupon->stock);
	json_str(body, "description", e->coupon->description);
	json_str(body, "seller", e->coupon->seller_name);
	if (e->has_stock) {
		json_int(body, "amount", e->amount);
		json_int(body, "left", e->left);
	}
	json_end(body, '}');
}

static void put_page(struct buf *body, const struct list *l)
{
	json_begin(body, NULL, '{');
	json_str(body, "errMsg", STR(""));
	json_begin(body, "data", '[');
	for (int i = 0; i < l->count; i++)
		if (l->entries[i].coupon)
			put_entry(body, &l->entries[i]);
	json_end(body, ']');
	json_end(body, '}');
}

static void tell(struct asker *first, enum status s, struct str body)
{
	for (struct asker *next; first; first = next) {
		struct request *rq = first->request;
		next = first->next; /* its memory is the request's */
		if (s == STATUS_ELSEWHERE) {
			request_hand_over(rq);
			continue;
		}
		if (s == STATUS_OK)
			buf_put(&rq->response.body, body);
		request_finish(rq, s);
	}
}

static void shared_keep(struct shared *sh, enum status s, struct str body)
{
	arena_reset(&sh->body_arena);
	buf_init(&sh->body, &sh->body_arena);
	buf_put(&sh->body, body);
	sh->status = s;
	sh->fresh_ms = FRESH_MS + 9 * (clock_mono_ms() - sh->began_ms);
}

static void read_shared(struct shared *sh, struct asker *askers)
{
	sh->reading = list_new(sh->service, askers, sh->page);
	sh->reading->shared = sh;
	sh->began_ms = clock_mono_ms();
	lookup(sh->reading);
}

/* Who came too late for this read gets the next one. */
static void read_again(struct shared *sh)
{
	struct asker *later = sh->later;
	sh->reading = NULL;
	sh->later = NULL;
	sh->last = &sh->later;
	if (later)
		read_shared(sh, later);
	else
		loop_timer_set(sh->service->loop, &sh->idle, IDLE_MS);
}

static void list_end(struct list *l, enum status s)
{
	struct arena own;
	struct buf body;
	arena_init(&own);
	buf_init(&body, &own);
	if (s == STATUS_OK && l->count)
		put_page(&body, l);
	else if (s == STATUS_OK)
		s = STATUS_NO_CONTENT;
	for (int i = 0; i < l->count; i++)
		if (l->entries[i].coupon)
			coupon_drop(l->entries[i].coupon);
	if (l->shared) {
		shared_keep(l->shared, s, buf_str(&body));
		read_again(l->shared);
	}
	tell(l->askers, s, buf_str(&body));
	arena_release(&own);
	free(l);
}

static void entry_over(struct list *l, enum status s)
{
	if (s != STATUS_OK)
		l->status = s;
	if (--l->outstanding == 0)
		list_end(l, l->status);
}

static void on_entry_stock(void *context, enum status s, const struct availability *st)
{
	struct entry *e = context;
	e->has_stock = s == STATUS_OK;
	if (s == STATUS_OK) {
		e->left = st->left;
		e->amount = st->amount;
	} else if (s == STATUS_FENCED || s == STATUS_BUSY) { /* one broken sale does not hide the others */
		coupon_forget(e->list->service->coupons, e->coupon);
		s = STATUS_OK;
	}
	entry_over(e->list, s);
}

static void on_entry(void *context, enum status s, struct coupon *c)
{
	struct entry *e = context;
	struct list *l = e->list;
	if (s == STATUS_OK)
		e->coupon = coupon_hold(c);
	if (s == STATUS_OK && l->of_seller)
		availability_read(l->service, c, false, on_entry_stock, e);
	else
		entry_over(l, s == STATUS_NO_SUCH_COUPON ? STATUS_OK : s);
}

/* An index member is a coupon's id, or an order number that begins with it. */
static int64_t coupon_of_member(struct str member)
{
	struct str rest = member, id;
	int64_t value = 0;
	parse_split(&rest, '-', &id);
	parse_int(id, 1, NUMBER_MAX, &value);
	return value;
}

/* A customer whose order was lost may have another one of that coupon. */
static bool is_repeated(const int64_t *ids, int i)
{
	for (int k = 0; k < i; k++)
		if (ids[k] == ids[i])
			return true;
	return false;
}

static void on_index(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct list *l = context;
	if (end != REDIS_ANSWER) {
		list_end(l, STATUS_UNAVAILABLE);
		return;
	}
	l->count = redis_count(reply) < PAGE ? (int)redis_count(reply) : PAGE;
	l->outstanding = l->count + 1; /* one for this loop */
	int64_t ids[PAGE];
	for (int i = 0; i < l->count; i++)
		ids[i] = coupon_of_member(redis_text_at(reply, (size_t)i));
	for (int i = 0; i < l->count; i++) {
		l->entries[i].list = l;
		if (is_repeated(ids, i))
			entry_over(l, STATUS_OK);
		else
			coupon_find_id(l->service, ids[i], on_entry, &l->entries[i]);
	}
	entry_over(l, STATUS_OK);
}

static void read_index(struct list *l, enum key index, int64_t user)
{
	struct redis_command c;
	redis_command(&c, "ZREVRANGE");
	key_put(&c, index, user, 0);
	redis_put_int(&c, (l->page - 1) * PAGE);
	redis_put_int(&c, l->page * PAGE - 1);
	redis_send(l->service->redis, &c, on_index, l);
}

static void on_directory(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct list *l = context;
	if (end != REDIS_ANSWER)
		list_end(l, STATUS_UNAVAILABLE);
	else if (redis_type(reply) == REDIS_NIL)
		list_end(l, STATUS_ELSEWHERE);
	else
		read_index(l, KEY_SELLER, redis_number(reply));
}

/* A page of somebody else's: of a seller, by name. */
static void lookup(struct list *l)
{
	struct redis_command c;
	l->of_seller = true;
	seller_index_find(&c, l->shared->seller);
	redis_send(l->service->redis, &c, on_directory, l);
}

static uint64_t page_hash(struct str seller, int64_t page)
{
	static const uint8_t key[SIPHASH_KEY];
	return siphash(key, seller.p, seller.n) ^ (uint64_t)page;
}

static struct shared *shared_find(struct lists *ls, struct str seller, int64_t page)
{
	struct table_node *n = table_find(&ls->shared, page_hash(seller, page));
	struct shared *sh = (struct shared *)n; /* its first member */
	while (n && !(sh->page == page && str_eq(sh->seller, seller)))
		sh = (struct shared *)(n = table_next(n));
	return sh;
}

static void shared_free(struct shared *sh)
{
	loop_timer_cancel(sh->service->loop, &sh->idle);
	arena_release(&sh->body_arena);
	arena_release(&sh->arena);
	free(sh);
}

static void on_idle(struct loop_timer *t)
{
	struct shared *sh = container_of(t, struct shared, idle);
	if (sh->reading)
		return;
	table_remove(&sh->service->lists->shared, &sh->node);
	shared_free(sh);
}

static struct shared *shared_new(struct service *svc, struct str seller, int64_t page)
{
	struct shared *sh = alloc_zeroed(1, sizeof *sh);
	sh->service = svc;
	arena_init(&sh->arena);
	arena_init(&sh->body_arena);
	sh->seller = arena_str(&sh->arena, seller);
	sh->page = page;
	sh->fresh_ms = FRESH_MS;
	sh->last = &sh->later;
	sh->idle.fn = on_idle;
	table_put(&svc->lists->shared, &sh->node, page_hash(seller, page));
	return sh;
}

static enum status ask_shared(struct shared *sh, struct asker *asker)
{
	bool fresh = clock_mono_ms() - sh->began_ms < sh->fresh_ms;
	if (!sh->reading && fresh && (sh->status == STATUS_OK || sh->status == STATUS_NO_CONTENT)) {
		buf_put(&asker->request->response.body, buf_str(&sh->body));
		return sh->status;
	}
	if (!sh->reading) {
		read_shared(sh, asker);
	} else if (fresh) {
		asker->next = sh->reading->askers;
		sh->reading->askers = asker;
	} else {
		*sh->last = asker;
		sh->last = &asker->next;
	}
	return STATUS_PENDING;
}

static enum status ask_for(struct service *svc, struct asker *asker, struct str seller, int64_t page)
{
	if (!svc->lists && !(svc->lists = calloc(1, sizeof *svc->lists)))
		abort();
	struct shared *sh = shared_find(svc->lists, seller, page);
	return ask_shared(sh ? sh : shared_new(svc, seller, page), asker);
}

enum status handle_coupon_list(struct request *rq)
{
	int64_t page;
	enum status s = request_page(rq, &page);
	if (s != STATUS_OK)
		return s;
	struct asker *asker = arena_alloc(rq->arena, sizeof *asker);
	*asker = (struct asker){ .request = rq };
	if (!str_eq(rq->part[2], rq->token.name))
		return ask_for(rq->service, asker, rq->part[2], page);
	struct list *l = list_new(rq->service, asker, page);
	l->of_seller = rq->token.kind == KIND_SELLER;
	read_index(l, l->of_seller ? KEY_SELLER : KEY_CUSTOMER, rq->token.user);
	return STATUS_PENDING;
}

static void forget(struct table_node *n)
{
	shared_free((struct shared *)n);
}

void lists_free(struct lists *ls)
{
	if (ls)
		table_clear(&ls->shared, forget);
	free(ls);
}

/* Cold pool: a name that is no seller in Redis. */
enum status handle_list_unknown(struct request *rq)
{
	struct user user;
	enum status s = user_find(rq->service, rq->arena, rq->part[2], &user);
	if (s != STATUS_OK)
		return s;
	if (user.kind != KIND_SELLER)
		return request_fail(rq, STATUS_UNAUTHORIZED, "only a customer may see what they won");
	s = seller_index_add(rq->service, rq->part[2], user.id);
	if (s != STATUS_OK)
		return s;
	rq->response.detail = "@hot";
	return STATUS_ELSEWHERE;
}
