/*
 * The steps that are possible in a state. Workers are not modelled one by one: whatever a worker may do with a reply is
 * possible as long as the reply exists, and a reply exists from the script that gave it on.
 */
#include "model/model.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { VALUES = COUNT_MOST + 1, REPORTS = VALUES * VALUES * 2, UNTILS = FAR };

static_assert(REPORTS <= REPORT_WORDS * 64 && VALUES * UNTILS <= 64, "every message has its bit");
static_assert(sizeof(struct state) == 64 + SEGMENTS * REPORT_WORDS * sizeof(uint64_t), "no padding, or hashes differ");

/* Messages */

struct saying {
	int received, sent;
	bool zero; /* nothing was left */
};

static int report_number(struct saying r)
{
	assert(r.received < VALUES && r.sent < VALUES);
	return (r.received * VALUES + r.sent) * 2 + r.zero;
}

static struct saying report_of(int number)
{
	return (struct saying){ number / 2 / VALUES, number / 2 % VALUES, number % 2 };
}

static void put_report(struct state *s, int i, struct saying r)
{
	int number = report_number(r);
	s->reports[i][number / 64] |= UINT64_C(1) << number % 64;
}

/* The first report from this number on, or -1. */
static int next_report(const struct state *s, int i, int number)
{
	for (int w = number / 64; w < REPORT_WORDS; w++, number = w * 64) {
		uint64_t rest = s->reports[i][w] >> number % 64;
		if (rest)
			return number + __builtin_ctzll(rest);
	}
	return -1;
}

static uint64_t word_bit(int epoch, int until)
{
	assert(epoch < VALUES && until >= 1 && until <= UNTILS);
	return UINT64_C(1) << (epoch * UNTILS + until - 1);
}

static void put_reply(struct state *s, const struct step *step, const struct reply *r, int segment)
{
	switch (step->kind) {
	case CLAIM:
		if (r->word != NEED)
			return;
		put_report(s, segment, (struct saying){ r->values[0], r->values[1], true });
		return;
	case CREDIT:
	case DEBIT:
	case AWARD:
		if (r->word == OK)
			put_report(s, segment, (struct saying){ r->values[1], r->values[2], r->values[0] == 0 });
		return;
	case EXCHANGE:
		if (r->word == GRANT || r->word == NONE || r->word == OK)
			s->grants[segment] |= 1u << r->values[0];
		else if (r->word == SOLDOUT || (r->word == HELD && r->values[1]))
			*(r->word == HELD ? &s->held_words : &s->words) |= word_bit(r->values[0], r->values[1]);
		for (int i = 2; r->word == NONE && i < r->count; i += 3)
			s->grants[r->values[i]] |= 1u << r->values[i + 1];
		return;
	case SUPPLY:
		s->opens |= 1u << r->values[0];
		return;
	}
}

/*
 * Inert messages: those that can change nothing, now or later. This is what keeps the search small; main.c searches
 * small sales with and without it and compares what is reached.
 */

/* Totals only rise, so one that was surpassed stays so; and a mark needs the totals to be equal. */
static void drop_inert_reports(struct state *s, int i)
{
	int granted = s->hub.with[i].granted, taken = s->hub.with[i].taken;
	bool marked = s->hub.empty >> i & 1;
	for (int number = next_report(s, i, 0); number >= 0; number = next_report(s, i, number + 1)) {
		struct saying r = report_of(number);
		bool marks = r.zero && r.received == granted && r.sent >= taken;
		if (marks && !(r.sent == taken && marked))
			continue;
		s->asked |= (unsigned)r.zero << i;
		s->reports[i][number / 64] &= ~(UINT64_C(1) << number % 64);
		if (r.sent > taken)
			put_report(s, i, (struct saying){ 0, r.sent, false });
	}
}

static bool told_everywhere(const struct state *s, const struct sale *sale, int epoch)
{
	for (int i = 0; i < sale->segments; i++)
		if (s->segments[i].epoch < epoch)
			return false;
	return true;
}

