/* The scripts of lua/, embedded at build time. Their keys, arguments and replies are documented there. */
#ifndef SALE_SCRIPTS_H
#define SALE_SCRIPTS_H

#include "store/redis.h"

extern const struct redis_script script_claim, script_debit, script_exchange, script_flag, script_open_hub,
	script_open_segment, script_trim, script_drop, script_supply;

#endif
