/* Adds and merges evidence in memory; the files evidence_mysql.c and evidence_redis.c read it from the stores. */
#include "recover/evidence.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sale/numbers.h"

void evidence_init(struct evidence *e, int segment)
{
	*e = (struct evidence){ .segment = segment };
	evidence_note_range(e, (struct evidence_range){ 0 });
}

void evidence_release(struct evidence *e)
{
	free(e->orders);
	free(e->numbers);
	free(e->ranges);
}

static void *with_room(void *array, int count, int *capacity, size_t size)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity ? 2 * *capacity : 64;
	return alloc_again(array, (size_t)*capacity * size);
}

void evidence_add_order(struct evidence *e, struct evidence_order order)
{
	e->orders = with_room(e->orders, e->order_count, &e->order_capacity, sizeof *e->orders);
	e->orders[e->order_count++] = order;
	evidence_note_number(e, order.number);
}

void evidence_add_number(struct evidence *e, struct evidence_number number)
{
	e->numbers = with_room(e->numbers, e->number_count, &e->number_capacity, sizeof *e->numbers);
	e->numbers[e->number_count++] = number;
	evidence_note_number(e, number.number);
}

/* Ranges */

/*
 * The last range whose base is below the number. The search begins at the range found last, because numbers usually
 * come in ascending order.
 */
static int find_range(struct evidence *e, int64_t number)
{
	int at = e->range_at;
	if (e->ranges[at].base >= number)
		at = 0;
	while (at + 1 < e->range_count && e->ranges[at + 1].base < number)
		at++;
	return e->range_at = at;
}

static int put_range(struct evidence *e, int64_t base)
{
	int at = e->range_count ? find_range(e, base + 1) : 0;
	if (e->range_count && e->ranges[at].base == base)
		return at;
	at += e->range_count > 0;
	e->ranges = with_room(e->ranges, e->range_count, &e->range_capacity, sizeof *e->ranges);
	memmove(e->ranges + at + 1, e->ranges + at, (size_t)(e->range_count++ - at) * sizeof *e->ranges);
	e->ranges[at] = (struct evidence_range){ base, 0, 0 };
	return at;
}

static void extend(struct evidence *e, struct evidence_range *r, int64_t count)
{
	if (count > r->count)
		r->count = count;
	if (r->base > e->base)
		e->base = r->base;
	if (count > 0 && r->base + count > e->last)
		e->last = r->base + count;
}

void evidence_note_range(struct evidence *e, struct evidence_range range)
{
	int at = put_range(e, range.base);
	struct evidence_range *r = &e->ranges[at];
	extend(e, r, range.count);
	if (range.stored > r->stored)
		r->stored = range.stored;
}

/* As in ranges_of, a number that no known range can reach belongs to a base that MySQL has lost. */
void evidence_note_number(struct evidence *e, int64_t number)
{
	if (number <= 0)
		return;
	int at = find_range(e, number);
	if (numbers_base(number) > e->ranges[at].base + e->ranges[at].count)
		at = put_range(e, numbers_base(number));
	extend(e, &e->ranges[at], number - e->ranges[at].base);
}

/* Merging */

static int compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

/* Of an owner's orders the first is kept. Orders without a number sort after all sources. */
static int rank(const struct evidence_order *order)
{
	enum { WITHOUT_NUMBER = SOURCE_OVER + 1 };
	bool is_numbered = order->number || order->source == SOURCE_OVER;
	return (int)order->source + (is_numbered ? 0 : WITHOUT_NUMBER);
}

static int by_owner(const void *left, const void *right)
{
	const struct evidence_order *a = left, *b = right;
	int order = owner_compare(a->owner, b->owner);
	order = order ? order : rank(a) - rank(b);
	return order ? order : compare(a->number, b->number);
}

static int by_order_number(const void *left, const void *right)
{
	const struct evidence_order *a = left, *b = right;
	int order = compare(a->number ? a->number : INT64_MAX, b->number ? b->number : INT64_MAX);
	return order ? order : (int)a->source - (int)b->source;
}