/* A flag of an older epoch is refused; one of the same epoch whose lease is over changes nothing. */
static void drop_inert_words(struct state *s, const struct sale *sale)
{
	for (int epoch = 0; epoch < VALUES && told_everywhere(s, sale, epoch); epoch++) {
		bool surpassed = told_everywhere(s, sale, epoch + 1);
		s->opens &= ~(1u << epoch);
		for (int until = 1; until <= UNTILS; until++)
			if (surpassed || is_over(s, until)) {
				s->words &= ~word_bit(epoch, until);
				s->held_words &= ~word_bit(epoch, until);
			}
	}
}

/* Once the owner's entry is another one, a release of this order changes nothing any more. */
void drop_inert_release(struct state *s)
{
	if (s->over.number && s->claimers[s->over.user - 1].order != s->over.number)
		s->over = (struct over){ .user = 1, .was_final = s->over.was_final };
}

void drop_inert(struct state *s, const struct sale *sale)
{
	for (int i = 0; i < sale->segments; i++) {
		struct segment *g = &s->segments[i];
		if (is_over(s, g->until))
			g->until = g->held = 0;
		s->grants[i] &= ~((2u << g->received) - 1);
		drop_inert_reports(s, i);
	}
	if (s->words || s->held_words || s->opens)
		drop_inert_words(s, sale);
	drop_inert_release(s);
}

static unsigned promised_place(const struct state *s, int c)
{
	for (int place = 0; place < 2 * SEGMENTS; place++)
		if ((s->promised >> 2 * place & 3) == user_of(c))
			return (unsigned)place + 1;
	return 0;
}

/* Everything that a state has of a claimer, as a number. */
static unsigned about(const struct state *s, int c)
{
	const struct claimer *of = &s->claimers[c];
	return of->order | of->request << 4 | of->live << 6 | of->paid << 7 | (s->losers >> c & 1) << 8 |
	       (unsigned)(s->over.number && s->over.user == user_of(c)) << 9 | (unsigned)rank_of(s, c) << 10 |
	       promised_place(s, c) << 12;
}

static void swap_waiting(struct state *s, int a, int b)
{
	unsigned differ = (s->ranks >> 2 * a ^ s->ranks >> 2 * b) & 3, places = 0;
	s->ranks ^= (uint8_t)(differ << 2 * a | differ << 2 * b);
	for (int place = 0; place < 2 * SEGMENTS; place++) {
		unsigned user = s->promised >> 2 * place & 3;
		user = user == (unsigned)user_of(a)   ? (unsigned)user_of(b)
		       : user == (unsigned)user_of(b) ? (unsigned)user_of(a)
						       : user;
		places |= user << 2 * place;
	}
	s->promised = (uint16_t)((s->promised & ~4095u) | places);
}

static void swap(struct state *s, int a, int b)
{
	struct claimer other = s->claimers[a];
	unsigned differ = (s->losers >> a ^ s->losers >> b) & 1;
	s->claimers[a] = s->claimers[b];
	s->claimers[b] = other;
	s->losers ^= differ << a | differ << b;
	if (s->over.number && (s->over.user == user_of(a) || s->over.user == user_of(b)))
		s->over.user = user_of(a + b - (s->over.user - 1));
	if (s->ranks | s->promised)
		swap_waiting(s, a, b);
}

void sort_alike(struct state *s, const struct sale *sale)
{
	for (int a = 0; a < sale->claimers; a++)
		for (int b = a + 1; b < sale->claimers; b++)
			if (sale->home[a] == sale->home[b] && about(s, a) > about(s, b))
				swap(s, a, b);
}

/* Which steps there are */

struct steps {
	struct step *list;
	int count;
};

static void add(struct steps *to, enum kind kind, int at, int a, int b, int c, int d)
{
	assert(to->count < STEPS_MOST);
	to->list[to->count++] =
		(struct step){ (uint8_t)kind, (uint8_t)at, { (int8_t)a, (int8_t)b, (int8_t)c, (int8_t)d, SEGMENTS, -1 } };
}

