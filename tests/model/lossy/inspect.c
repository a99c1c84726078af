/*
 * A slot whose fence names another incarnation of its server is inspected before it sells.
 *
 * EARLIER: hub and suspect segments are locked; their numbers, MySQL's cursors and the host's high-water marks are compared;
 * then each of them is opened or closed, if it is still locked.
 * CURRENT (src/inspect): MySQL gives a base; the segment is read; the hub admits it, and totals are exchanged; rows are
 * written back; the segment is opened if it is still as it was read. A hub is opened at once, and waits for every
 * segment's report.
 */
#include "model/lossy/lossy.h"

#include <string.h>

static int fence_of(const struct state *s, int shard)
{
	return shard == HUB ? s->hub.now.fence : s->segments[shard].now.fence;
}

static void set_fence(struct state *s, int shard, int fence)
{
	if (shard == HUB)
		s->hub.now.fence = (uint8_t)fence;
	else
		s->segments[shard].now.fence = (uint8_t)fence;
}

bool needs_inspection(const struct state *s, int shard)
{
	int fence = fence_of(s, shard);
	return fence != s->incarnation[shard] && fence != CLOSED;
}

/* EARLIER */

static bool first_and_last(const struct segment *g, int *first, int *last)
{
	*first = *last = 0;
	for (int c = 0; c < CLAIMERS; c++) {
		int n = g->own[c].listed ? g->own[c].number : 0;
		if (n && (!*first || n < *first))
			*first = n;
		if (n > *last)
			*last = n;
	}
	return *last > 0;
}

static bool list_is_whole(const struct segment *g, int cursor)
{
	int first, last;
	if (!first_and_last(g, &first, &last))
		return cursor > g->last;
	return first <= cursor && last == g->last;
}

static bool segment_is_whole(const struct state *s, int i, int host)
{
	const struct segment *g = &s->segments[i].now;
	int cursor = s->db.cursor[i].next;
	return g->last >= cursor - 1 && g->last >= s->acknowledged[host][i] && s->hub.now.with[i].taken <= g->sent &&
	       g->left == g->received - g->sent - g->last && list_is_whole(g, cursor);
}

static bool all_is_whole(const struct state *s, const struct sale *sale, unsigned suspects, int host)
{
	bool whole = s->hub.now.fence != CLOSED;
	for (int i = 0; i < sale->segments; i++) {
		const struct segment *g = &s->segments[i].now;
		whole &= g->fence != CLOSED && g->received <= s->hub.now.with[i].granted;
		if (suspects >> i & 1)
			whole &= segment_is_whole(s, i, host);
	}
	return whole;
}

static bool hold(struct state *s, const struct sale *sale, int host)
{
	unsigned suspects = 0;
	for (int i = 0; i < sale->segments; i++)
		suspects |= needs_inspection(s, i) ? bit(i) : 0;
	if (!suspects && !needs_inspection(s, HUB))
		return false;
	if (s->hub.now.fence != CLOSED)
		suspects |= bit(HUB);
	s->job = (struct inspection){ .phase = 1, .host = (uint8_t)host, .suspects = (uint8_t)suspects };
	for (int shard = 0; shard < SHARDS; shard++)
		if (suspects >> shard & 1)
			set_fence(s, shard, HELD);
	return true;
}

static enum word go_on_earlier(struct state *s, const struct sale *sale)
{
	struct inspection *job = &s->job;
	if (job->phase == 1) {
		job->whole = all_is_whole(s, sale, job->suspects, job->host);
		job->phase = 2;
		return OK;
	}
	for (int shard = 0; shard < SHARDS; shard++)
		if (job->suspects >> shard & 1 && fence_of(s, shard) == HELD)
			set_fence(s, shard, job->whole ? s->incarnation[shard] : CLOSED);
	memset(job, 0, sizeof *job);
	return OK;
}

/* CURRENT */

enum { TELL_HUB = 2 }; /* a phase */

/*
 * Of a segment that has none: those of its rows, which are read now. What it has above its last number is written back
 * later.
 */
static void return_owners(struct state *s, const struct sale *sale, int i)
{
	struct segment *g = &s->segments[i].now;
	if (owners_of(g) || !keeps(OWNERS_STAY_LOST))
		return;
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i && s->db.row[c] <= g->last)
			g->own[c].number = s->db.row[c];
}

