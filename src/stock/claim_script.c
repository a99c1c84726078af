#include "stock/claim_script.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/parse.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"

enum { NUMBERS = 5 };

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

/* What claims of a segment have in common */

static struct redis_common *common_new(const struct claim_call *call, bool is_single)
{
	const struct coupon *c = call->coupon;
	const struct conf *conf = call->service->conf;
	struct redis_command cmd;
	char text[WORKLIST_TEXT];
	redis_batch(&cmd, &script_claim);
	key_put(&cmd, KEY_SEGMENT, c->id, call->segment);
	key_put(&cmd, KEY_OWNERS, c->id, call->segment);
	key_put(&cmd, KEY_ORDERS, c->id, call->segment);
	if (is_single)
		key_put(&cmd, KEY_DIRTY, 0, 0);
	fence_put(&cmd, c->generation);
	put_totals(&cmd, call->credit);
	put_queue_max(&cmd, conf ? conf->queue_max : 0, c->segments);
	if (is_single)
		redis_put(&cmd, worklist_member(text, c->id, c->segments));
	return redis_common_new(&cmd);
}

/* The state that this file keeps with a coupon: the common words of claims without a credit, made when first needed. */
struct common_words {
	struct coupon_state state;
	int count;
	struct redis_common *of[]; /* two for each segment: for a cluster and for a single server */
};

static void release_words(struct coupon_state *state)
{
	struct common_words *all = container_of(state, struct common_words, state);
	for (int i = 0; i < all->count; i++)
		redis_common_drop(all->of[i]);
	free(all);
}

static struct common_words *words_of(struct coupon *c)
{
	if (!c->states[COUPON_CLAIM_WORDS]) {
		int count = 2 * c->segments;
		struct common_words *all = alloc_zeroed(1, sizeof *all + (size_t)count * sizeof *all->of);
		all->state.release = release_words;
		all->count = count;
		c->states[COUPON_CLAIM_WORDS] = &all->state;
	}
	return container_of(c->states[COUPON_CLAIM_WORDS], struct common_words, state);
}

static struct redis_common *common_of(const struct claim_call *call)
{
	bool is_single = redis_is_single(call->service->redis);
	if (call->credit)
		return common_new(call, is_single);
	struct redis_common **common = &words_of(call->coupon)->of[2 * call->segment + is_single];
	if (!*common)
		*common = common_new(call, is_single);
	return redis_common_hold(*common);
}

void claim_script_send(const struct claim_call *call, redis_done *done, void *context)
{
	struct redis_common *common = common_of(call);
	struct redis_command cmd;
	redis_batch_call(&cmd, common);
	owner_put(&cmd, call->owner);
	stats_add(call->service->stats, COUNT_scripts_total__claim, 1);
	redis_send(call->service->redis, &cmd, done, context);
	redis_common_drop(common);
}

/* Answers */

/* The words of the script; how many numbers must follow each word, and the bounds of the first of them. */
static const struct {
	struct str text;
	int numbers;
	int64_t least, most;
} words[CLAIM_WORDS] = {
	[CLAIM_WON] = { STR("WON"), 3, 1, NUMBER_MAX },
	[CLAIM_MINE] = { STR("MINE"), 1, 1, NUMBER_MAX },
	[CLAIM_LIMIT] = { STR("MINE"), 1, -NUMBER_MAX, -1 },
	[CLAIM_FULL] = { STR("FULL"), 0, 0, 0 },
	[CLAIM_NEED] = { STR("NEED"), 5, 0, NUMBER_MAX },
	[CLAIM_SOLDOUT] = { STR("SOLDOUT"), 0, 0, 0 },
	[CLAIM_HELD] = { STR("HELD"), 3, 0, NUMBER_MAX },
	[CLAIM_EARLY] = { STR("EARLY"), 1, 0, NUMBER_MAX },
	[CLAIM_ENDED] = { STR("ENDED"), 0, 0, 0 },
	[CLAIM_PAUSED] = { STR("PAUSED"), 0, 0, 0 },
	[CLAIM_OK] = { STR("OK"), 0, 0, 0 },
	[CLAIM_FENCED] = { STR("FENCED"), 0, 0, 0 },
	[CLAIM_REGRESS] = { STR("REGRESS"), 0, 0, 0 },
	[CLAIM_REPLACED] = { STR("REPLACED"), 0, 0, 0 },
	[CLAIM_BROKEN] = { STR("BROKEN"), 0, 0, 0 },
};

/*
 * Reads numbers up to NUMBER_MAX, as scripts write them; only the first may be below 0. Returns how many there are
 * before the first other text.
 */
static int read_numbers(struct str rest, int64_t number[NUMBERS])
{
	struct str text;
	int n = 0;
	while (n < NUMBERS && parse_split(&rest, ' ', &text) &&
	       parse_int(text, n ? 0 : -NUMBER_MAX, NUMBER_MAX, &number[n]))
		n++;
	return n;
}

static bool has_numbers(const struct claim_answer *a, int numbers, enum claim_word word)
{
	return !words[word].numbers || (numbers >= words[word].numbers && a->number[0] >= words[word].least &&
					a->number[0] <= words[word].most);
}

struct claim_answer claim_script_read(const struct redis_reply *reply)
{
	struct claim_answer a = { .rest = redis_text(reply) };
	parse_split(&a.rest, ' ', &a.text);
	if (!a.rest.p)
		a.rest = STR("");
	int numbers = read_numbers(a.rest, a.number);
	for (int i = CLAIM_UNREADABLE + 1; i < CLAIM_WORDS && a.word == CLAIM_UNREADABLE; i++)
		if (str_eq(a.text, words[i].text) && has_numbers(&a, numbers, (enum claim_word)i))
			a.word = (enum claim_word)i;
	return a;
}