static void add_credits(struct steps *to, const struct state *s, enum kind kind, int at, int i)
{
	for (unsigned rest = s->grants[i]; rest; rest &= rest - 1)
		add(to, kind, at, __builtin_ctz(rest), s->hub.with[i].taken, 0, 0);
}

static void add_claims(struct steps *to, const struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++) {
		add(to, CLAIM, c, -1, 0, 0, 0);
		if (!s->claimers[c].order)
			add_credits(to, s, CLAIM, c, sale->home[c]);
	}
}

static bool is_home(const struct sale *sale, int i)
{
	for (int c = 0; c < sale->claimers; c++)
		if (sale->home[c] == i)
			return true;
	return false;
}

/* The same, from a worker that has waited for an opening. */
static void add_waited(struct steps *to, const struct state *s, int arg)
{
	struct step step = to->list[to->count - 1];
	if (!s->hub.opening || !s->hub.waited)
		return;
	assert(to->count < STEPS_MOST);
	step.args[arg] = s->hub.waited;
	to->list[to->count++] = step;
}

static void add_question(struct steps *to, const struct state *s, int i, struct saying r, int want)
{
	add(to, EXCHANGE, i, r.received, r.sent, !r.zero, want);
	if (want > 0)
		add_waited(to, s, 9);
}

/* Where a report was dropped, its question may still be put; with left 1 it reports nothing more. */
static void add_exchanges(struct steps *to, const struct state *s, const struct sale *sale, int i)
{
	for (int want = 0; want <= (is_home(sale, i) ? sale->want : 0); want++) {
		for (int number = next_report(s, i, 0); number >= 0; number = next_report(s, i, number + 1)) {
			struct saying r = report_of(number);
			if (want == 0 || r.zero)
				add_question(to, s, i, r, want);
		}
		if (want > 0 && s->asked >> i & 1)
			add_question(to, s, i, (struct saying){ 0, 0, false }, want);
	}
}

static void add_words(struct steps *to, uint64_t words, int i, int held)
{
	for (; words; words &= words - 1) {
		int bit = __builtin_ctzll(words);
		add(to, FLAG, i, bit / UNTILS, bit % UNTILS + 1, held, 0);
	}
}

static void add_flags(struct steps *to, const struct state *s, int i)
{
	unsigned opens = s->opens;
	for (int k = 0; k < SUPPLIERS; k++)
		if (s->suppliers[k].supply == TOLD)
			opens |= 1u << s->suppliers[k].epoch;
	for (; opens; opens &= opens - 1)
		add(to, FLAG, i, __builtin_ctz(opens), 0, 0, 0);
	add_words(to, s->words, i, 0);
	add_words(to, s->held_words, i, 1);
}

static void add_commits(struct steps *to, const struct state *s, const struct sale *sale)
{
	if (sale->adds && s->suppliers[SELLER].supply == PLANNED)
		add(to, COMMIT, SELLER, 0, 0, 0, 0);
	for (int c = 0; c < sale->claimers; c++)
		if (sale->returns && s->suppliers[CANCELLER].supply == PLANNED && s->claimers[c].live)
			add(to, COMMIT, CANCELLER, c, 0, 0, 0);
}

static void add_supply(struct steps *to, const struct state *s, int k, const struct totals *t)
{
	add(to, SUPPLY, k, t->amount, t->cancelled, 0, t->final);
	to->list[to->count - 1].args[4] = (int8_t)t->final_cancelled;
	to->list[to->count - 1].args[5] = (int8_t)t->pays;
	add_waited(to, s, 2);
}

/*
 * A caller has its own units in the totals; of the other's, it may have read an old total. What is final may be told alone,
 * and a call with all totals equals two: the hub takes each total by itself.
 */
