#include "drain/decide.h"

#include "host/log.h"

/* Reads what MySQL has under the numbers below the segment's cursor, from record r on: they come first on a list. */
static int read_known(struct batch *b, struct segment_batch *s, const struct order_record *r,
		      const struct order_record *end)
{
	s->known = (struct known_numbers){ .coupon = b->coupon,
					   .segment = r->segment,
					   .at = arena_alloc(b->arena, (size_t)(end - r) * sizeof *s->known.at) };
	for (; r < end && r->segment == s->known.segment && r->sequence < s->next; r++)
		s->known.at[s->known.count++].number = r->sequence;
	return known_read(b->svc, b->arena, &s->known);
}

static const struct known *known_of(const struct segment_batch *s, const struct order_record *r)
{
	const struct known *k = s->known.at;
	while (k->number != r->sequence)
		k++;
	return k;
}

/* MySQL has an order of another customer or unit under this number: the number was given out twice. */
static void stop_at_reused(struct batch *b, struct segment_batch *s, const struct order_record *r)
{
	log_error_limited("drain_sequence_reused", LOG_INT("coupon", b->coupon), LOG_INT("segment", r->segment),
			  LOG_INT("sequence", r->sequence), LOG_INT("user", r->user));
	s->skip = true;
}

static int decide_below(struct batch *b, struct segment_batch *s, const struct order_record *end, struct decision *d)
{
	const struct order_record *r = d->record;
	if (!s->known.at && read_known(b, s, r, end))
		return -1;
	const struct known *k = known_of(s, r);
	d->letter = k->letter;
	if (k->user && r->user && (k->user != r->user || k->unit != r->unit))
		stop_at_reused(b, s, r);
	else if (!k->user && !k->letter)
		d->fate = r->user ? FATE_ORDER : FATE_NAME;
	else if (!k->user && k->may_revive && r->user)
		d->fate = FATE_REVIVE;
	return 0;
}

static void decide_above(struct batch *b, struct segment_batch *s, struct decision *d)
{
	const struct order_record *r = d->record;
	if (r->sequence > s->next) {
		log_error_limited("drain_gap", LOG_INT("coupon", b->coupon), LOG_INT("segment", r->segment),
				  LOG_INT("expected", s->next), LOG_INT("found", r->sequence));
		s->skip = true;
		return;
	}
	s->next++;
	d->fate = r->user ? FATE_ORDER : FATE_NAME;
}

int decide(struct batch *b, const struct order_record *r, const struct order_record *end, struct decision *d)
{
	struct segment_batch *s = &b->segment[r->segment];
	*d = (struct decision){ .record = r, .fate = FATE_NONE };
	if (s->skip)
		return 0;
	if (r->sequence >= s->next)
		decide_above(b, s, d);
	else if (decide_below(b, s, end, d))
		return -1;
	if (!s->skip)
		s->last = r;
	return 0;
}
