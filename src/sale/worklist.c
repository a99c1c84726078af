#include "sale/worklist.h"

#include "base/buf.h"
#include "base/parse.h"
#include "sale/coupon.h"

struct str worklist_member(char text[WORKLIST_TEXT], int64_t coupon, int segments)
{
	char *to = text + buf_digits(text, coupon);
	*to++ = ':';
	to += buf_digits(to, segments);
	*to = '\0';
	return (struct str){ text, (size_t)(to - text) };
}

bool worklist_read(struct str member, int64_t *coupon, int *segments)
{
	struct str rest = member, id;
	int64_t number, count;
	if (!parse_split(&rest, ':', &id) || !parse_int(id, 1, NUMBER_MAX, &number) ||
	    !parse_int(rest, 1, SEGMENTS_MAX, &count))
		return false;
	*coupon = number;
	*segments = (int)count;
	return true;
}

void worklist_command(struct redis_command *c, const char *name, enum key set, int64_t coupon, int segments)
{
	char member[WORKLIST_TEXT];
	redis_command(c, name);
	key_put(c, set, 0, 0);
	redis_put(c, worklist_member(member, coupon, segments));
}

static void enter(struct redis *r, enum key set, int64_t coupon, int segments)
{
	struct redis_command c;
	worklist_command(&c, "SADD", set, coupon, segments);
	redis_send(r, &c, NULL, NULL);
}

void worklist_drain(struct redis *r, int64_t coupon, int segments)
{
	enter(r, KEY_DIRTY, coupon, segments);
}

void worklist_inspect(struct redis *r, int64_t coupon, int segments)
{
	enter(r, KEY_SUSPECTS, coupon, segments);
}

void worklist_wait(struct redis *r, int64_t coupon, int segments)
{
	enter(r, KEY_WAITED, coupon, segments);
}

struct str worklist_lost_member(char text[WORKLIST_TEXT], const struct lost_candidate *lost)
{
	struct str number = order_number_text(text, lost->coupon, lost->segment, lost->number);
	char *to = text + number.n;
	*to++ = ':';
	to += buf_digits(to, lost->user);
	return (struct str){ text, (size_t)(to - text) };
}

bool worklist_read_lost(struct str member, struct lost_candidate *lost)
{
	struct str rest = member, text;
	struct order_number n;
	if (!parse_split(&rest, ':', &text) || !order_number_read(text, &n) ||
	    !parse_int(rest, 0, NUMBER_MAX, &lost->user))
		return false;
	lost->coupon = n.coupon;
	lost->segment = n.segment;
	lost->number = n.sequence;
	return true;
}

void worklist_look_for(struct redis *r, const struct lost_candidate *lost)
{
	char member[WORKLIST_TEXT];
	struct redis_command c;
	redis_command(&c, "SADD");
	key_put(&c, KEY_LOST, 0, 0);
	redis_put(&c, worklist_lost_member(member, lost));
	redis_send(r, &c, NULL, NULL);
}