static void add_supplies(struct steps *to, const struct state *s, const struct sale *sale, int k)
{
	struct totals now = counted_in_mysql(s, sale);
	bool other = s->suppliers[!k].supply >= COMMITTED;
	for (int late = 0; late <= other; late++) {
		bool seller = k == SELLER || (other && !late), canceller = k == CANCELLER || (other && !late);
		add_supply(to, s, k,
			   &(struct totals){ sale->units + (seller ? sale->adds : 0), canceller, 0,
					     canceller && now.final_cancelled, sale->pays });
	}
}

static void add_payments(struct steps *to, const struct state *s, const struct sale *sale)
{
	bool may_pay = false;
	for (int c = 0; c < sale->claimers; c++)
		if (s->claimers[c].live && !s->claimers[c].paid) {
			add(to, PAY, c, 0, 0, 0, 0);
			may_pay = true;
		}
	int final = counted_in_mysql(s, sale).final + (may_pay && !keeps(HASTY_FINAL));
	if (final > s->hub.final || !s->hub.pays)
		add_supply(to, s, DRAINER, &(struct totals){ .final = final, .pays = 1 });
}

/* An order that is over; a repeated release of it may come at any time. */
static void add_releases(struct steps *to, const struct state *s, const struct sale *sale)
{
	if (s->over.number)
		add(to, RELEASE, s->over.user - 1, s->over.number, 0, 0, 0);
	for (int c = 0; c < sale->claimers && !keeps(HASTY_RELEASE); c++)
		if (s->claimers[c].live)
			add(to, RELEASE, c, s->claimers[c].order, 0, 0, 0);
}

/* What a promoter has read of the list may be old, so it may try anybody, but not with itself. */
static void add_promotions(struct steps *to, const struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++) {
		add(to, JOIN, c, 0, 0, 0, 0);
		if (s->ranks || s->promised)
			add(to, LEAVE, c, 0, 0, 0, 0);
		for (int skipped = 0; skipped <= (sale->away ? queue_of(s) : 0) && s->hub.avail > 0; skipped++)
			for (int next = -1; next < sale->claimers; next++) {
				if (next == c || (next >= 0 && sale->home[next] != sale->home[c]))
					continue;
				add(to, PROMOTE, c, skipped, 0, next, 0);
				add_waited(to, s, 1);
			}
	}
	for (int i = 0; i < sale->segments; i++) {
		if (!promised_units(s, i))
			continue;
		add(to, AWARD, i, s->hub.with[i].granted, promised_to(s, i, 0), promised_to(s, i, 1), 0);
		if (s->segments[i].received >= s->hub.with[i].granted || !keeps(HASTY_CLEAR))
			add(to, CLEAR, i, promised_to(s, i, 0), promised_to(s, i, 1), 0, 0);
	}
}

/* Requests ask for two units, then for one. */
static uint64_t pair_bit(int asked, int missed)
{
	assert(asked <= 3 && missed <= 3);
	return UINT64_C(1) << ((asked ? asked - 1 : 0) * 4 + missed);
}

static unsigned slots_of(const struct sale *sale)
{
	return (2u << sale->segments) - 1;
}

static bool may_promise(const struct state *s, const struct sale *sale, int version)
{
	unsigned told = (unsigned)(s->steered.told >> 4 * (version - 1)) & slots_of(sale), hub = 1u << sale->segments;
	return told == slots_of(sale) || (told >= hub && !keeps(ONLY_HUB_PAUSES)) || (told > hub && !keeps(HASTY_PAUSE));
}

static void add_steering(struct steps *to, const struct state *s, const struct sale *sale)
{
	const struct steered *t = &s->steered;
	if ((int)t->decided < sale->steers)
		add(to, DECIDE, 0, 0, 0, 0, 0);
	for (int v = 1; v <= (int)t->decided; v++) {
		for (int slot = 0; slot <= sale->segments; slot++)
			if (version_of(s, slot) != v || !(t->told >> (4 * (v - 1) + slot) & 1))
				add(to, STEER, slot, v, 0, 0, 0);
		if (v > (int)t->acknowledged && may_promise(s, sale, v))
			add(to, PROMISE_STATE, 0, v, 0, 0, 0);
	}
}

