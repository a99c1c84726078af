#include "stock/claim_script.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/parse.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/order_number.h"
#include "sale/scripts.h"
#include "sale/worklist.h"

enum { NUMBERS = 5 };

static void put_segment(struct redis_command *cmd, int64_t coupon, int segment)
{
	redis_batch(cmd, &script_claim);
	key_put(cmd, KEY_SEGMENT, coupon, segment);
	key_put(cmd, KEY_OWNERS, coupon, segment);
	key_put(cmd, KEY_ORDERS, coupon, segment);
}

static void put_totals(struct redis_command *cmd, const struct totals *t)
{
	char text[4 * (BUF_DIGITS + 1)] = "";
	if (t)
		snprintf(text, sizeof text, "%lld %lld %lld %lld", (long long)t->granted, (long long)t->taken,
			 (long long)t->base, (long long)t->term);
	redis_put_text(cmd, text);
}

/* The limit of a segment is its share of the coupon's. */
static void put_queue_max(struct redis_command *cmd, int64_t most, int segments)
{
	if (most)
		redis_put_int(cmd, (most + segments - 1) / segments);
	else
		redis_put_text(cmd, "");
}

void claim_script_credit(struct redis_command *cmd, const struct coupon *coupon, int segment,
			 const struct totals *credit)
{
	put_segment(cmd, coupon->id, segment);
	fence_put(cmd, coupon->generation);
	redis_put_int(cmd, 0);
	put_totals(cmd, credit);
	put_queue_max(cmd, 0, 1);
}

void claim_script_claim(struct redis_command *cmd, const struct claim_call *call)
{
	const struct coupon *coupon = call->coupon;
	char text[WORKLIST_TEXT];
	put_segment(cmd, coupon->id, call->segment);
	if (call->is_single) {
		key_put(cmd, KEY_CUSTOMER, call->user, 0);
		key_put(cmd, KEY_DIRTY, 0, 0);
	}
	fence_put(cmd, coupon->generation);
	redis_put_int(cmd, call->user);
	put_totals(cmd, call->credit);
	put_queue_max(cmd, call->queue_max, coupon->segments);
	if (call->is_single) {
		redis_put(cmd, order_number_of_segment(text, coupon->id, call->segment));
		redis_put(cmd, worklist_member(text, coupon->id, coupon->segments));
	}
}

/* The words of the script; how many numbers must follow each word, and the least value of the first number. */
static const struct {
	struct str text;
	int numbers;
	int64_t least;
} words[CLAIM_WORDS] = {
	[CLAIM_WON] = { STR("WON"), 3, 1 },         [CLAIM_MINE] = { STR("MINE"), 1, 1 },
	[CLAIM_FULL] = { STR("FULL"), 0, 0 },       [CLAIM_NEED] = { STR("NEED"), 5, 0 },
	[CLAIM_SOLDOUT] = { STR("SOLDOUT"), 0, 0 }, [CLAIM_EARLY] = { STR("EARLY"), 1, 0 },
	[CLAIM_ENDED] = { STR("ENDED"), 0, 0 },     [CLAIM_PAUSED] = { STR("PAUSED"), 0, 0 },
	[CLAIM_OK] = { STR("OK"), 0, 0 },           [CLAIM_FENCED] = { STR("FENCED"), 0, 0 },
	[CLAIM_REGRESS] = { STR("REGRESS"), 0, 0 }, [CLAIM_REPLACED] = { STR("REPLACED"), 0, 0 },
	[CLAIM_BROKEN] = { STR("BROKEN"), 0, 0 },
};

/* Reads numbers from 0 to NUMBER_MAX, as scripts write them. Returns how many there are before the first other text. */
static int read_numbers(struct str rest, int64_t number[NUMBERS])
{
	struct str text;
	int n = 0;
	while (n < NUMBERS && parse_split(&rest, ' ', &text) && parse_int(text, 0, NUMBER_MAX, &number[n]))
		n++;
	return n;
}

struct claim_answer claim_script_read(const struct redis_reply *reply)
{
	struct claim_answer a = { .rest = redis_text(reply) };
	parse_split(&a.rest, ' ', &a.text);
	if (!a.rest.p)
		a.rest = STR("");
	int numbers = read_numbers(a.rest, a.number);
	for (int i = CLAIM_UNREADABLE + 1; i < CLAIM_WORDS; i++)
		if (str_eq(a.text, words[i].text)) {
			if (numbers >= words[i].numbers && a.number[0] >= words[i].least)
				a.word = (enum claim_word)i;
			break;
		}
	return a;
}