static int by_standing(const void *left, const void *right)
{
	const struct evidence_number *a = left, *b = right;
	int order = compare(a->number, b->number);
	return order ? order : (int)a->standing - (int)b->standing;
}

void evidence_sort_numbers(struct evidence *e)
{
	if (e->number_count)
		qsort(e->numbers, (size_t)e->number_count, sizeof *e->numbers, by_standing);
}

/* What MySQL has under a number; of a row and dead letters, the row. NULL: nothing. */
static const struct evidence_number *find_number(const struct evidence *e, int64_t number)
{
	int low = 0, high = e->number_count;
	while (low < high) {
		int middle = low + (high - low) / 2;
		if (e->numbers[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < e->number_count && e->numbers[low].number == number ? &e->numbers[low] : NULL;
}

/*
 * Compares an order in Redis with what MySQL has under its number. If MySQL has it recorded as lost, the order is
 * revived. Exception: only the customer's list has the order, and its unit was not held; then it stays lost.
 */
static void look_up(const struct evidence *e, struct evidence_order *order)
{
	const struct evidence_number *known = find_number(e, order->number);
	order->acknowledged = order->number;
	if (!known)
		return;
	if (!order->owner.unit && known->owner.user == order->owner.user)
		order->owner.unit = known->owner.unit;
	if (known->standing == NUMBER_FREE)
		order->letter = known->owner.user == order->owner.user ? known->letter : 0;
	else if (known->standing == NUMBER_LOST && (known->is_held || order->source != SOURCE_CUSTOMER))
		order->letter = known->letter;
	else if (known->standing == NUMBER_LOST || known->owner.user == order->owner.user)
		order->source = SOURCE_OVER;
	else
		order->number = 0;
}

static void look_up_all(struct evidence *e)
{
	for (int i = 0; i < e->order_count; i++)
		if (evidence_is_new(&e->orders[i]))
			look_up(e, &e->orders[i]);
}

static void keep_one_per_owner(struct evidence *e)
{
	int kept = 0;
	for (int i = 0; i < e->order_count; i++) {
		struct evidence_order *order = &e->orders[i];
		if (kept && owner_eq(e->orders[kept - 1].owner, order->owner)) {
			struct evidence_order *first = &e->orders[kept - 1];
			if (order->owner_number)
				first->owner_number = order->owner_number;
			if (!first->claimed_ms)
				first->claimed_ms = order->claimed_ms;
			if (!first->ticket && first->number == order->number)
				first->ticket = order->ticket;
		} else {
			e->orders[kept++] = *order;
		}
	}
	e->order_count = kept;
}

/* Drops orders that are over, except those with an entry among the owners, which the recovery must remove. */
static void drop_over(struct evidence *e)
{
	int kept = 0;
	for (int i = 0; i < e->order_count; i++) {
		struct evidence_order order = e->orders[i];
		if (order.source == SOURCE_OVER)
			order.number = order.acknowledged = 0;
		if (order.source != SOURCE_OVER || order.owner_number)
			e->orders[kept++] = order;
	}
	e->order_count = kept;
}

/* If two users have the same number, the user from the first source keeps it. */
static void keep_one_per_number(struct evidence *e)
{
	int64_t before = 0;
	for (int i = 0; i < e->order_count; i++) {
		struct evidence_order *order = &e->orders[i];
		if (evidence_is_new(order) && order->number && order->number == before) {
			order->number = order->letter = 0;
			continue;
		}
		before = order->number;
	}
}

/* Units of which only customers' lists know the orders */

static int by_user_and_number(const void *left, const void *right)
{
	const struct evidence_order *a = left, *b = right;
	int order = compare(a->owner.user, b->owner.user);
	order = order ? order : compare(a->number, b->number);
	return order ? order : b->owner.unit - a->owner.unit;
}

/* The orders of one customer. Another source may have the same order, with its unit. */
static void name_units(struct evidence_order *orders, int count, int64_t limit)
{
	bool taken[UNITS_MAX + 2] = { false };
	for (int i = 0; i < count; i++) {
		struct owner *owner = &orders[i].owner;
		if (!owner->unit && i && orders[i].number && orders[i - 1].number == orders[i].number)
			owner->unit = orders[i - 1].owner.unit;
		if (owner->unit <= UNITS_MAX && orders[i].source != SOURCE_OVER)
			taken[owner->unit] = true;
	}
	for (int i = 0, unit = 1; i < count; i++) {
		if (orders[i].owner.unit)
			continue;
		if (orders[i].source == SOURCE_OVER) {
			orders[i].owner.unit = 1;
			continue;
		}
		while (unit <= limit && taken[unit])
			unit++;
		orders[i].owner.unit = unit <= limit ? unit++ : 1;
	}
}

static void name_all_units(struct evidence *e, int64_t limit)
{
	int count;
	qsort(e->orders, (size_t)e->order_count, sizeof *e->orders, by_user_and_number);
	for (int i = 0; i < e->order_count; i += count) {
		count = 1;
		while (i + count < e->order_count && e->orders[i + count].owner.user == e->orders[i].owner.user)
			count++;
		name_units(e->orders + i, count, limit);
	}
}

void evidence_merge(struct evidence *e, int64_t limit)
{
	if (!e->order_count)
		return;
	look_up_all(e);
	name_all_units(e, limit);
	qsort(e->orders, (size_t)e->order_count, sizeof *e->orders, by_owner);
	keep_one_per_owner(e);
	drop_over(e);
	qsort(e->orders, (size_t)e->order_count, sizeof *e->orders, by_order_number);
	keep_one_per_number(e);
}

/* Missing numbers */

static int by_number(const void *left, const void *right)
{
	return compare(*(const int64_t *)left, *(const int64_t *)right);
}

/* Numbers of orders for which MySQL has neither row nor dead letter: each once, ascending. The caller frees them. */
static int64_t *list_new_numbers(const struct evidence *e, int *count)
{
	int n = 0, kept = 0;
	int64_t *numbers = alloc((size_t)(e->order_count + 1) * sizeof *numbers);
	for (int i = 0; i < e->order_count; i++)
		if (evidence_is_new(&e->orders[i]) && e->orders[i].number && !find_number(e, e->orders[i].number))
			numbers[n++] = e->orders[i].number;
	qsort(numbers, (size_t)n, sizeof *numbers, by_number);
	for (int i = 0; i < n; i++)
		if (!kept || numbers[kept - 1] != numbers[i])
			numbers[kept++] = numbers[i];
	*count = kept;
	return numbers;
}

static int count_new_numbers(const struct evidence *e)
{
	int count;
	free(list_new_numbers(e, &count));
	return count;
}

int64_t evidence_count_missing(const struct evidence *e)
{
	int64_t given_out = 0, found = count_new_numbers(e);
	for (int i = 0; i < e->range_count; i++)
		given_out += e->ranges[i].count;
	for (int i = 0; i < e->number_count; i++)
		found += i == 0 || e->numbers[i - 1].number != e->numbers[i].number;
	return given_out - found;
}

void evidence_list_missing(const struct evidence *e, int64_t *missing)
{
	int count, at = 0, at_number = 0;
	int64_t *found = list_new_numbers(e, &count);
	for (int i = 0; i < e->range_count; i++) {
		const struct evidence_range *r = &e->ranges[i];
		for (int64_t n = r->base + 1; n <= r->base + r->count; n++) {
			while (at < count && found[at] < n)
				at++;
			while (at_number < e->number_count && e->numbers[at_number].number < n)
				at_number++;
			if ((at == count || found[at] != n) &&
			    (at_number == e->number_count || e->numbers[at_number].number != n))
				*missing++ = n;
		}
	}
	free(found);
}