static enum word read_slot(struct state *s, const struct sale *sale)
{
	struct inspection *job = &s->job;
	int shard = job->target;
	if (!needs_inspection(s, shard))
		return OTHER;
	job->fence = (uint8_t)fence_of(s, shard);
	job->incarnation = s->incarnation[shard];
	if (shard == HUB)
		return OK;
	return_owners(s, sale, shard);
	const struct segment *g = &s->segments[shard].now;
	job->received = g->received;
	job->sent = g->sent;
	job->sold = g->sold;
	job->last = g->last;
	job->acknowledged = s->acknowledged[job->host][shard];
	for (int c = 0; c < CLAIMERS; c++)
		job->own[c] = g->own[c].number;
	if (!keeps(NAMED_IN_MYSQL))
		name_in_mysql(s, sale, job);
	return OK;
}

static enum word take_base(struct state *s, const struct sale *sale)
{
	give_base(s, sale, &s->job);
	return OK;
}

static enum word count_hub(struct state *s, const struct sale *sale)
{
	(void)sale;
	s->job.term = ++s->db.term;
	return OK;
}

/* A connection ends with its server, so a script at the slot itself reaches only the incarnation that was read. */
static bool is_same_incarnation(const struct state *s)
{
	return s->job.incarnation == s->incarnation[s->job.target] || !keeps(ANY_INCARNATION_ACTS);
}

static enum word open_hub(struct state *s, const struct sale *sale)
{
	struct hub *h = &s->hub.now;
	struct inspection *job = &s->job;
	if (h->fence != job->fence || !is_same_incarnation(s))
		return OTHER;
	h->fence = job->incarnation;
	h->term = job->term;
	h->heard = 0;
	h->lacks = sale->waiters && keeps(NO_RELIST);
	if (keeps(MARKS_SURVIVE)) {
		h->empty = 0;
		h->sold_out = 0;
	}
	return OK;
}

static int user_of(const struct inspection *job, int number)
{
	for (int c = 0; c < CLAIMERS; c++)
		if (job->row[c] == number)
			return c;
	return -1;
}

/* A number that was named lost keeps its unit. */
static bool takes_over(const struct inspection *job, struct segment *g, int number)
{
	if (!number || !keeps(NO_TAKING_OVER))
		return false;
	if (job->held >> number & 1)
		g->lost |= (uint16_t)bit(number);
	return !(job->held >> number & 1);
}

/*
 * Rows and held units of MySQL above the segment's last number count as sold, and raise the last number. A row replaces
 * its customer's entry and takes over the unit of that entry.
 */
static void write_back(const struct inspection *job, struct segment *g)
{
	for (int n = g->last + 1; n < 16 && keeps(NO_WRITE_BACK); n++) {
		int c = user_of(job, n);
		if (c < 0 && !(job->held >> n & 1))
			continue;
		if (c < 0)
			g->lost |= (uint16_t)bit(n);
		if (c < 0 || !takes_over(job, g, g->own[c].number))
			g->sold++;
		if (c >= 0)
			g->own[c] = (struct own){ .number = (uint8_t)n };
		g->last = (uint8_t)n;
	}
}

/* Numbers that this host acknowledged and that are nowhere are named lost; each holds a unit while there are any. */
static void name_lost(const struct inspection *job, struct segment *g)
{
	int first = (job->acknowledged - 1) / RANGE * RANGE + 1;
	for (int n = first > g->last ? first : g->last + 1;
	     n <= job->acknowledged && keeps(NO_HOLDING) && keeps(NAMED_IN_MYSQL); n++) {
		if (user_of(job, n) >= 0 || job->dead >> n & 1)
			continue;
		if (!g->left && keeps(HOLDS_MORE))
			return;
		g->left--;
		g->sold++;
		g->lost |= (uint16_t)bit(n);
		g->listed |= (uint16_t)bit(n);
		g->last = (uint8_t)n;
	}
}

static bool is_as_read(const struct state *s)
{
	const struct inspection *job = &s->job;
	const struct segment *g = &s->segments[job->target].now;
	bool same = g->fence == job->fence && g->sold == job->sold && g->last == job->last &&
		    g->received == job->received && g->sent == job->sent;
	bool ahead = g->next > job->base || (g->next && g->term > job->term);
	return is_same_incarnation(s) && ((same && !ahead) || !keeps(NO_COMPARISON));
}

