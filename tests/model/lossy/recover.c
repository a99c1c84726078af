/* A recovery in one step: every order that is found anywhere is inserted, and the slots are written anew. */
#include "model/lossy/lossy.h"

#include <string.h>

bool any_is_closed(const struct state *s, const struct sale *sale)
{
	bool closed = s->hub.now.fence == CLOSED;
	for (int i = 0; i < sale->segments; i++)
		closed |= s->segments[i].now.fence == CLOSED;
	return closed;
}

static void raise(int *last, int number)
{
	if (number > *last)
		*last = number;
}

/* From MySQL, the owners and the high-water marks of this host; customers' lists are read when numbers are missing. */
static int last_known(const struct state *s, const struct sale *sale, int i, int host)
{
	int last = s->db.cursor[i].next - 1;
	raise(&last, s->acknowledged[host][i]);
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i)
			raise(&last, s->segments[i].now.own[c].number);
	return last;
}

static unsigned taken_numbers(const struct state *s, const struct sale *sale, int i)
{
	unsigned taken = s->db.dead[i] | s->db.held[i];
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i)
			taken |= bit(s->db.row[c]);
	return taken;
}

static void rescue(struct state *s, const struct sale *sale, int i, int number, int c)
{
	if (number && !s->db.row[c] && !(taken_numbers(s, sale, i) >> number & 1) && units_in_mysql(s) < sale->units)
		s->db.row[c] = (uint8_t)number;
}

static bool misses_numbers(const struct state *s, const struct sale *sale, int i, int last)
{
	unsigned all = (bit(last + 1) - 1) & ~1u;
	return (taken_numbers(s, sale, i) & all) != all;
}

static void rescue_all(struct state *s, const struct sale *sale, int i, int last)
{
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i)
			rescue(s, sale, i, s->segments[i].now.own[c].number, c);
	for (int c = 0; c < sale->claimers && misses_numbers(s, sale, i, last); c++)
		for (int n = 1; n <= last && home_of(sale, c) == i; n++)
			if (s->claimers[c].told >> n & 1)
				rescue(s, sale, i, n, c);
	for (int n = 1; n <= last; n++)
		if (!(taken_numbers(s, sale, i) >> n & 1)) {
			s->db.dead[i] |= bit(n);
			s->db.held[i] |= bit(n);
		}
}

static void write_anew(struct state *s, const struct sale *sale, int i, int last)
{
	struct segment *g = &s->segments[i].now;
	*g = (struct segment){
		.paused = s->db.paused, .fence = s->incarnation[i], .received = (uint8_t)last, .sold = (uint8_t)last, .last = (uint8_t)last
	};
	for (int c = 0; c < sale->claimers; c++)
		if (home_of(sale, c) == i)
			g->own[c].number = s->db.row[c];
	s->db.cursor[i].next = (uint8_t)(last + 1);
	s->hub.now.with[i].granted = (uint8_t)last;
}

/* Scripts and messages of the generation before are refused from here on. */
void recover(struct state *s, const struct sale *sale, int host)
{
	memset(&s->job, 0, sizeof s->job);
	memset(&s->drain, 0, sizeof s->drain);
	memset(s->reports, 0, sizeof s->reports);
	memset(s->grants, 0, sizeof s->grants);
	s->losers = 0;
	s->recovered = 1;
	s->hub.now = (struct hub){ .fence = s->incarnation[HUB] };
	for (int i = 0; i < sale->segments; i++) {
		int last = last_known(s, sale, i, host);
		rescue_all(s, sale, i, last);
		write_anew(s, sale, i, last);
	}
	s->hub.now.avail = (int8_t)(sale->units - units_in_mysql(s));
}
