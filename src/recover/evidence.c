#include "recover/evidence.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sale/numbers.h"

void evidence_init(struct evidence *s, int segment)
{
	*s = (struct evidence){ .segment = segment };
	evidence_see_range(s, (struct evidence_range){ 0 });
}

void evidence_free(struct evidence *s)
{
	free(s->claims);
	free(s->known);
	free(s->ranges);
}

static void *with_room(void *array, int count, int *capacity, size_t size)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity ? 2 * *capacity : 64;
	array = alloc_again(array, (size_t)*capacity * size);
	return array;
}

void evidence_add(struct evidence *s, struct evidence_claim claim)
{
	s->claims = with_room(s->claims, s->count, &s->capacity, sizeof *s->claims);
	s->claims[s->count++] = claim;
	evidence_see(s, claim.sequence);
}

void evidence_add_known(struct evidence *s, struct evidence_number known)
{
	s->known = with_room(s->known, s->known_count, &s->known_capacity, sizeof *s->known);
	s->known[s->known_count++] = known;
	evidence_see(s, known.number);
}

/* Ranges */

/* The last one whose base is below the number. Numbers come mostly in their order, so it is mostly that of the last
 * one. */
static int find_range(struct evidence *s, int64_t number)
{
	int at = s->range_at;
	if (s->ranges[at].base >= number)
		at = 0;
	while (at + 1 < s->range_count && s->ranges[at + 1].base < number)
		at++;
	return s->range_at = at;
}

static int put_range(struct evidence *s, int64_t base)
{
	int at = s->range_count ? find_range(s, base + 1) : 0;
	if (s->range_count && s->ranges[at].base == base)
		return at;
	at += s->range_count > 0;
	s->ranges = with_room(s->ranges, s->range_count, &s->range_capacity, sizeof *s->ranges);
	memmove(s->ranges + at + 1, s->ranges + at, (size_t)(s->range_count++ - at) * sizeof *s->ranges);
	s->ranges[at] = (struct evidence_range){ base, 0, 0 };
	return at;
}

static void extend(struct evidence *s, struct evidence_range *r, int64_t count)
{
	if (count > r->count)
		r->count = count;
	if (r->base > s->base)
		s->base = r->base;
	if (count > 0 && r->base + count > s->last)
		s->last = r->base + count;
}

void evidence_see_range(struct evidence *s, struct evidence_range range)
{
	int at = put_range(s, range.base);
	struct evidence_range *r = &s->ranges[at];
	extend(s, r, range.count);
	if (range.stored > r->stored)
		r->stored = range.stored;
}

/* As ranges_of: what no range that is known can reach is of a base that MySQL has forgotten. */
void evidence_see(struct evidence *s, int64_t number)
{
	if (number <= 0)
		return;
	int at = find_range(s, number);
	if (numbers_base(number) > s->ranges[at].base + s->ranges[at].count)
		at = put_range(s, numbers_base(number));
	extend(s, &s->ranges[at], number - s->ranges[at].base);
}

/* Merging */

static int compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

/* A claim whose number is another's comes behind those of the user that have one. */
static int rank(const struct evidence_claim *claim)
{
	return claim->source + (claim->source < OVER && !claim->sequence ? IN_INDEX : 0);
}

static int by_user(const void *left, const void *right)
{
	const struct evidence_claim *a = left, *b = right;
	int order = compare(a->user, b->user);
	return order ? order : rank(a) - rank(b);
}

static int by_sequence(const void *left, const void *right)
{
	const struct evidence_claim *a = left, *b = right;
	int order = compare(a->sequence ? a->sequence : INT64_MAX, b->sequence ? b->sequence : INT64_MAX);
	return order ? order : (int)a->source - (int)b->source;
}

static int by_standing(const void *left, const void *right)
{
	const struct evidence_number *a = left, *b = right;
	int order = compare(a->number, b->number);
	return order ? order : (int)a->standing - (int)b->standing;
}

void evidence_sort_known(struct evidence *s)
{
	if (s->known_count)
		qsort(s->known, (size_t)s->known_count, sizeof *s->known, by_standing);
}

