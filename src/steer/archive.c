/*
 * An archived sale has no slots. The catalog's entry goes first, so that no new claim finds the sale; a worker that
 * still has it is answered by the missing slots, and asks the cold pool (catalog/launch.h). Everything may be repeated.
 */
#include "host/fault.h"
#include "sale/catalog_index.h"
#include "sale/db_status.h"
#include "sale/key.h"
#include "sale/worklist.h"
#include "steer/steer.h"

static void on_removed(void *context, enum redis_outcome end, const struct redis_reply *reply)
{
	bool *failed = context;
	(void)reply;
	*failed |= end != REDIS_ANSWER;
}

static void send(struct service *svc, const struct redis_command *c, bool *failed)
{
	redis_send(svc->redis_sync, c, on_removed, failed);
}

static void remove_key(struct service *svc, enum key key, int64_t coupon, int i, bool *failed)
{
	struct redis_command c;
	redis_command(&c, "DEL");
	key_put(&c, key, coupon, i);
	send(svc, &c, failed);
}

/* Only if the entry names this coupon. */
static void remove_from_catalog(struct service *svc, struct arena *a, const struct sale_settings *s, bool *failed)
{
	struct redis_command c;
	const struct redis_reply *id = NULL;
	catalog_find(&c, s->seller_name, s->name);
	*failed |= redis_call(svc->redis_sync, a, &c, &id) != REDIS_ANSWER;
	if (*failed || redis_number(id) != s->id)
		return;
	catalog_remove(&c, s->seller_name, s->name);
	send(svc, &c, failed);
	redis_wait_all(svc->redis_sync);
	FAULT(archive_hidden);
}

static void remove_entries(struct service *svc, const struct sale_settings *s, bool *failed)
{
	static const enum key worklists[] = { KEY_DIRTY, KEY_SUSPECTS, KEY_QUARANTINED, KEY_WAITED };
	struct redis_command c;
	redis_command(&c, "ZREM");
	key_put(&c, KEY_SELLER, s->seller, 0);
	redis_put_int(&c, s->id);
	send(svc, &c, failed);
	for (size_t i = 0; i < sizeof worklists / sizeof worklists[0]; i++) {
		worklist_command(&c, "SREM", worklists[i], s->id, s->segments);
		send(svc, &c, failed);
	}
}

static void remove_slots(struct service *svc, const struct sale_settings *s, bool *failed)
{
	static const enum key of_hub[] = { KEY_DESCRIPTOR, KEY_HUB, KEY_LEASE, KEY_WAITING, KEY_JOURNAL };
	static const enum key of_segment[] = { KEY_SEGMENT, KEY_OWNERS, KEY_ORDERS };
	for (size_t i = 0; i < sizeof of_hub / sizeof of_hub[0]; i++)
		remove_key(svc, of_hub[i], s->id, 0, failed);
	for (int i = 0; i < s->segments; i++)
		for (size_t k = 0; k < sizeof of_segment / sizeof of_segment[0]; k++)
			remove_key(svc, of_segment[k], s->id, i, failed);
}

enum status steer_archive(struct service *svc, struct arena *a, const struct sale_settings *s)
{
	bool failed = false;
	remove_from_catalog(svc, a, s, &failed);
	if (!failed) {
		remove_entries(svc, s, &failed);
		remove_slots(svc, s, &failed);
		redis_wait_all(svc->redis_sync);
	}
	if (failed)
		return STATUS_BUSY;
	FAULT(archive_removed);
	if (db_exec(svc->db, "UPDATE coupons SET state_told = 1, hub_told = 1 WHERE id = ?", NULL, DB_N(s->id)))
		return db_status(svc->db, "archive");
	return STATUS_OK;
}
