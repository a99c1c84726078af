/*
 * First the slots in doubt are held, and the hub beside them: from then on
 * their numbers stand still, whatever life other processes believe in. They
 * are read, judged, and opened or closed, each from the hold that was put
 * there: where that is gone, somebody else has come, and nothing is done.
 *
 * A server that was replaced puts slots of many coupons in doubt at once, and
 * every step waits for disks. So coupons are inspected side by side.
 */
#include "sale/inspect.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/parse.h"
#include "sale/failure.h"
#include "sale/fence.h"
#include "sale/inspect_part.h"
#include "sale/stray.h"

/*
 * An inspection lasts a few ms; whose hold is older than this was killed or stopped. Each process waits a little longer
 * than another, so that on a slow disk they do not take it from each other for ever.
 */
enum { HOLD_MS = 1000, HOLD_MORE_MS = 1000 };

/* Acting */

static void on_change(void *context, enum redis_end end, const struct redis_reply *reply)
{
	struct inspection *in = context;
	if (end != REDIS_ANSWER)
		in->status = STATUS_UNAVAILABLE;
	else if (!str_eq(redis_text_at(reply, 0), STR("OK")))
		in->outrun = true;
}

static void change(struct inspection *in, const struct redis_command *c)
{
	redis_send(in->svc->redis_now, c, on_change, in);
}

static void hold_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->doubtful)
		return;
	if (llabs(clock_ms() - fence_held_ms(s->fence)) < HOLD_MS + getpid() % HOLD_MORE_MS)
		in->outrun = true; /* another inspection is at it */
	fence_hold_command(&c, key, in->coupon.id, i, s->fence, str_of(in->hold));
	if (!in->outrun)
		change(in, &c);
}

/* The hub first, in its present life, too: one inspection at a time, and no grants beside what is looked at. */
static void hold_hub(struct inspection *in)
{
	fence_hold_text(in->hold, in->coupon.generation);
	in->held = true;
	in->hub_was_open = !in->hub.problem && !in->hub.doubtful;
	in->hub.doubtful = !in->hub.problem;
	hold_slot(in, &in->hub, KEY_HUB, 0);
}

static void hold_segments(struct inspection *in)
{
	for (int i = 0; i < in->coupon.segments; i++)
		hold_slot(in, &in->segments[i], KEY_SEGMENT, i);
}

static void change_set(struct inspection *in, const char *command, enum key set, redis_done *done)
{
	struct redis_command c;
	redis_command(&c, command);
	key_put(&c, set, 0, 0);
	redis_put_text(&c, arena_printf(in->arena, "%lld:%d", (long long)in->coupon.id, in->coupon.segments));
	redis_send(in->svc->redis_now, &c, done, in);
}

static void open_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->doubtful)
		return;
	fence_open_command(&c, key, in->coupon.id, i, str_of(in->hold), in->coupon.generation);
	change(in, &c);
}

/* Only what is ours to close: a slot of another generation is recover's. */
static void close_slot(struct inspection *in, struct slot *s, enum key key, int i)
{
	struct redis_command c;
	if (!s->doubtful)
		return;
	fence_close_command(&c, key, in->coupon.id, i, str_of(in->hold), in->coupon.generation);
	change(in, &c);
}

static void log_problem(const struct inspection *in, const char *slot, int i, const char *problem)
{
	if (problem)
		log_error("coupon_closed", LOG_INT("coupon", in->coupon.id), LOG_TEXT("slot", slot),
			  LOG_INT("number", i), LOG_TEXT("problem", problem));
}

/* Once, not at every look. */
static void take_news(void *context, enum redis_end end, const struct redis_reply *reply)
{
	const struct inspection *in = context;
	if (end != REDIS_ANSWER || redis_number(reply) != 1)
		return;
	log_problem(in, "hub", 0, in->hub.problem);
	for (int i = 0; i < in->coupon.segments; i++)
		log_problem(in, "segment", i, in->segments[i].problem);
}