static void add_withdrawals(struct steps *to, const struct state *s, const struct sale *sale)
{
	const struct steered *t = &s->steered;
	if ((int)t->asked < (sale->withdraws > 1 ? 3 : 2))
		add(to, ASK, 0, 0, 0, 0, 0);
	for (int asked = 2; asked <= 3; asked++)
		for (int missed = 0; missed <= 3; missed++)
			if (t->read & pair_bit(asked, missed))
				add(to, WITHDRAW, 0, asked, missed, 0, 0);
	if (t->withdrawn < t->hub_withdrawn || t->missed < t->hub_missed)
		add(to, NOTE, 0, 0, 0, 0, 0);
}

static bool may_acknowledge(const struct state *s, const struct sale *sale, const struct supplier *p)
{
	int waited = s->clock - p->told_at;
	return p->supply == TOLD &&
	       ((p->accepted == all_segments(sale) && (!p->waits || waited >= KEPT || !keeps(NOTICES_OUTLIVE_SUPPLY))) ||
		waited >= LEASE || !keeps(HASTY_ACKNOWLEDGEMENT));
}

static void add_supplier(struct steps *to, const struct state *s, const struct sale *sale, int k)
{
	const struct supplier *p = &s->suppliers[k];
	if (p->supply >= COMMITTED)
		add_supplies(to, s, sale, k);
	if (may_acknowledge(s, sale, p))
		add(to, ACKNOWLEDGE, k, 0, 0, 0, 0);
}

/* claim.h: "sold out" answers the claims that were under way when the hub was asked. */
static bool may_answer(const struct state *s, const struct claimer *c)
{
	return c->request == HEARD || (c->request != IDLE && (s->words || s->held_words) && !keeps(ANY_SOLDOUT_ANSWERS));
}

static void add_requests(struct steps *to, const struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++) {
		if (s->losers >> c & 1)
			add(to, REFUSE, c, 0, 0, 0, 0);
		if (may_answer(s, &s->claimers[c]))
			add(to, ANSWER, c, 0, 0, 0, 0);
		if (s->claimers[c].request != IDLE)
			add(to, GIVE_UP, c, 0, 0, 0, 0);
	}
}

int steps_of(const struct state *s, const struct sale *sale, struct step list[STEPS_MOST])
{
	struct steps to = { list, 0 };
	add_claims(&to, s, sale);
	for (int i = 0; i < sale->segments; i++) {
		if (!s->segments[i].made) {
			add(&to, OPEN_SEGMENT, i, sale->first[i], 0, 0, 0);
			continue;
		}
		add_credits(&to, s, CREDIT, i, i);
		add(&to, DEBIT, i, 1, 0, 0, 0);
		add(&to, DEBIT, i, 0, 0, 0, 0);
		add_exchanges(&to, s, sale, i);
		add_flags(&to, s, i);
	}
	for (int k = 0; k < SUPPLIERS; k++)
		add_supplier(&to, s, sale, k);
	add_commits(&to, s, sale);
	add_releases(&to, s, sale);
	if (sale->pays)
		add_payments(&to, s, sale);
	if (sale->waits)
		add_promotions(&to, s, sale);
	if (sale->steers)
		add_steering(&to, s, sale);
	if (sale->withdraws)
		add_withdrawals(&to, s, sale);
	add_requests(&to, s, sale);
	if (s->hub.sold_out == 1 || (s->hub.sold_out && !keeps(NOTICE_OF_HELD)))
		add(&to, KEEP, 0, 0, 0, 0, 0);
	for (int i = 0; i <= sale->segments && !keeps(SCAN_SEGMENTS) && s->claimers[0].request != IDLE; i++)
		add(&to, SCAN, i, 0, 0, 0, 0);
	if (s->clock < sale->ticks)
		add(&to, TICK, 0, 0, 0, 0, 0);
	if (sale->set_back && !s->set_back)
		add(&to, SET_BACK, 0, 0, 0, 0, 0);
	return to.count;
}

