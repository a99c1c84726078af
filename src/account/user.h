/*
 * Accounts. Every function asks MySQL and blocks. Besides the statuses below, every function may return
 * STATUS_UNAVAILABLE (MySQL does not answer; retry) and STATUS_INTERNAL (an operator must act; the reason is in the
 * log). Those that are given a password hash it, which blocks for tens of milliseconds more, and for up to five seconds
 * while others hash (the setting passwords_at_once); then they return STATUS_BUSY, and have changed nothing.
 */
#ifndef ACCOUNT_USER_H
#define ACCOUNT_USER_H

#include <stdint.h>

#include "account/token.h"
#include "base/arena.h"
#include "sale/service.h"
#include "sale/status.h"

struct user {
	int64_t id;
	enum user_kind kind;
};

struct new_user {
	struct str name, password; /* checked by the caller */
	enum user_kind kind;
};

/*
 * STATUS_OK, or STATUS_NAME_TAKEN. After STATUS_UNAVAILABLE the account may exist, and a retry is answered
 * STATUS_NAME_TAKEN.
 */
enum status user_create(struct service *s, struct arena *a, const struct new_user *u, int64_t *id);

/* STATUS_OK; STATUS_WRONG_LOGIN for an unknown name or a wrong password, in both cases after the same time. */
enum status user_login(struct service *s, struct arena *a, struct str name, struct str password, struct user *user);

/* STATUS_OK, or STATUS_UNKNOWN_USER. */
enum status user_find(struct service *s, struct arena *a, struct str name, struct user *user);

/* STATUS_OK, or STATUS_UNKNOWN_USER. The caller has checked the password. Tokens that were issued stay valid. */
enum status user_set_password(struct service *s, struct arena *a, struct str name, struct str password);

/* STATUS_OK, or STATUS_UNKNOWN_USER. Nobody can log in until a password is set; tokens that were issued stay valid. */
enum status user_disable(struct service *s, struct arena *a, struct str name);

/* A seller, and the numbers that quotas limit. */
struct seller {
	int64_t id;
	struct str name;
	int64_t coupons, segments; /* of sales that have not ended */
	bool can_log_in;
};

struct sellers {
	struct seller *at;
	int count;
};

/* Lists sellers with an id above `after`, in the order of ids, at most `most`; in the arena. STATUS_OK. */
enum status user_list_sellers(struct service *s, struct arena *a, int64_t after, int most, struct sellers *out);

/*
 * For load tests: finds or creates users PREFIX1 to PREFIXcount of one kind, without a usable password, and enters
 * sellers in the seller index. ids has room for count. STATUS_NAME_TAKEN: a user of the other kind has one of the
 * names. Safe to repeat, also concurrently.
 */
enum status users_ensure(struct service *s, struct str prefix, int count, enum user_kind kind, int64_t *ids);

#endif
