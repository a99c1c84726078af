/*
 * seckillctl: the operator's command. Options may stand before, between and after the words of a command; -- ends them.
 */
#include <getopt.h>

#include "ctl/ctl.h"
#include "desk/desk.h"

enum { FLAG = no_argument, VALUE = required_argument };

static const struct option audit_options[] = {
	{ "repair", FLAG, NULL, 0 }, { "yes", FLAG, NULL, 0 }, { "window", VALUE, NULL, 0 }, { 0 }
};
static const struct option dead_letter_options[] = { { "all", FLAG, NULL, 0 }, { "reason", VALUE, NULL, 0 }, { 0 } };
static const struct option order_options[] = { { "status", VALUE, NULL, 0 },
					       { "id", VALUE, NULL, 0 },
					       { "amount", VALUE, NULL, 0 },
					       { "refund", VALUE, NULL, 0 },
					       { "currency", VALUE, NULL, 0 },
					       { "reason", VALUE, NULL, 0 },
					       { 0 } };
static const struct option recover_options[] = { { "all", FLAG, NULL, 0 }, { "resell-unknown", FLAG, NULL, 0 }, { 0 } };
static const struct option token_options[] = { { "count", VALUE, NULL, 0 },
					       { "prefix", VALUE, NULL, 0 },
					       { "kind", VALUE, NULL, 0 },
					       { "out", VALUE, NULL, 0 },
					       { 0 } };
static const struct option user_options[] = {
	{ "seller", FLAG, NULL, 0 }, { "customer", FLAG, NULL, 0 }, { "password-file", VALUE, NULL, 0 }, { 0 }
};

static const struct command commands[] = {
	{ "migrate", "", "bring the schema up to date", WITH_DB | WITH_ANY_VERSION, ctl_migrate, NULL },
	{ "config", "", "print every setting and where it comes from", 0, ctl_config, NULL },
	{ "routes", "", "print the route table", 0, ctl_routes, NULL },
	{ "check", "", "check the servers, their durability, the schema and the shared files",
	  WITH_REDIS | WITH_DB | WITH_ANY_VERSION, ctl_check, NULL },
	{ "status", "[SELLER/COUPON]", "units and queues of one coupon, or of all", WITH_REDIS | WITH_DB, ctl_status,
	  NULL },
	{ "audit", "[--repair [--yes]] [--window N] [SELLER/COUPON]", "check one coupon, or all, order by order",
	  WITH_REDIS | WITH_DB | WITH_MARKS, ctl_audit, audit_options },
	{ "dead", "list [--all] | retry ID... | drop ID... --reason TEXT",
	  "dead letters: records that could not become orders", WITH_REDIS | WITH_DB, ctl_dead, dead_letter_options },
	{ "orders",
	  "list [SELLER/COUPON] [--status S,...] | show NO | pay NO --id ID --amount N --currency C | "
	  "refund NO --id PAYMENT --refund ID --amount N --currency C | "
	  "cancel NO --reason TEXT | refund-due [SELLER/COUPON]",
	  "orders, what happened to one, and what an operator can do about it; payments that are to be refunded",
	  WITH_REDIS | WITH_DB, ctl_orders, order_options },
	{ "sale", "SELLER/COUPON", "the settings of a sale: state, window, units, price", WITH_REDIS | WITH_DB,
	  ctl_sale, NULL },
	{ "pause", "SELLER/COUPON", "stop a sale for now: nobody wins once this has ended", WITH_REDIS | WITH_DB,
	  ctl_pause, NULL },
	{ "resume", "SELLER/COUPON", "let a paused sale go on", WITH_REDIS | WITH_DB, ctl_resume, NULL },
	{ "end", "SELLER/COUPON", "end a sale for good: nobody wins once this has ended", WITH_REDIS | WITH_DB, ctl_end,
	  NULL },
	{ "withdraw", "SELLER/COUPON N", "take units off sale that nobody has claimed", WITH_REDIS | WITH_DB,
	  ctl_withdraw, NULL },
	{ "archive", "SELLER/COUPON", "remove an ended sale from Redis; its orders stay in MySQL", WITH_REDIS | WITH_DB,
	  ctl_archive, NULL },
	{ "recover", "[--resell-unknown] SELLER/COUPON|--all",
	  "write coupons that Redis lost or rolled back again from MySQL; they are closed meanwhile",
	  WITH_REDIS | WITH_DB | WITH_MARKS, ctl_recover, recover_options },
	{ "rebuild", "[--resell-unknown] SELLER/COUPON|--all", "another name of recover",
	  WITH_REDIS | WITH_DB | WITH_MARKS, ctl_recover, recover_options },
	{ "user", "list | disable NAME | {add NAME --seller|--customer | password NAME} [--password-file FILE]",
	  "accounts; list shows sellers; a password is read from a file or from standard input", WITH_REDIS | WITH_DB,
	  ctl_user, user_options },
	{ "quota", "SELLER", "the quotas of a seller, and what is used of them", WITH_DB, ctl_quota, NULL },
	{ "token", "NAME... | --count N --prefix P [--kind customer|seller] [--out FILE]",
	  "issue tokens; with --count for users P1 to PN, which are created when missing",
	  WITH_REDIS | WITH_DB | WITH_TOKENS, ctl_token, token_options },
#ifdef FAULTS
	{ "faults", "", "list the points at which tests kill this build", 0, ctl_faults, NULL },
#endif
};

int main(int argc, char **argv)
{
	return ctl_main(commands, sizeof commands / sizeof commands[0], argc, argv);
}
