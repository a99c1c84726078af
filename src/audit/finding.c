#include "audit/finding.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "sale/order_number.h"

enum { MOST = 10000 };

static const struct {
	const char *word, *text;
} kinds[] = {
#define X(name, word, text) { word, text },
#include "audit/finding.def"
#undef X
};

void findings_add(struct findings *f, struct finding one)
{
	if (f->count == MOST) {
		f->more++;
		return;
	}
	if ((f->count & (f->count - 1)) == 0) /* the capacity is the next power of two */
		f->at = alloc_again(f->at, (size_t)(f->count ? 2 * f->count : 1) * sizeof *f->at);
	f->at[f->count++] = one;
}

void findings_release(struct findings *f)
{
	free(f->at);
	*f = (struct findings){ 0 };
}

void findings_expect_equal(struct findings *f, enum finding_kind kind, int segment, int64_t is, int64_t want)
{
	if (is != want)
		findings_add(f, (struct finding){ .kind = kind, .segment = segment, .is = is, .want = want });
}

void findings_expect_at_most(struct findings *f, enum finding_kind kind, int segment, int64_t is, int64_t want)
{
	if (is > want)
		findings_add(f, (struct finding){ .kind = kind, .segment = segment, .is = is, .want = want });
}

static int by_identity(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	const int64_t xs[] = { x->kind, x->segment, x->sequence, x->user, x->unit };
	const int64_t ys[] = { y->kind, y->segment, y->sequence, y->user, y->unit };
	for (size_t i = 0; i < sizeof xs / sizeof xs[0]; i++)
		if (xs[i] != ys[i])
			return xs[i] < ys[i] ? -1 : 1;
	return 0;
}

void findings_keep_common(struct findings *now, const struct findings *before)
{
	int kept = 0;
	if (now->more || before->more)
		return;
	if (before->count)
		qsort(before->at, (size_t)before->count, sizeof *before->at, by_identity);
	for (int i = 0; i < now->count; i++)
		if (before->count &&
		    bsearch(&now->at[i], before->at, (size_t)before->count, sizeof *before->at, by_identity))
			now->at[kept++] = now->at[i];
	now->count = kept;
}

bool findings_balance(const struct findings *f)
{
	for (int i = 0; i < f->count; i++)
		if (f->at[i].kind != FINDING_WRONG_REFUND)
			return false;
	return !f->more;
}

const char *finding_word(enum finding_kind kind)
{
	return kinds[kind].word;
}

static void put_value(struct buf *to, const struct finding *f, int64_t coupon, struct str name)
{
	const struct {
		struct str name;
		int64_t value;
	} numbers[] = {
		{ STR("segment"), f->segment }, { STR("user"), f->user }, { STR("is"), f->is }, { STR("want"), f->want }
	};
	char order[ORDER_NUMBER_TEXT];
	if (str_eq(name, STR("order")))
		buf_put(to, order_number_text(order, coupon, f->segment, f->sequence));
	if (str_eq(name, STR("do")))
		buf_puts(to, f->is > f->want ? "recover the coupon" : "repair it");
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (str_eq(name, numbers[i].name))
			buf_int(to, numbers[i].value);
	if (str_eq(name, STR("user")) && f->unit > 1)
		buf_printf(to, " (unit %d)", f->unit);
}

void finding_text(struct buf *to, const struct finding *f, int64_t coupon)
{
	struct str rest = str_of(kinds[f->kind].text), plain, name;
	while (parse_split(&rest, '{', &plain)) {
		buf_put(to, plain);
		if (rest.p && parse_split(&rest, '}', &name))
			put_value(to, f, coupon, name);
	}
}