/* What MySQL has under a number, a row before any dead letter; NULL: nothing. */
static const struct evidence_number *find_known(const struct evidence *s, int64_t number)
{
	int low = 0, high = s->known_count;
	while (low < high) {
		int middle = low + (high - low) / 2;
		if (s->known[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->known_count && s->known[low].number == number ? &s->known[low] : NULL;
}

/*
 * A claim that is not MySQL's, compared with what MySQL has under its number. One that was named lost is found again;
 * but who is named by nothing but the customer's list was told that it is lost, unless its unit was held until now.
 */
static void look_up(const struct evidence *s, struct evidence_claim *claim)
{
	const struct evidence_number *k = find_known(s, claim->sequence);
	claim->told = claim->sequence;
	if (!k)
		return;
	if (k->standing == IS_FREE)
		claim->letter = k->user == claim->user ? k->letter : 0;
	else if (k->standing == IS_LOST && (k->is_held || claim->source != IN_INDEX))
		claim->letter = k->letter;
	else if (k->standing == IS_LOST || k->user == claim->user)
		claim->source = OVER;
	else
		claim->sequence = 0;
}

static void look_up_all(struct evidence *s)
{
	for (int i = 0; i < s->count; i++)
		if (source_is_new(&s->claims[i]))
			look_up(s, &s->claims[i]);
}

static void keep_one_a_user(struct evidence *s)
{
	int kept = 0;
	for (int i = 0; i < s->count; i++) {
		struct evidence_claim *claim = &s->claims[i];
		if (kept && s->claims[kept - 1].user == claim->user) {
			struct evidence_claim *first = &s->claims[kept - 1];
			if (claim->owner_sequence)
				first->owner_sequence = claim->owner_sequence;
			if (!first->claimed_ms)
				first->claimed_ms = claim->claimed_ms;
		} else {
			s->claims[kept++] = *claim;
		}
	}
	s->count = kept;
}

/* Of users whose orders are over only their entries among the owners are left, which go. */
static void drop_over(struct evidence *s)
{
	int kept = 0;
	for (int i = 0; i < s->count; i++) {
		struct evidence_claim claim = s->claims[i];
		if (claim.source == OVER)
			claim.sequence = claim.told = 0;
		if (claim.source != OVER || claim.owner_sequence)
			s->claims[kept++] = claim;
	}
	s->count = kept;
}

/* A number that two users claim is that of the more believed one. */
static void keep_one_a_number(struct evidence *s)
{
	int64_t before = 0;
	for (int i = 0; i < s->count; i++) {
		struct evidence_claim *claim = &s->claims[i];
		if (source_is_new(claim) && claim->sequence && claim->sequence == before) {
			claim->sequence = claim->letter = 0;
			continue;
		}
		before = claim->sequence;
	}
}

void evidence_merge(struct evidence *s)
{
	if (!s->count)
		return;
	look_up_all(s);
	qsort(s->claims, (size_t)s->count, sizeof *s->claims, by_user);
	keep_one_a_user(s);
	drop_over(s);
	qsort(s->claims, (size_t)s->count, sizeof *s->claims, by_sequence);
	keep_one_a_number(s);
}

/* Numbers that nobody has */

static int by_number(const void *left, const void *right)
{
	return compare(*(const int64_t *)left, *(const int64_t *)right);
}

/* Of claims, and MySQL has nothing under them: each once, in ascending order. */
static int64_t *unknown_to_mysql(const struct evidence *s, int *count)
{
	int n = 0, kept = 0;
	int64_t *numbers = alloc((size_t)(s->count + 1) * sizeof *numbers);
	for (int i = 0; i < s->count; i++)
		if (source_is_new(&s->claims[i]) && s->claims[i].sequence && !find_known(s, s->claims[i].sequence))
			numbers[n++] = s->claims[i].sequence;
	qsort(numbers, (size_t)n, sizeof *numbers, by_number);
	for (int i = 0; i < n; i++)
		if (!kept || numbers[kept - 1] != numbers[i])
			numbers[kept++] = numbers[i];
	*count = kept;
	return numbers;
}

int64_t evidence_missing(const struct evidence *s)
{
	int count;
	int64_t missing = 0;
	free(unknown_to_mysql(s, &count));
	for (int i = 0; i < s->range_count; i++)
		missing += s->ranges[i].count;
	for (int i = 0; i < s->known_count; i++)
		count += i == 0 || s->known[i - 1].number != s->known[i].number;
	return missing - count;
}

void evidence_list_missing(const struct evidence *s, int64_t *missing)
{
	int count, at = 0, at_known = 0;
	int64_t *claimed = unknown_to_mysql(s, &count);
	for (int i = 0; i < s->range_count; i++) {
		const struct evidence_range *r = &s->ranges[i];
		for (int64_t n = r->base + 1; n <= r->base + r->count; n++) {
			while (at < count && claimed[at] < n)
				at++;
			while (at_known < s->known_count && s->known[at_known].number < n)
				at_known++;
			if ((at == count || claimed[at] != n) &&
			    (at_known == s->known_count || s->known[at_known].number != n))
				*missing++ = n;
		}
	}
	free(claimed);
}
