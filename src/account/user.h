/*
 * Accounts. All of this asks MySQL and blocks; what hashes a password blocks
 * for tens of milliseconds more. Besides what each says, every function can
 * return STATUS_UNAVAILABLE (MySQL is away, ask again) and STATUS_INTERNAL
 * (an operator must look; it is in the log).
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

/*
 * STATUS_OK, or STATUS_NAME_TAKEN. The caller has checked name and password.
 * After STATUS_UNAVAILABLE the account may exist: asked again, the name is taken.
 */
enum status user_create(struct service *s, struct arena *a, struct str name, struct str password, enum user_kind kind,
			int64_t *id);

/* STATUS_OK, or STATUS_WRONG_LOGIN for an unknown name and a wrong password alike, in the same time. */
enum status user_login(struct service *s, struct arena *a, struct str name, struct str password, struct user *user);

/* STATUS_OK, or STATUS_UNKNOWN_USER. */
enum status user_find(struct service *s, struct arena *a, struct str name, struct user *user);

/* STATUS_OK, or STATUS_UNKNOWN_USER. The caller has checked the password. Tokens that were issued stay valid. */
enum status user_set_password(struct service *s, struct arena *a, struct str name, struct str password);

/* The user cannot log in until a password is set; tokens that were issued stay valid. STATUS_OK, STATUS_UNKNOWN_USER.
 */
enum status user_disable(struct service *s, struct arena *a, struct str name);

/* A seller and what he has on sale. */
struct seller {
	int64_t id;
	struct str name;
	int64_t coupons, segments; /* that are not over, as the quotas count them */
	bool can_log_in;
};

/* The sellers whose id is above `after`, by id, at most `most`, in the arena. STATUS_OK. */
enum status user_list_sellers(struct service *s, struct arena *a, int64_t after, int most, struct seller **sellers,
			      int *count);

/*
 * For load tests: users PREFIX1 to PREFIXcount of one kind, made when missing,
 * with no usable password; sellers are entered in the directory. ids has room
 * for count. STATUS_NAME_TAKEN: one of the names is a user of the other kind.
 * Safe to repeat, also side by side.
 */
enum status users_ensure(struct service *s, struct str prefix, int count, enum user_kind kind, int64_t *ids);

#endif