static void finish(struct inspection *in, enum status s)
{
	in->over = true;
	in->result = s;
}

/* A coupon of which a segment is away stays in doubt. */
static void conclude(struct inspection *in)
{
	bool whole = inspection_is_whole(in);
	if (whole && in->away) {
		finish(in, STATUS_UNAVAILABLE);
		return;
	}
	change_set(in, whole ? "SREM" : "SADD", KEY_CLOSED, whole ? NULL : take_news);
	change_set(in, "SREM", KEY_DOUBT, NULL);
	finish(in, whole ? STATUS_OK : STATUS_FENCED);
}

/* The coupon stays in doubt, and is looked at again. */
static enum status undecided(const struct inspection *in)
{
	return in->status != STATUS_OK ? in->status : STATUS_BUSY;
}

/* Segments that are well do not wait for a server that is not: nothing has moved since the hub was held. */
static void give_up(struct inspection *in)
{
	if (in->held && in->hub_was_open && !in->decided)
		open_slot(in, &in->hub, KEY_HUB, 0);
	finish(in, undecided(in));
}

/* The steps. Each is sent for all coupons, and then the answers for all are waited for. */

static void look(struct inspection *in)
{
	bool doubt = inspection_judge_fences(in);
	if (in->status == STATUS_OK && doubt)
		hold_hub(in);
	else if (in->status == STATUS_OK)
		conclude(in);
}

static void ask_segments(struct inspection *in)
{
	FAULT(inspect_held);
	inspection_ask_segments(in);
}

static void ask_hub(struct inspection *in)
{
	FAULT(inspect_segments);
	inspection_ask_hub(in);
}

static void decide(struct inspection *in)
{
	in->status = inspection_read_cursors(in);
	if (in->status != STATUS_OK)
		return;
	inspection_judge(in);
	FAULT(inspect_judged);
	in->decided = true;
	void (*act)(struct inspection *, struct slot *, enum key, int) =
		inspection_is_whole(in) ? open_slot : close_slot;
	for (int i = 0; i < in->coupon.segments; i++)
		act(in, &in->segments[i], KEY_SEGMENT, i);
	act(in, &in->hub, KEY_HUB, 0);
}

static void (*const steps[])(struct inspection *in) = {
	inspection_ask_fences, inspection_upgrade, look, hold_segments, ask_segments, ask_hub, decide, conclude
};

static void take_step(struct inspection *all, int count, void (*step)(struct inspection *in))
{
	for (int i = 0; i < count; i++)
		if (!all[i].over)
			step(&all[i]);
	redis_settle(all->svc->redis_now);
	for (int i = 0; i < count; i++)
		if (!all[i].over && (all[i].status != STATUS_OK || all[i].outrun))
			give_up(&all[i]);
}

/*
 * As many as have so many slots together: a group must be through with its holds in far less than HOLD_MS. Without
 * MySQL nothing is begun; it is not asked again for each of the others. Returns how many there are.
 */
static int begin_group(struct inspection *group, const int64_t *coupons, int count)
{
	enum { MOST_SLOTS = 1024 };
	enum status s = STATUS_OK;
	int begun = 0;
	for (int slots = 0; begun < count && slots < MOST_SLOTS; begun++) {
		struct inspection *in = &group[begun];
		if (s != STATUS_UNAVAILABLE)
			s = inspection_begin(in, coupons[begun]);
		if (s != STATUS_OK)
			finish(in, s);
		slots += in->coupon.segments;
	}
	return begun;
}

void inspect_coupons(struct service *svc, struct arena *a, const int64_t *coupons, int count, enum status *results)
{
	struct inspection *all = arena_alloc(a, (size_t)(count + 1) * sizeof *all);
	for (int i = 0; i < count; i++)
		all[i] = (struct inspection){ .svc = svc, .arena = a, .status = STATUS_OK };
	for (int from = 0, size; from < count; from += size) {
		size = begin_group(all + from, coupons + from, count - from);
		for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
			take_step(all + from, size, steps[i]);
		redis_settle(svc->redis_now);
	}
	for (int i = 0; i < count; i++)
		results[i] = all[i].result;
}

