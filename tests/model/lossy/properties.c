/* What must hold in every state. */
#include "model/lossy/lossy.h"

bool is_order(const struct state *s, const struct sale *sale, int c, int number)
{
	return s->segments[home_of(sale, c)].now.own[c].number == number || s->db.row[c] == number;
}

bool all_is_open(const struct state *s, const struct sale *sale)
{
	bool open = hub_is_open(s) && hub_heard_all(s, sale);
	for (int i = 0; i < sale->segments; i++)
		open &= segment_is_open(s, i) &&
			(rules == EARLIER || segment_base(&s->segments[i].now) == s->hub.now.with[i].base);
	return open;
}

static int in_flight(const struct state *s, int i)
{
	const struct segment *g = &s->segments[i].now;
	return s->hub.now.with[i].granted - g->received + g->sent - s->hub.now.with[i].taken;
}

int unsold(const struct state *s, const struct sale *sale)
{
	int units = s->hub.now.avail;
	for (int i = 0; i < sale->segments; i++)
		units += in_flight(s, i) + s->segments[i].now.left;
	return units;
}

/* R1 */

static bool same_home(const struct sale *sale, int a, int b)
{
	return a != b && home_of(sale, a) == home_of(sale, b);
}

static const char *check_numbers(const struct state *s, const struct sale *sale)
{
	for (int a = 0; a < sale->claimers; a++)
		for (int b = 0; b < sale->claimers; b++) {
			unsigned told = s->claimers[a].told;
			if (!same_home(sale, a, b))
				continue;
			if (told & s->claimers[b].told)
				return "R1: two customers were told the same number";
			if (s->db.row[b] && told >> s->db.row[b] & 1)
				return "R1: MySQL has another customer under a number that a customer was told";
		}
	return NULL;
}

/* R2 */

static unsigned known_numbers(const struct state *s, const struct sale *sale, int i)
{
	unsigned known = s->db.held[i] | s->segments[i].now.lost;
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i)
			known |= bit(s->segments[i].now.own[c].number) | bit(s->db.row[c]);
	return known & ~1u;
}

static const char *check_segment_books(const struct state *s, const struct sale *sale, int i)
{
	const struct segment *g = &s->segments[i].now;
	if (g->received > s->hub.now.with[i].granted)
		return "R2: a segment has received more than was granted";
	if (s->hub.now.with[i].taken > g->sent)
		return "R2: the hub has taken more than was sent";
	if (g->left + g->sent + g->sold != g->received)
		return "R2: left is not received - sent - sold";
	if (__builtin_popcount(known_numbers(s, sale, i)) != g->sold)
		return "R2: a segment's sold is not the number of its orders and held units";
	return NULL;
}

static const char *check_books(const struct state *s, const struct sale *sale)
{
	int sold = 0;
	const char *wrong = NULL;
	if (units_in_mysql(s) > sale->units)
		return "R2: MySQL has more orders and held units than there are units";
	if (!all_is_open(s, sale))
		return NULL;
	for (int i = 0; i < sale->segments && !wrong; i++) {
		wrong = check_segment_books(s, sale, i);
		sold += s->segments[i].now.sold;
	}
	if (wrong)
		return wrong;
	if (s->hub.now.avail < 0)
		return "R2: the hub holds less than nothing";
	if (unsold(s, sale) + sold != sale->units)
		return "R2: amount is not hub + in flight + left + sold";
	return NULL;
}

static const char *check_word(const struct state *s, const struct sale *sale)
{
	if (!hub_is_open(s) || !s->hub.now.sold_out)
		return NULL;
	for (int i = 0; i < sale->segments; i++)
		if (segment_is_open(s, i) && s->segments[i].now.left)
			return "R2: the hub says \"sold out\", and a segment that is open has units";
	if (all_is_open(s, sale) && unsold(s, sale))
		return "R2: the hub says \"sold out\", and units are in flight";
	return NULL;
}

/* R3, R4, R5 */

static const char *check_truth(const struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++)
		for (int n = 1; n < 16; n++)
			if ((s->claimers[c].told & ~s->claimers[c].gone) >> n & 1 && !is_order(s, sale, c, n))
				return sale->wait
					       ? "R3: a customer was told of an order that is on no server, though a server that confirmed it is there"
					       : "R3: an order that a customer was told of is gone, and no server was lost";
	return NULL;
}

/* Who waits, has no order, and did not lose one. */
const char *check_claim(const struct state *before, const struct sale *sale, int winner)
{
	if (before->db.acknowledged)
		return "R7: a customer wins in a sale whose pause was acknowledged";
	for (int c = 0; c < sale->claimers; c++) {
		int i = home_of(sale, c);
		bool owns = before->segments[i].now.own[c].number || before->db.row[c] || before->db.promoted >> c & 1;
		if (sale->waiters >> c & 1 && c != winner && !owns && !(sale->waiters >> winner & 1))
			return "R6: a customer wins who did not wait, and others wait";
	}
	return NULL;
}

static const char *check_winners(const struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers; c++) {
		const struct claimer *p = &s->claimers[c];
		int i = home_of(sale, c);
		bool owns = segment_is_open(s, i) && s->segments[i].now.own[c].number;
		if (s->losers >> c & 1 && (owns || s->db.row[c] || p->told & ~p->gone))
			return "R3: \"sold out\" is told to a customer who has an order";
	}
	return NULL;
}

/* EARLIER: customers' lists are not read, so what an inspection misses is never noticed. CURRENT: see LOOK. */
static const char *check_named(const struct state *s, const struct sale *sale)
{
	for (int c = 0; c < sale->claimers && rules == EARLIER; c++) {
		int i = home_of(sale, c);
		unsigned silent = s->claimers[c].gone & ~s->db.dead[i];
		for (int n = 1; n < 16 && segment_is_open(s, i); n++)
			if (silent >> n & 1 && !is_order(s, sale, c, n))
				return "R4: an order that a customer was told of is gone, its segment sells on, and the order is not named lost";
	}
	return NULL;
}

/* More orders than units: one server sold a unit, and another one sold it again. */
static bool contradicts(const struct state *s, const struct sale *sale)
{
	int units = 0;
	for (int i = 0; i < sale->segments; i++)
		units += __builtin_popcount(known_numbers(s, sale, i));
	return units > sale->units;
}

const char *check_open(const struct state *s, const struct sale *sale)
{
	return any_is_closed(s, sale) && !contradicts(s, sale) ? "R5: a slot is closed without a contradiction" : NULL;
}

const char *check_state(const struct state *s, const struct sale *sale)
{
	static const struct {
		enum watch what;
		const char *(*fn)(const struct state *s, const struct sale *sale);
	} checks[] = { { R1_NUMBERS, check_numbers }, { R2_BOOKS, check_books },     { R2_SOLD_OUT, check_word },
		       { R3_TRUTH, check_truth },     { R3_WINNERS, check_winners }, { R4_NAMED, check_named },
		       { R5_OPEN, check_open } };
	const char *wrong = NULL;
	if (sale->watch & AFTER_RECOVERY && !s->recovered)
		return NULL;
	for (size_t k = 0; k < sizeof checks / sizeof checks[0] && !wrong; k++)
		if (sale->watch & checks[k].what)
			wrong = checks[k].fn(s, sale);
	return wrong;
}