/* fence.lua */
static enum word close_segment(struct state *s)
{
	struct segment *g = &s->segments[s->job.target].now;
	if (is_same_incarnation(s) && (g->fence == s->job.fence || !keeps(CLOSES_ANY)))
		g->fence = CLOSED;
	return REGRESS;
}

/* admit.lua. The hub clears its mark, totals are exchanged, and the units that the rows need are taken from it. */
static enum word tell_hub(struct state *s, const struct sale *sale)
{
	struct hub *h = &s->hub.now;
	struct inspection *job = &s->job;
	int i = job->target, base = keeps(BASE_BY_INCARNATION) ? job->base : job->incarnation;
	if (!hub_is_open(s))
		return FENCED;
	if (keeps(BASE_BY_INCARNATION) && base < h->with[i].base)
		return REPLACED;
	struct hub before = *h;
	h->with[i].base = (uint8_t)base;
	if (job->sent > h->with[i].taken) {
		h->avail += (int8_t)(job->sent - h->with[i].taken);
		h->with[i].taken = job->sent;
	}
	struct segment after = { .last = job->last, .sold = job->sold };
	for (int c = 0; c < CLAIMERS; c++)
		after.own[c].number = job->own[c];
	write_back(job, &after);
	int need = h->with[i].taken + after.sold;
	if (need < job->received)
		need = job->received;
	if (need > h->with[i].granted && keeps(NO_NEED)) {
		if (h->avail < need - h->with[i].granted && hub_heard_all(s, sale)) {
			*h = before;
			return close_segment(s);
		}
		h->avail -= (int8_t)(need - h->with[i].granted);
		h->with[i].granted = (uint8_t)need;
	}
	if (keeps(PROMISE_SURVIVES_BASE))
		void_promise(h, i, job->received >= before.with[i].granted);
	if (sale->waiters && keeps(NO_RELIST))
		h->lacks = 1;
	job->waiters = h->waiting || h->lacks;
	if (keeps(MARK_STAYS)) {
		h->empty &= ~bit(i);
		h->sold_out = 0;
	}
	if (!keeps(TOLD_IS_HEARD))
		h->heard |= bit(i);
	job->granted = h->with[i].granted;
	job->taken = h->with[i].taken;
	job->term = (uint8_t)hub_term(h);
	return OK;
}

/* mend.lua */
static enum word write_segment(struct state *s, const struct sale *sale)
{
	struct inspection *job = &s->job;
	struct segment *g = &s->segments[job->target].now;
	(void)sale;
	if (!is_as_read(s))
		return OTHER;
	write_back(job, g);
	if (keeps(NO_GRANTED) && job->granted > g->received)
		g->received = job->granted;
	if (keeps(NO_TAKEN) && job->taken > g->sent)
		g->sent = job->taken;
	int left = g->received - g->sent - g->sold;
	if (left < 0)
		return close_segment(s);
	g->left = (uint8_t)left;
	g->term = job->term;
	g->next = job->base;
	job->received = g->received;
	job->sent = g->sent;
	job->sold = g->sold;
	job->last = g->last;
	return OK;
}

/*
 * mend.lua. After a failover hub and segment may both have lost a return whose unit another segment has sold since. Then
 * the segment gives a unit to the hub.
 */
static enum word give_back(struct state *s, int units)
{
	struct segment *g = &s->segments[s->job.target].now;
	if (!is_as_read(s))
		return OTHER;
	g->left -= (uint8_t)units;
	g->sent += (uint8_t)units;
	s->job.sent = g->sent;
	s->job.phase = TELL_HUB;
	return LATER;
}

/* Others may give units, or have given some of which the hub was not told yet. */
static bool others_may_give(const struct state *s, const struct sale *sale)
{
	for (int i = 0; i < sale->segments; i++) {
		const struct segment *g = &s->segments[i].now;
		if (!segment_is_open(s, i) && (g->left || g->sent > s->hub.now.with[i].taken))
			return true;
	}
	return false;
}