/* Taking one */

static void hear(struct supplier *p, const struct state *s, int epoch, bool waits)
{
	if (p->supply == COMMITTED) {
		p->supply = TOLD;
		p->told_at = s->clock;
		p->epoch = epoch;
		p->waits = waits;
	}
}

static void accept(struct state *s, int i, int epoch)
{
	for (int k = 0; k < SUPPLIERS; k++)
		if (s->suppliers[k].supply == TOLD && s->suppliers[k].epoch == epoch)
			s->suppliers[k].accepted |= 1u << i;
}

/* sold_out.c: the notice, and then the winners, while nobody can win. */
static void keep(struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++)
		if (!s->claimers[c].order)
			s->losers |= 1u << c;
}

/* No moment before is reached again. */
static uint64_t moved_far(uint64_t words)
{
	for (int epoch = 0; epoch < VALUES; epoch++)
		for (int until = 1; until < FAR; until++)
			if (words & word_bit(epoch, until))
				words = (words & ~word_bit(epoch, until)) | word_bit(epoch, FAR);
	return words;
}

static void set_back(struct state *s)
{
	s->set_back = 1;
	for (int i = 0; i < SEGMENTS; i++)
		s->segments[i].until = s->segments[i].until ? FAR : 0;
	s->words = moved_far(s->words);
	s->held_words = moved_far(s->held_words);
}

static void commit(struct state *s, int k, int c)
{
	struct claimer *of = &s->claimers[c];
	s->suppliers[k].supply = COMMITTED;
	if (k != CANCELLER)
		return;
	s->over = (struct over){ (uint8_t)user_of(c), of->order, of->paid };
	of->live = of->paid = 0;
}

/* The worker of claimer 0 reads left, or avail (after the segments' numbers comes the hub). */
static void scan(struct state *s, const struct sale *sale, int at)
{
	if (at == sale->segments ? s->hub.avail == 0 : s->segments[at].made && s->segments[at].left == 0)
		s->scanned |= 1u << at;
}

static struct reply steer(struct state *s, const struct sale *sale, int slot, int version)
{
	struct reply r = steer_lua(s, sale, slot, version);
	if (r.word == OK && r.values[0] >= version)
		s->steered.told |= UINT64_C(1) << (4 * (version - 1) + slot);
	return r;
}

static void note_read(struct state *s)
{
	struct steered *t = &s->steered;
	t->read |= pair_bit((int)t->asked, (int)t->missed);
}

static void note_withdrawn(struct state *s)
{
	struct steered *t = &s->steered;
	t->withdrawn = t->hub_withdrawn > t->withdrawn ? t->hub_withdrawn : t->withdrawn;
	t->missed = t->hub_missed > t->missed ? t->hub_missed : t->missed;
	note_read(s);
}

