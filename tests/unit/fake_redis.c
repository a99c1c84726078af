#include "unit/fake_redis.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"

/* Replies */

enum { LIST_MAX = 64 };

struct redis_reply {
	enum redis_type type;
	int64_t number;
	struct str text;
	size_t count;
	struct redis_reply *items;
};

enum redis_type redis_type(const struct redis_reply *r)
{
	return r ? r->type : REDIS_NIL;
}

size_t redis_count(const struct redis_reply *r)
{
	return redis_type(r) == REDIS_LIST ? r->count : 0;
}

const struct redis_reply *redis_at(const struct redis_reply *r, size_t i)
{
	return i < redis_count(r) ? &r->items[i] : NULL;
}

struct str redis_text(const struct redis_reply *r)
{
	return redis_type(r) == REDIS_TEXT ? r->text : STR("");
}

int64_t redis_number(const struct redis_reply *r)
{
	int64_t value = 0;
	redis_number_in(r, -NUMBER_MAX, NUMBER_MAX, &value);
	return value;
}

bool redis_number_in(const struct redis_reply *r, int64_t min, int64_t max, int64_t *value)
{
	if (redis_type(r) != REDIS_INT)
		return parse_int(redis_text(r), min, max, value);
	if (r->number < min || r->number > max)
		return false;
	*value = r->number;
	return true;
}

struct str redis_text_at(const struct redis_reply *r, size_t i)
{
	return redis_text(redis_at(r, i));
}

int64_t redis_number_at(const struct redis_reply *r, size_t i)
{
	return redis_number(redis_at(r, i));
}

const struct redis_reply *redis_member(const struct redis_reply *map, const char *name)
{
	for (size_t i = 0; i + 1 < redis_count(map); i += 2)
		if (str_eq(redis_text_at(map, i), str_of(name)))
			return redis_at(map, i + 1);
	return NULL;
}

/* The queue */

struct waiting {
	struct waiting *next;
	redis_done *done;
	void *context;
	bool batch;
	char text[];
};

static struct waiting *first, **last = &first;
static bool is_down;

/* The next word of a command's RESP text. */
static struct str word(const char **at)
{
	size_t n = strtoul(*at + 1, (char **)at, 10);
	struct str w = { *at + 2, n };
	*at += n + 4;
	return w;
}

/* A script's name instead of EVALSHA, its SHA1, and the number of keys; no blanks at the end. */
static void describe(const struct redis_command *c, char *text)
{
	const char *at = c->text;
	struct str name = c->batch ? str_of(c->script->name) : word(&at);
	int i = !c->batch, keys = c->keys;
	if (c->script && !c->batch) {
		word(&at);
		keys = atoi(word(&at).p);
		name = str_of(c->script->name);
		i = 3;
	}
	text += sprintf(text, "%.*s", (int)name.n, name.p);
	for (int first_word = i; i < c->argc; i++) {
		struct str w = word(&at);
		if (c->incarnation_at && w.p + w.n == c->text + c->incarnation_at + REDIS_INCARNATION) /* of a fence the generation only */
			w.n -= REDIS_INCARNATION + 1;
		text += sprintf(text, "%s%.*s", c->script && i == first_word + keys ? " | " : " ", (int)w.n, w.p);
	}
	while (text[-1] == ' ')
		*--text = '\0';
}

void redis_send(struct redis *r, const struct redis_command *c, redis_done *done, void *context)
{
	(void)r;
	if (is_down) {
		if (done)
			done(context, REDIS_REFUSED, NULL);
		return;
	}
	struct waiting *w = malloc(sizeof *w + c->used + 64);
	assert(w);
	*w = (struct waiting){ .done = done, .context = context, .batch = c->batch };
	describe(c, w->text);
	*last = w;
	last = &w->next;
}

const char *redis_incarnation(const struct redis *r, struct str key)
{
	(void)r;
	(void)key;
	return "run";
}

bool fake_redis_may_wait, fake_redis_is_single;

bool redis_is_single(const struct redis *r)
{
	(void)r;
	return fake_redis_is_single;
}

bool redis_may_wait(const struct redis *r)
{
	(void)r;
	return fake_redis_may_wait;
}

void redis_replicate(struct redis *r, redis_done *done, void *context)
{
	struct redis_command c;
	if (!fake_redis_may_wait) {
		done(context, REDIS_ANSWER, NULL);
		return;
	}
	redis_command(&c, "WAIT");
	redis_send(r, &c, done, context);
}

void redis_wait_up(struct redis *r)
{
	(void)r;
}

const char *redis_problem(const struct redis *r, bool *refused)
{
	*refused = false;
	return redis_is_up(r) ? NULL : "it is down";
}

unsigned redis_changes(const struct redis *r)
{
	(void)r;
	return 0;
}

int64_t redis_changed_ms(const struct redis *r)
{
	(void)r;
	return 0;
}

bool redis_is_up(const struct redis *r)
{
	(void)r;
	return !is_down;
}

int redis_servers(const struct redis *r)
{
	(void)r;
	return 1;
}

int redis_replicas(const struct redis *r)
{
	(void)r;
	return 0;
}

int redis_replicas_of(const struct redis *r, int server)
{
	(void)r, (void)server;
	return 0;
}

const char *redis_server_name(const struct redis *r, int server)
{
	(void)r, (void)server;
	return "fake";
}

int redis_wait_replicas(const struct redis *r)
{
	(void)r;
	return fake_redis_may_wait;
}

