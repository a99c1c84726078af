#include "sale/state.h"

static const char *const names[SALE_STATES] = { "open", "paused", "ended", "archived" };

const char *sale_state_name(enum sale_state state)
{
	return names[state];
}

bool sale_state_read(struct str name, enum sale_state *state)
{
	for (int i = 0; i < SALE_STATES; i++)
		if (str_eq(name, str_of(names[i]))) {
			*state = (enum sale_state)i;
			return true;
		}
	return false;
}

struct steering steering_read(const struct redis_reply *version, const struct redis_reply *state,
			      const struct redis_reply *starts, const struct redis_reply *ends)
{
	struct steering s = { 0 };
	bool is_whole = redis_number_in(version, 0, NUMBER_MAX, &s.version) &&
			sale_state_read(redis_text(state), &s.state) && s.state != SALE_ARCHIVED &&
			redis_number_in(starts, 0, NUMBER_MAX, &s.starts_ms) &&
			redis_number_in(ends, 0, NUMBER_MAX, &s.ends_ms);
	return is_whole ? s : (struct steering){ 0 };
}

void steering_put(struct redis_command *c, const struct steering *s)
{
	redis_put_int(c, s->version);
	redis_put_text(c, sale_state_name(s->state));
	redis_put_int(c, s->starts_ms);
	redis_put_int(c, s->ends_ms);
}

enum sale_state steering_state_at(const struct steering *s, int64_t now_ms)
{
	bool is_over = s->ends_ms && now_ms >= s->ends_ms;
	return is_over && s->state < SALE_ENDED ? SALE_ENDED : s->state;
}

void steering_raise(struct steering *highest, const struct steering *other)
{
	if (other->version > highest->version)
		*highest = *other;
}