static struct reply run(struct state *s, const struct sale *sale, const struct step *step)
{
	const int8_t *a = step->args;
	struct reply r = { NOTHING, 0, { 0 } };
	switch ((enum kind)step->kind) {
	case OPEN_SEGMENT:
		return open_segment_lua(s, step->at, a[0]);
	case CLAIM:
		return claim_lua(s, sale->home[step->at], user_of(step->at), a[0], a[1]);
	case CREDIT:
		return claim_lua(s, step->at, 0, a[0], a[1]);
	case DEBIT:
		return debit_lua(s, step->at, a[0]);
	case EXCHANGE:
		return exchange_lua(s, sale, (struct report){ step->at, a[0], a[1], a[2] }, a[3], a[4],
				    &(struct report){ a[5], a[6], a[7], a[8] }, a[5] >= 0, a[9]);
	case FLAG:
		r = flag_lua(s, step->at, a[0], a[1], a[2]);
		if (a[1] == 0)
			accept(s, step->at, a[0]);
		return r;
	case COMMIT:
		commit(s, step->at, a[0]);
		return r;
	case SUPPLY:
		r = supply_lua(s, &(struct totals){ a[0], a[1], a[3], a[4], a[5] }, a[2]);
		if (step->at < SUPPLIERS)
			hear(&s->suppliers[step->at], s, r.values[0], r.values[2]);
		return r;
	case PAY:
		s->claimers[step->at].paid = 1;
		return r;
	case RELEASE:
		return release_lua(s, sale->home[step->at], user_of(step->at), a[0]);
	case JOIN:
		return join_lua(s, sale->home[step->at], user_of(step->at));
	case LEAVE:
		return leave_lua(s, sale->home[step->at], user_of(step->at));
	case PROMOTE:
		return promote_lua(s, a[1], a[0], user_of(step->at), sale->home[step->at], a[2] < 0 ? 0 : user_of(a[2]));
	case AWARD:
		return award_lua(s, step->at, a[0], a[1], a[2]);
	case CLEAR:
		return promoted_lua(s, step->at, a[0], a[1]);
	case DECIDE:
		s->steered.decided++;
		return r;
	case STEER:
		return steer(s, sale, step->at, a[0]);
	case PROMISE_STATE:
		s->steered.acknowledged = (unsigned)a[0];
		return r;
	case ASK:
		s->steered.asked += s->steered.asked ? 1 : 2;
		note_read(s);
		return r;
	case WITHDRAW:
		return withdraw_lua(s, sale, a[0], a[1]);
	case NOTE:
		note_withdrawn(s);
		return r;
	case ACKNOWLEDGE:
		s->suppliers[step->at].supply = SETTLED;
		s->reopened = 1;
		return r;
	case TICK:
		s->clock++;
		s->emptied -= s->emptied > 0;
		s->hub.waited = s->hub.opening ? s->hub.epoch : s->hub.waited;
		s->losers = 0;
		return r;
	case SET_BACK:
		set_back(s);
		return r;
	case KEEP:
		keep(s, sale);
		return r;
	case SCAN:
		scan(s, sale, step->at);
		return r;
	case REFUSE:
	case ANSWER:
	case GIVE_UP:
	case KINDS:
		return r;
	}
	return r;
}

struct reply step_take(struct state *s, const struct sale *sale, const struct step *step)
{
	struct reply r = run(s, sale, step);
	put_reply(s, step, &r, step->kind == CLAIM ? sale->home[step->at] : step->at);
	return r;
}

void state_init(struct state *s, const struct sale *sale)
{
	memset(s, 0, sizeof *s);
	s->hub.amount = s->hub.avail = sale->units;
	s->hub.pays = sale->pays && !sale->learns;
	for (int i = 0; i < sale->segments; i++) {
		s->hub.avail -= sale->first[i];
		s->hub.with[i].granted = sale->first[i];
		if (!sale->opening)
			open_segment_lua(s, i, sale->first[i]);
	}
}

/* Text */

