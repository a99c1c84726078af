#include "unit/fake_redis.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "resp/protocol.h"

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

/* Words, of a fence only the generation. The incarnation is where it is to be written, or NULL. */
static char *put_words(char *text, const char **at, int count, const char *incarnation)
{
	while (count--) {
		struct str w = word(at);
		if (incarnation && w.p + w.n == incarnation + REDIS_INCARNATION)
			w.n -= REDIS_INCARNATION + 1;
		text += sprintf(text, " %.*s", (int)w.n, w.p);
	}
	return text;
}

/* Keys, and behind a stroke the other words. */
static char *put_script_words(char *text, const char *at, int keys, int words, const char *incarnation)
{
	text = put_words(text, &at, keys, NULL);
	text += sprintf(text, " |");
	return put_words(text, &at, words - keys, incarnation);
}

/* Leaves one blank where several are. Returns the new end. */
static char *squeeze(char *text)
{
	char *to = text;
	for (const char *at = text; *at; at++)
		if (*at != ' ' || at[1] != ' ')
			*to++ = *at;
	*to = '\0';
	return to;
}

/* Empty words are left out. */
static char *describe_call(const struct redis_command *c, char *all)
{
	const struct redis_common *m = c->common;
	const char *own = c->text;
	char *text = all + sprintf(all, "%s", c->script->name);
	text = put_script_words(text, m->text, m->keys, m->words, m->incarnation_at ? m->text + m->incarnation_at : NULL);
	text += sprintf(text, " |");
	put_words(text, &own, c->argc, NULL);
	return squeeze(all);
}

static char *describe_command(const struct redis_command *c, char *text)
{
	const char *at = c->text, *incarnation = c->incarnation_at ? c->text + c->incarnation_at : NULL;
	struct str name = word(&at);
	if (!c->script) {
		text += sprintf(text, "%.*s", (int)name.n, name.p);
		return put_words(text, &at, c->argc - 1, incarnation);
	}
	word(&at); /* its SHA1 */
	int keys = atoi(word(&at).p);
	text += sprintf(text, "%s", c->script->name);
	return put_script_words(text, at, keys, c->argc - 3, incarnation);
}

/* A script's name instead of EVALSHA, its SHA1, and the number of keys; no blanks at the end. */
static void describe(const struct redis_command *c, char *text)
{
	char *end = c->common ? describe_call(c, text) : describe_command(c, text);
	while (end[-1] == ' ')
		*--end = '\0';
}

void redis_send(struct redis *r, const struct redis_command *c, redis_done *done, void *context)
{
	(void)r;
	if (is_down) {
		if (done)
			done(context, REDIS_REFUSED, NULL);
		return;
	}
	struct waiting *w = malloc(sizeof *w + (c->common ? c->common->length : 0) + c->used + 64);
	assert(w);
	*w = (struct waiting){ .done = done, .context = context, .batch = c->common };
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

int redis_server_of(const struct redis *r, struct str key)
{
	(void)r, (void)key;
	return 0;
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

/* Replies */

enum { LIST_MAX = 64 };

static redisReply text_reply(struct str text)
{
	return (redisReply){ .type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)text.p, .len = text.n };
}

/* A list of these replies; `places` has room for a pointer to each. */
static redisReply list_reply(redisReply *items, redisReply **places, size_t count)
{
	for (size_t i = 0; i < count; i++)
		places[i] = &items[i];
	return (redisReply){ .type = REDIS_REPLY_ARRAY, .element = places, .elements = count };
}

static void answer(const redisReply *reply)
{
	end(REDIS_ANSWER, (const struct redis_reply *)reply);
}

static redisReply word_reply(struct str word)
{
	int64_t number;
	if (str_eq(word, STR("nil")))
		return (redisReply){ .type = REDIS_REPLY_NIL };
	if (word.n && word.p[0] == ':')
		return text_reply((struct str){ word.p + 1, word.n - 1 });
	if (parse_int(word, INT64_MIN, INT64_MAX, &number))
		return (redisReply){ .type = REDIS_REPLY_INTEGER, .integer = number };
	return text_reply(word);
}

static void answer_words(struct str words)
{
	redisReply items[LIST_MAX] = { { .type = REDIS_REPLY_NIL } }, *places[LIST_MAX];
	size_t count = 0;
	bool is_list = words.n && words.p[0] == '[';
	struct str rest = { words.p + is_list, words.n - is_list }, word;
	while (parse_split(&rest, ' ', &word)) {
		assert(count < LIST_MAX);
		if (!str_eq(word, STR("]")))
			items[count++] = word_reply(word);
	}
	redisReply list = list_reply(items, places, count);
	answer(is_list || count > 1 ? &list : &items[0]);
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
	redisReply text = text_reply(str_of(reply + (*reply == '[')));
	if (first->batch && strcmp(reply, "nil") != 0)
		answer(&text);
	else
		answer_words(str_of(reply));
}

static redisReply text_list(struct arena *a, const struct str *texts, size_t count)
{
	redisReply *items = arena_alloc(a, (count + 1) * sizeof *items);
	for (size_t i = 0; i < count; i++)
		items[i] = text_reply(texts[i]);
	return list_reply(items, arena_alloc(a, (count + 1) * sizeof(redisReply *)), count);
}

void fake_redis_answer_texts(const struct str *texts, size_t count)
{
	struct arena a = { 0 };
	redisReply list = text_list(&a, texts, count);
	answer(&list);
	arena_release(&a);
}

void fake_redis_answer_page(const char *cursor, const struct str *texts, size_t count)
{
	struct arena a = { 0 };
	redisReply page[] = { text_reply(str_of(cursor)), text_list(&a, texts, count) }, *both[2];
	redisReply reply = list_reply(page, both, 2);
	answer(&reply);
	arena_release(&a);
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

struct call {
	struct arena *arena;
	bool over;
	enum redis_outcome end;
	const struct redis_reply *reply;
};

static void on_call(void *context, enum redis_outcome how, const struct redis_reply *reply)
{
	struct call *c = context;
	*c = (struct call){ .over = true, .end = how, .reply = redis_copy(c->arena, reply) };
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