static void leave_doubt(struct service *svc, struct str member)
{
	struct redis_command c;
	redis_command(&c, "SREM");
	key_put(&c, KEY_DOUBT, 0, 0);
	redis_put(&c, member);
	redis_send(svc->redis_now, &c, NULL, NULL);
}

static int64_t coupon_of(struct str member)
{
	struct str rest = member, piece;
	int64_t coupon = 0;
	if (parse_split(&rest, ':', &piece))
		parse_int(piece, 1, NUMBER_MAX, &coupon);
	return coupon;
}

bool inspect_doubtful(struct service *svc, struct arena *a)
{
	struct redis_command c;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SRANDMEMBER");
	key_put(&c, KEY_DOUBT, 0, 0);
	redis_put_int(&c, INSPECT_MOST);
	bool well = redis_call(svc->redis_now, a, &c, &members) == REDIS_ANSWER;
	int count = redis_count(members) < INSPECT_MOST ? (int)redis_count(members) : INSPECT_MOST;
	int64_t *coupons = arena_alloc(a, (size_t)(count + 1) * sizeof *coupons);
	enum status *results = arena_alloc(a, (size_t)(count + 1) * sizeof *results);
	for (int i = 0; i < count; i++)
		coupons[i] = coupon_of(redis_text_at(members, (size_t)i));
	inspect_coupons(svc, a, coupons, count, results);
	for (int i = 0; i < count; i++) {
		if (results[i] == STATUS_NO_SUCH_COUPON)
			leave_doubt(svc, redis_text_at(members, (size_t)i));
		well &= results[i] != STATUS_UNAVAILABLE;
	}
	redis_settle(svc->redis_now);
	return well;
}

static struct str title_of(struct arena *a, struct str seller, struct str name)
{
	struct buf text;
	buf_init(&text, a);
	buf_put(&text, seller);
	buf_puts(&text, "/");
	buf_put(&text, name);
	return buf_str(&text);
}

/* As MySQL has it; else as Redis describes it, with its id, because another sale may have that name by now. */
static bool read_title(struct service *svc, struct arena *a, int64_t id, struct str *title)
{
	struct db_rows rows;
	struct stray s;
	if (db_query(svc->db, a,
		     "SELECT u.name, c.name FROM coupons c JOIN users u ON u.id = c.seller_id WHERE c.id = ?", &rows,
		     DB_N(id)))
		return false;
	if (rows.count)
		*title = title_of(a, db_row(&rows, 0)[0].text, db_row(&rows, 0)[1].text);
	else if (stray_names(svc, a, id, &s) == STATUS_OK)
		*title = str_of(arena_printf(a, "%.*s/%.*s (%lld, not in MySQL)", (int)s.seller_name.n, s.seller_name.p,
					     (int)s.name.n, s.name.p, (long long)id));
	else
		return false;
	return true;
}

enum status inspect_closed(struct service *svc, struct arena *a, struct str **titles, int *count)
{
	struct redis_command c;
	const struct redis_reply *members = NULL;
	redis_command(&c, "SMEMBERS");
	key_put(&c, KEY_CLOSED, 0, 0);
	if (redis_call(svc->redis_now, a, &c, &members) != REDIS_ANSWER)
		return STATUS_UNAVAILABLE;
	*titles = arena_alloc(a, (redis_count(members) + 1) * sizeof **titles);
	*count = 0;
	for (size_t i = 0; i < redis_count(members); i++) {
		struct str rest = redis_text_at(members, i), id;
		int64_t coupon;
		if (!parse_split(&rest, ':', &id) || !parse_int(id, 1, NUMBER_MAX, &coupon))
			continue;
		if (!read_title(svc, a, coupon, &(*titles)[*count]))
			return STATUS_UNAVAILABLE;
		++*count;
	}
	return STATUS_OK;
}