/* settle.lua. The segment's numbers no longer change, and the hub takes them. No segment opens before all have reported. */
static enum word settle(struct state *s, const struct sale *sale)
{
	struct hub *h = &s->hub.now;
	struct inspection *job = &s->job;
	int i = job->target;
	if (!hub_is_open(s))
		return FENCED;
	if (hub_term(h) != job->term || (h->with[i].base != job->base && keeps(BASE_BY_INCARNATION)))
		return REPLACED;
	h->heard |= bit(i);
	if (!hub_heard_all(s, sale) && keeps(OPENS_UNHEARD))
		return LATER;
	if (h->avail >= 0 || !hub_heard_all(s, sale))
		return OK;
	int left = job->received - job->sent - job->sold, units = -h->avail < left ? -h->avail : left;
	if (units && keeps(NO_GIVING))
		return give_back(s, units);
	return others_may_give(s, sale) ? LATER : close_segment(s);
}

/* reopen.lua */
static enum word open_segment(struct state *s, const struct sale *sale)
{
	struct inspection *job = &s->job;
	struct segment *g = &s->segments[job->target].now;
	if (s->losers && keeps(NOTICES_OUTLIVE))
		return LATER;
	(void)sale;
	bool same = g->fence == job->fence && g->next == job->base;
	if (!is_same_incarnation(s) || (!same && keeps(NO_COMPARISON)))
		return OTHER;
	name_lost(job, g);
	g->unowned = g->sold > owners_of(g) ? g->sold - owners_of(g) : 0; /* less only in a mutant */
	g->paused |= job->paused && keeps(STATE_STAYS);
	g->fence = job->incarnation;
	g->base = job->base;
	g->next = 0;
	if (job->waiters && keeps(OPENED_KEEPS_LEFT)) {
		g->sent += g->left;
		g->left = 0;
	}
	if (keeps(NUMBERS_GO_ON))
		g->last = (uint8_t)(job->base * RANGE);
	return OK;
}

typedef enum word inspection_step(struct state *s, const struct sale *sale);

static inspection_step *const *steps_at(int shard)
{
	static inspection_step *const hub[] = { read_slot, count_hub, open_hub, NULL };
	static inspection_step *const segment[] = { take_base, read_slot,    tell_hub, write_segment,
						    settle,    open_segment, NULL };
	static inspection_step *const base_late[] = {
		read_slot, take_base, tell_hub, write_segment, open_segment, NULL
	};
	static inspection_step *const hub_last[] = {
		take_base, read_slot, write_segment, open_segment, tell_hub, NULL
	};
	if (shard == HUB)
		return hub;
	return !keeps(BASE_LATE) ? base_late : keeps(HUB_LAST) ? segment : hub_last;
}

static enum word go_on_current(struct state *s, const struct sale *sale)
{
	inspection_step *const *steps = steps_at(s->job.target);
	enum word word = steps[s->job.phase](s, sale);
	if (word == OK)
		s->job.phase++;
	if ((word == OK && !steps[s->job.phase]) || word == OTHER || word == REPLACED || word == REGRESS)
		memset(&s->job, 0, sizeof s->job);
	return word;
}

/* The first step of an inspection. */
static bool begin_current(struct state *s, const struct sale *sale, int shard, int host)
{
	if (!needs_inspection(s, shard))
		return false;
	s->job = (struct inspection){ .target = (uint8_t)shard, .host = (uint8_t)host, .paused = s->db.paused };
	return go_on_current(s, sale) == OK;
}

bool begin_inspection(struct state *s, const struct sale *sale, int shard, int host)
{
	return rules == EARLIER ? hold(s, sale, host) : begin_current(s, sale, shard, host);
}

enum word go_on_inspecting(struct state *s, const struct sale *sale)
{
	return rules == EARLIER ? go_on_earlier(s, sale) : go_on_current(s, sale);
}

/* By a process other than the one that stands still. */
void inspect(struct state *s, const struct sale *sale, int shard, int host, int steps)
{
	struct inspection other = s->job;
	memset(&s->job, 0, sizeof s->job);
	if (begin_inspection(s, sale, shard, host))
		while (s->job.phase && --steps)
			if (go_on_inspecting(s, sale) != OK)
				memset(&s->job, 0, sizeof s->job);
	s->job = other;
}