void redis_survey(struct redis *r)
{
	(void)r;
}

bool redis_reaches(const struct redis *r, struct str key)
{
	(void)r, (void)key;
	return !is_down;
}

int fake_redis_waiting(void)
{
	int n = 0;
	for (const struct waiting *w = first; w; w = w->next)
		n++;
	return n;
}

const char *fake_redis_oldest(void)
{
	return first ? first->text : "";
}

void fake_redis_later(void)
{
	struct waiting *w = first;
	if (!w || !w->next)
		return;
	first = w->next;
	w->next = NULL;
	*last = w;
	last = &w->next;
}

static void end(enum redis_outcome how, const struct redis_reply *reply)
{
	struct waiting *w = first;
	assert(w);
	first = w->next;
	if (!first)
		last = &first;
	if (w->done)
		w->done(w->context, how, reply);
	free(w);
}

static void read_word(struct redis_reply *r, struct str word)
{
	if (str_eq(word, STR("nil")))
		*r = (struct redis_reply){ .type = REDIS_NIL };
	else if (word.n && word.p[0] == ':')
		*r = (struct redis_reply){ .type = REDIS_TEXT, .text = { word.p + 1, word.n - 1 } };
	else if (parse_int(word, INT64_MIN, INT64_MAX, &r->number))
		r->type = REDIS_INT;
	else
		*r = (struct redis_reply){ .type = REDIS_TEXT, .text = word };
}

static void answer_words(struct str words)
{
	struct redis_reply items[LIST_MAX] = { 0 }, list = { .type = REDIS_LIST, .items = items };
	bool is_list = words.n && words.p[0] == '[';
	struct str rest = { words.p + is_list, words.n - is_list }, word;
	while (parse_split(&rest, ' ', &word)) {
		assert(list.count < LIST_MAX);
		if (!str_eq(word, STR("]")))
			read_word(&items[list.count++], word);
	}
	end(REDIS_ANSWER, is_list || list.count > 1 ? &list : &items[0]);
}

void fake_redis_answer(const char *reply)
{
	static const struct {
		const char *word;
		enum redis_outcome end;
	} ends[] = { { "!refused", REDIS_REFUSED }, { "!unknown", REDIS_UNKNOWN }, { "!broken", REDIS_BROKEN } };
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		if (strcmp(reply, ends[i].word) == 0) {
			end(ends[i].end, NULL);
			return;
		}
	if (first->batch && strcmp(reply, "nil") != 0)
		end(REDIS_ANSWER, &(struct redis_reply){ .type = REDIS_TEXT, .text = str_of(reply + (*reply == '[')) });
	else
		answer_words(str_of(reply));
}

static struct redis_reply *text_items(const struct str *texts, size_t count)
{
	struct redis_reply *items = calloc(count + 1, sizeof *items);
	assert(items);
	for (size_t i = 0; i < count; i++)
		items[i] = (struct redis_reply){ .type = REDIS_TEXT, .text = texts[i] };
	return items;
}

void fake_redis_answer_texts(const struct str *texts, size_t count)
{
	struct redis_reply *items = text_items(texts, count);
	end(REDIS_ANSWER, &(struct redis_reply){ .type = REDIS_LIST, .items = items, .count = count });
	free(items);
}

void fake_redis_answer_page(const char *cursor, const struct str *texts, size_t count)
{
	struct redis_reply *items = text_items(texts, count);
	struct redis_reply page[] = { { .type = REDIS_TEXT, .text = str_of(cursor) },
				      { .type = REDIS_LIST, .items = items, .count = count } };
	end(REDIS_ANSWER, &(struct redis_reply){ .type = REDIS_LIST, .items = page, .count = 2 });
	free(items);
}

/* Waiting */

void (*fake_redis_server)(void);

static void serve(void)
{
	if (fake_redis_server)
		fake_redis_server();
	else
		fake_redis_answer("!refused");
}

void redis_push(struct redis *r)
{
	(void)r;
}

void redis_wait_all(struct redis *r)
{
	(void)r;
	while (first)
		serve();
}

static struct redis_reply *copied(struct arena *a, const struct redis_reply *r)
{
	if (!r)
		return NULL;
	struct redis_reply *copy = arena_alloc(a, sizeof *copy);
	*copy = *r;
	copy->text = r->text.p ? arena_str(a, r->text) : r->text;
	copy->items = arena_alloc(a, r->count * sizeof *copy);
	for (size_t i = 0; i < r->count; i++)
		copy->items[i] = *copied(a, &r->items[i]);
	return copy;
}

struct call {
	struct arena *arena;
	bool over;
	enum redis_outcome end;
	const struct redis_reply *reply;
};

static void on_call(void *context, enum redis_outcome how, const struct redis_reply *reply)
{
	struct call *c = context;
	*c = (struct call){ .over = true, .end = how, .reply = copied(c->arena, reply) };
}

enum redis_outcome redis_call(struct redis *r, struct arena *a, const struct redis_command *c,
			  const struct redis_reply **reply)
{
	struct call call = { .arena = a };
	redis_send(r, c, on_call, &call);
	while (!call.over)
		serve();
	if (reply)
		*reply = call.reply;
	return call.end;
}

void fake_redis_down(bool down)
{
	is_down = down;
}

void fake_redis_reset(void)
{
	assert(!first);
	is_down = fake_redis_may_wait = fake_redis_is_single = false;
}
