/* Accounts and tokens. Compat clients send and expect "saler" for a seller; "seller" is accepted, and never sent. */
#include "account/login_throttle.h"
#include "account/password.h"
#include "account/revocation.h"
#include "account/user.h"
#include "api/handlers.h"
#include "base/parse.h"
#include "host/log.h"
#include "sale/seller_index.h"

enum { NAME_BYTES = 240, KIND_BYTES = 16 };

static const struct {
	struct str word;
	enum user_kind kind;
} kinds[] = {
	{ { "customer", 8 }, KIND_CUSTOMER },
	{ { "saler", 5 }, KIND_SELLER },
	{ { "seller", 6 }, KIND_SELLER },
};

static bool parse_kind(struct str word, enum user_kind *kind)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (str_eq(kinds[i].word, word)) {
			*kind = kinds[i].kind;
			return true;
		}
	return false;
}

/* A failure is only logged, because the next login adds the seller again. */
static void index_seller(struct request *rq, struct str name, int64_t id)
{
	if (seller_index_add(rq->service, name, id) != STATUS_OK)
		log_warn_limited("seller_index_failed", LOG_STR("request", rq->id), LOG_INT("seller", id));
}

/* Explains STATUS_BUSY of functions that hash a password. */
static enum status explain_busy(struct request *rq, enum status status)
{
	enum { RETRY_S = 5 };
	if (status != STATUS_BUSY)
		return status;
	stats_add(rq->service->stats, COUNT_queue_expired_total, 1);
	rq->response.retry_after_s = RETRY_S;
	return request_fail(rq, status, "too many passwords are being hashed, and nothing was done: retry later");
}

static enum status read_user(struct request *rq, struct str *name, struct str *password, enum user_kind *kind)
{
	struct str word;
	const struct json_field fields[] = {
		{ .name = "username", .kind = JSON_TEXT, .required = true, .min = 1, .max = NAME_BYTES, .text = name },
		{ .name = "password",
		  .kind = JSON_TEXT,
		  .required = true,
		  .min = PASSWORD_MIN,
		  .max = PASSWORD_MAX,
		  .text = password },
		{ .name = "kind", .kind = JSON_TEXT, .required = true, .min = 1, .max = KIND_BYTES, .text = &word },
	};
	enum status status = request_read(rq, fields, 3);
	if (status != STATUS_OK)
		return status;
	const char *rule = parse_new_name(rq->arena, *name);
	if (rule)
		return request_fail(rq, STATUS_BAD_FIELD, "username %s", rule);
	if (!parse_kind(word, kind))
		return request_fail(rq, STATUS_BAD_FIELD, "kind must be \"customer\" or \"saler\"");
	return STATUS_OK;
}

enum status handle_user_create(struct request *rq)
{
	struct str name, password;
	enum user_kind kind = KIND_CUSTOMER;
	enum status status = read_user(rq, &name, &password, &kind);
	if (status != STATUS_OK)
		return status;
	if (kind == KIND_SELLER && rq->service->conf->sellers == SELLERS_INVITED)
		return request_fail(rq, STATUS_FORBIDDEN,
				    "sellers cannot register here: ask the operator for a seller account");
	int64_t id;
	status = user_create(rq->service, rq->arena, &(struct new_user){ name, password, kind }, &id);
	status = explain_busy(rq, status);
	if (status != STATUS_OK)
		return status;
	if (kind == KIND_SELLER)
		index_seller(rq, name, id);
	json_end(response_object(rq), '}');
	return STATUS_CREATED;
}

/* A name or password that no account can have gives wrong-login, not bad-field; only the lengths are checked here. */
static enum status read_login(struct request *rq, struct str *name, struct str *password)
{
	const struct json_field fields[] = {
		{ .name = "username", .kind = JSON_TEXT, .required = true, .min = 0, .max = NAME_BYTES, .text = name },
		{ .name = "password",
		  .kind = JSON_TEXT,
		  .required = true,
		  .min = 0,
		  .max = PASSWORD_MAX,
		  .text = password },
	};
	return request_read(rq, fields, 2);
}

static enum status answer_login(struct request *rq, struct str name, const struct user *user)
{
	struct token t = { .user = user->id, .name = name, .kind = user->kind };
	struct str jwt = token_issue(rq->service->tokens, rq->arena, &t);
	response_header(rq, "Authorization", jwt);
	struct buf *body = response_object(rq);
	json_str(body, "kind", user->kind == KIND_SELLER ? STR("saler") : STR("customer"));
	json_str(body, "token", jwt);
	json_end(body, '}');
	return STATUS_OK;
}

static enum status try_login(struct request *rq, struct str name, struct str password, struct user *user)
{
	int wait_s;
	if (login_throttle_begin(rq->service, name, rq->peer, &wait_s) != STATUS_OK) {
		rq->response.retry_after_s = wait_s;
		return request_fail(rq, STATUS_RATE_LIMITED,
				    "too many failed logins to this account from your network: retry in %d s", wait_s);
	}
	enum status status = user_login(rq->service, rq->arena, name, password, user);
	if (status != STATUS_WRONG_LOGIN)
		login_throttle_forgive(rq->service, name, rq->peer);
	return explain_busy(rq, status);
}

static void count_login(struct stats *stats, enum status status)
{
	static const struct {
		enum status status;
		enum counter counter;
	} counted[] = { { STATUS_OK, COUNT_logins_total__ok },
			{ STATUS_WRONG_LOGIN, COUNT_logins_total__wrong },
			{ STATUS_RATE_LIMITED, COUNT_logins_total__limited } };
	for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++)
		if (counted[i].status == status)
			stats_add(stats, counted[i].counter, 1);
}

enum status handle_login(struct request *rq)
{
	struct str name, password;
	enum status status = read_login(rq, &name, &password);
	if (status != STATUS_OK)
		return status;
	struct user user;
	status = try_login(rq, name, password, &user);
	count_login(rq->service->stats, status);
	if (status != STATUS_OK)
		return status;
	if (user.kind == KIND_SELLER)
		index_seller(rq, name, user.id);
	return answer_login(rq, name, &user);
}

enum status handle_logout(struct request *rq)
{
	enum status status = revocation_token(rq->service, &rq->token);
	if (status == STATUS_OK)
		json_end(response_object(rq), '}');
	else if (status == STATUS_BUSY)
		request_fail(rq, status, "too many logged-out tokens are remembered at present: retry later");
	else if (status == STATUS_UNAVAILABLE)
		request_fail(
			rq, status,
			"the logout is not stored in both Redis and MySQL yet: retry until the answer is 200 or 401 "
			"revoked-token");
	return status;
}
