/*
 * Gives the state of a sale to its slots. All are sent at once, and those that do not have it yet are sent again: a
 * slot whose server was replaced is suspect until an inspection has opened it, and the inspection may have read MySQL
 * before the change.
 */
#include "catalog/entries.h"
#include "host/fault.h"
#include "sale/fence.h"
#include "sale/key.h"
#include "sale/scripts.h"
#include "sale/worklist.h"
#include "steer/patience.h"
#include "steer/steer.h"
#include "stock/nginx_marker.h"

/* What one slot has answered. */
struct told {
	struct tell *tell;
	bool has_version; /* this version or a later one */
};

struct tell {
	struct service *svc;
	const struct sale_settings *settings;
	struct told *slots; /* the segments, then the hub */
	bool is_described;
	/* of a round */
	bool is_suspect, is_quarantined, is_other;
};

static void on_told(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	struct told *slot = context;
	struct tell *t = slot->tell;
	if (end == REDIS_BROKEN)
		t->is_quarantined = true;
	if (end != REDIS_ANSWER)
		return;
	FAULT(steer_slot);
	if (str_eq(redis_text_at(reply, 0), STR("OK"))) {
		slot->has_version = redis_number_at(reply, 1) >= t->settings->steering.version;
		return;
	}
	switch (fence_read(redis_text_at(reply, 1), t->settings->generation)) {
	case FENCE_OTHER:
		t->is_other = true;
		break;
	case FENCE_SUSPECT:
		t->is_suspect = true;
		break;
	case FENCE_QUARANTINED:
		t->is_quarantined = true;
		break;
	}
}

static void send_to(struct tell *t, int i)
{
	const struct sale_settings *s = t->settings;
	struct redis_command c;
	if (t->slots[i].has_version)
		return;
	redis_script(&c, &script_steer, 1);
	if (i < s->segments)
		key_put(&c, KEY_SEGMENT, s->id, i);
	else
		key_put(&c, KEY_HUB, s->id, 0);
	fence_put(&c, s->generation);
	steering_put(&c, &s->steering);
	redis_send(t->svc->redis_sync, &c, on_told, &t->slots[i]);
}

/* True: every slot and the descriptor have the version. */
static bool run_round(struct tell *t, struct arena *a)
{
	bool all = true;
	t->is_suspect = t->is_quarantined = t->is_other = false;
	for (int i = 0; i <= t->settings->segments; i++)
		send_to(t, i);
	redis_wait_all(t->svc->redis_sync);
	if (!t->is_described)
		t->is_described = entries_describe(t->svc, a, t->settings->id) == STATUS_OK;
	for (int i = 0; i <= t->settings->segments; i++)
		all &= t->slots[i].has_version;
	return all && t->is_described;
}

static void begin(struct tell *t, struct arena *a, const struct sale_settings *s)
{
	t->settings = s;
	t->is_described = false;
	t->slots = arena_alloc(a, ((size_t)s->segments + 1) * sizeof *t->slots);
	for (int i = 0; i <= s->segments; i++)
		t->slots[i] = (struct told){ .tell = t };
}

/* A recovery has raised the generation, and its slots have a state that it read before or after the change: begins
 * anew. */
static enum status begin_again(struct tell *t, struct arena *a)
{
	struct sale_settings *s = arena_alloc(a, sizeof *s);
	enum status status = settings_read_id(t->svc, a, t->settings->id, s);
	if (status == STATUS_OK)
		begin(t, a, s);
	return status;
}

static enum status tell_all(struct tell *t, struct arena *a, int patience_ms)
{
	struct patience p = patience_begin(t->svc, patience_ms);
	bool has_asked = false;
	while (!run_round(t, a)) {
		if (t->is_suspect && !has_asked)
			worklist_inspect(t->svc->redis_sync, t->settings->id, t->settings->segments);
		has_asked |= t->is_suspect;
		enum status s = t->is_other ? begin_again(t, a) : STATUS_OK;
		if (s != STATUS_OK)
			return s;
		if (t->is_quarantined && !t->is_suspect)
			worklist_inspect(t->svc->redis_sync, t->settings->id, t->settings->segments);
		if (!patience_wait(&p))
			return t->is_quarantined ? STATUS_FENCED : STATUS_BUSY;
	}
	return STATUS_OK;
}

enum status steer_tell(struct service *svc, struct arena *a, const struct sale_settings *s, int patience_ms)
{
	struct tell t = { .svc = svc };
	begin(&t, a, s);
	enum status status = tell_all(&t, a, patience_ms);
	if (status != STATUS_OK)
		return status;
	nginx_marker_remove(svc->conf, s->seller_name, s->name);
	FAULT(steer_told);
	return STATUS_OK;
}