static const struct {
	const char *verb, *args[4];
	int first; /* users are counted from 1 */
} texts[KINDS] = {
	[OPEN_SEGMENT] = { "open_segment", { "units" }, 0 },
	[CLAIM] = { "claim by user", { "granted", "taken" }, 1 },
	[CREDIT] = { "credit at segment", { "granted", "taken" }, 0 },
	[DEBIT] = { "debit at segment", { "back" }, 0 },
	[EXCHANGE] = { "exchange for segment", { "received", "sent", "left", "want" }, 0 },
	[FLAG] = { "flag at segment", { "epoch", "until", "held" }, 0 },
	[COMMIT] = { "MySQL has the units of supplier", { "order of claimer" }, 0 },
	[SUPPLY] = { "supply by supplier", { "amount", "cancelled", "waited", "final" }, 0 },
	[PAY] = { "MySQL has the payment of user", { NULL }, 1 },
	[RELEASE] = { "release of user", { "number" }, 1 },
	[JOIN] = { "join by user", { NULL }, 1 },
	[LEAVE] = { "leave by user", { NULL }, 1 },
	[PROMOTE] = { "promote user", { "skipped", "waited", "with claimer" }, 1 },
	[AWARD] = { "award at segment", { "granted", "user", "user" }, 0 },
	[CLEAR] = { "the hub forgets the promotion at segment", { "user", "user" }, 0 },
	[DECIDE] = { "MySQL has a version of the state", { NULL }, 0 },
	[STEER] = { "steer slot", { "version" }, 0 },
	[PROMISE_STATE] = { "the seller is answered", { "version" }, 0 },
	[ASK] = { "the seller wants units back", { NULL }, 0 },
	[WITHDRAW] = { "withdraw", { "asked", "missed" }, 0 },
	[NOTE] = { "MySQL has what was withdrawn", { NULL }, 0 },
	[ACKNOWLEDGE] = { "all is acknowledged to supplier", { NULL }, 0 },
	[TICK] = { "the clock ticks", { NULL }, 0 },
	[SET_BACK] = { "Redis's clock is set back", { NULL }, 0 },
	[KEEP] = { "a worker keeps the hub's word", { NULL }, 0 },
	[REFUSE] = { "a worker that kept the word refuses user", { NULL }, 1 },
	[ANSWER] = { "\"sold out\" is told to user", { NULL }, 1 },
	[GIVE_UP] = { "nobody waits any more for user", { NULL }, 1 },
	[SCAN] = { "a scan reads slot", { NULL }, 0 },
};

const char *step_text(char text[160], const struct sale *sale, const struct step *step, const struct reply *reply)
{
	bool plain = step->kind == CLAIM && step->args[0] < 0;
	int n = snprintf(text, 160, "%s", texts[step->kind].verb);
	if (step->kind != TICK && step->kind != SET_BACK && step->kind != KEEP)
		n += snprintf(text + n, 160 - n, " %d", step->at + texts[step->kind].first);
	if (step->kind == CLAIM)
		n += snprintf(text + n, 160 - n, " at segment %d", sale->home[step->at]);
	for (int i = 0; i < 4 && texts[step->kind].args[i] && !plain; i++)
		n += snprintf(text + n, 160 - n, " %s %d", texts[step->kind].args[i], step->args[i]);
	if (reply->word != NOTHING)
		n += snprintf(text + n, 160 - n, " -> %s", word_names[reply->word]);
	for (int i = 0; i < reply->count && n < 150; i++)
		n += snprintf(text + n, 160 - n, " %d", reply->values[i]);
	return text;
}

const char *state_text(char text[320], const struct sale *sale, const struct state *s)
{
	int n = snprintf(text, 320, "clock %d, hub: avail %d sold_out %d epoch %d final %d - %d", s->clock, s->hub.avail,
			 s->hub.sold_out, s->hub.epoch, s->hub.final, s->hub.final_cancelled);
	for (int i = 0; i < sale->segments; i++) {
		const struct segment *g = &s->segments[i];
		n += snprintf(text + n, 320 - n, "; %d: left %d I/G %d/%d O/R %d/%d n %d epoch %d until %d empty %d", i,
			      g->left, g->received, s->hub.with[i].granted, g->sent, s->hub.with[i].taken, g->n,
			      g->epoch, g->until, s->hub.empty >> i & 1);
		if (promised_units(s, i))
			n += snprintf(text + n, 320 - n, " for %d %d", promised_to(s, i, 0), promised_to(s, i, 1));
	}
	if (sale->steers || sale->withdraws)
		n += snprintf(text + n, 320 - n, "; versions %x decided %d; asked %d missed %d withdrawn %d, hub %d %d %d",
			      (unsigned)s->steered.versions, s->steered.decided, s->steered.asked, s->steered.missed,
			      s->steered.withdrawn, s->steered.hub_asked, s->steered.hub_missed, s->steered.hub_withdrawn);
	for (int c = 0; c < sale->claimers && s->ranks; c++)
		n += snprintf(text + n, 320 - n, "%s%d", c ? " " : "; places ", rank_of(s, c));
	return text;
}
