/* The scripts of lua/, embedded at build time. Their keys, arguments and replies are documented there. */
#ifndef SALE_SCRIPTS_H
#define SALE_SCRIPTS_H

#include "store/redis.h"

extern const struct redis_script script_claim, script_debit, script_describe, script_drop, script_exchange,
	script_fence, script_flag, script_forgive, script_open_hub, script_open_segment, script_restore, script_revoke,
	script_rewrite, script_supply, script_throttle, script_trim, script_upgrade;

#endif
