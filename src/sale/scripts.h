/* The scripts of lua/, embedded at build time. Each documents its keys, arguments and replies. */
#ifndef SALE_SCRIPTS_H
#define SALE_SCRIPTS_H

#include "redis/redis.h"

extern const struct redis_script script_admit, script_award, script_claim, script_confirm, script_debit,
	script_describe, script_drop, script_enter, script_exchange, script_fence, script_flag, script_forget,
	script_forgive, script_join, script_journaled, script_leave, script_mend, script_open_hub, script_open_segment,
	script_peek, script_promote, script_promoted, script_release, script_relist, script_reopen, script_restore,
	script_revoke, script_rewrite, script_settle, script_steer, script_supply, script_term, script_throttle,
	script_trace, script_trim, script_upgrade, script_winners, script_withdraw;

#endif
