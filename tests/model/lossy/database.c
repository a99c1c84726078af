/* MySQL: rows, cursors, dead letters, each transaction an atomic step; the drainer, which peeks, commits and trims. */
#include "model/lossy/lossy.h"

#include <string.h>

static int count_bits(unsigned set)
{
	return __builtin_popcount(set);
}

int units_in_mysql(const struct state *s)
{
	int units = 0;
	for (int c = 0; c < CLAIMERS; c++)
		units += s->db.row[c] > 0;
	for (int i = 0; i < SEGMENTS; i++)
		units += count_bits(s->db.held[i]);
	return units;
}

void drain_peek(struct state *s, const struct sale *sale, int i)
{
	struct drain *d = &s->drain;
	*d = (struct drain){
		.phase = PEEKED, .segment = (uint8_t)i, .base = s->segments[i].now.base, .lost = s->segments[i].now.listed
	};
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i && s->segments[i].now.own[c].listed)
			d->number[c] = s->segments[i].now.own[c].number;
	for (int c = 0; c < sale->claimers; c++)
		d->tickets |= d->number[c] && s->segments[i].now.own[c].ticket ? bit(c) : 0;
}

/* The lowest number above this one, 0 if there is none. *c: its customer, -1 for a number that is named lost. */
static int next_record(const struct drain *d, int above, int *c)
{
	unsigned lost = d->lost & ~(bit(above + 1) - 1);
	int found = lost ? __builtin_ctz(lost) : 0;
	*c = -1;
	for (int k = 0; k < CLAIMERS; k++)
		if (d->number[k] > above && (!found || d->number[k] < found)) {
			found = d->number[k];
			*c = k;
		}
	return found;
}

static int user_of_row(const struct state *s, const struct sale *sale, int i, int number)
{
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i && s->db.row[c] == number)
			return c;
	return -1;
}

/* A second order of a customer, and an order above the units, becomes a dead letter. */
static void insert(struct state *s, const struct sale *sale, int i, int c, int number)
{
	if (s->db.row[c] || units_in_mysql(s) >= sale->units)
		s->db.dead[i] |= bit(number);
	else
		s->db.row[c] = (uint8_t)number;
}

/* False: the segment stops there. */
static bool commit_earlier(struct state *s, const struct sale *sale, int i, int c, int number)
{
	int user = user_of_row(s, sale, i, number);
	if (number < s->db.cursor[i].next)
		return user < 0 || user == c;
	if (number > s->db.cursor[i].next)
		return false;
	insert(s, sale, i, c, number);
	s->db.cursor[i].next++;
	return true;
}

/* An order that was named lost is back: it is inserted while its unit is there. */
static void revive(struct state *s, const struct sale *sale, int i, int c, int number)
{
	bool has_unit = s->db.held[i] >> number & 1 || units_in_mysql(s) < sale->units || !keeps(REVIVES_ANY);
	if (s->db.row[c] || !has_unit || !keeps(NO_REVIVAL))
		return;
	s->db.dead[i] &= ~bit(number);
	s->db.held[i] &= ~bit(number);
	s->db.row[c] = (uint8_t)number;
}

static bool commit_current(struct state *s, const struct sale *sale, int i, int c, int number)
{
	if (c < 0 && user_of_row(s, sale, i, number) < 0) {
		s->db.dead[i] |= bit(number);
		s->db.held[i] |= bit(number);
	}
	if (c < 0)
		return true;
	if (user_of_row(s, sale, i, number) >= 0)
		return s->db.row[c] == number;
	if (number > s->db.cursor[i].next)
		return false;
	if (number == s->db.cursor[i].next)
		s->db.cursor[i].next++;
	else if (!keeps(BELOW_CURSOR_TRIMMED))
		return true;
	if (s->drain.tickets >> c & 1)
		s->db.promoted |= bit(c);
	if (s->db.dead[i] >> number & 1)
		revive(s, sale, i, c, number);
	else
		insert(s, sale, i, c, number);
	return true;
}

enum word drain_commit(struct state *s, const struct sale *sale)
{
	struct drain *d = &s->drain;
	int i = d->segment, upto = 0, c;
	if (rules == CURRENT && d->base != s->db.cursor[i].base && keeps(ANY_BASE_DRAINS)) {
		*d = (struct drain){ 0 };
		return REPLACED;
	}
	for (int n = next_record(d, 0, &c); n; n = next_record(d, upto, &c)) {
		if (!(rules == EARLIER ? commit_earlier : commit_current)(s, sale, i, c, n))
			break;
		upto = n;
	}
	*d = (struct drain){ .phase = COMMITTED, .segment = (uint8_t)i, .base = d->base, .upto = (uint8_t)upto };
	if (!upto)
		*d = (struct drain){ 0 };
	return OK;
}

bool drain_all(struct state *s, const struct sale *sale)
{
	bool whole = true;
	for (int i = 0; i < sale->segments; i++) {
		drain_peek(s, sale, i);
		drain_commit(s, sale);
		if (s->drain.phase == COMMITTED)
			trim(s, i, s->drain.base, s->drain.upto);
		for (int c = 0; c < sale->claimers; c++)
			whole &= !s->segments[i].now.own[c].listed && !s->segments[i].now.listed;
	}
	memset(&s->drain, 0, sizeof s->drain);
	return whole;
}

/* CURRENT: one transaction on the cursor's row gives the base and reads the rows of the segment. */
void give_base(struct state *s, const struct sale *sale, struct inspection *job)
{
	int i = job->target, highest = s->db.cursor[i].base * RANGE;
	if (s->db.cursor[i].next - 1 > highest)
		highest = s->db.cursor[i].next - 1;
	if (job->last > highest)
		highest = job->last;
	for (int c = 0; c < sale->claimers; c++)
		job->row[c] = home_of(sale, c) == i ? s->db.row[c] : 0;
	job->held = s->db.held[i];
	job->dead = s->db.dead[i];
	job->base = keeps(NUMBERS_GO_ON) ? (uint8_t)(highest / RANGE + 1) : s->db.cursor[i].base;
	s->db.cursor[i].base = job->base;
	if (keeps(NUMBERS_GO_ON))
		s->db.cursor[i].next = (uint8_t)(job->base * RANGE + 1);
}

void name_in_mysql(struct state *s, const struct sale *sale, struct inspection *job)
{
	int i = job->target;
	for (int n = job->last + 1; n <= job->acknowledged; n++)
		if (n > (job->acknowledged - 1) / RANGE * RANGE && user_of_row(s, sale, i, n) < 0) {
			s->db.dead[i] |= bit(n);
			s->db.held[i] |= bit(n);
		}
	job->held = s->db.held[i];
}

/* CURRENT: a customer asks for its orders. One that owners, lists, rows and dead letters lack is named lost. */
void look_for_order(struct state *s, const struct sale *sale, int c)
{
	int i = home_of(sale, c);
	for (int n = 1; n < 16; n++)
		if (s->claimers[c].told >> n & 1 && !is_order(s, sale, c, n))
			s->db.dead[i] |= bit(n);
}
