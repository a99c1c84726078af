#!/usr/bin/env bash
# The tree is the architecture: src holds these rooms, and each foreign library has one file that knows it.
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir/src" || exit 99

# From the ground up.
floors=(base host "redis mysql" sale "store account stock" order catalog drain recover "inspect audit" http bin)

result "src holds these rooms and nothing else" "$(comm -3 <(find . -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort) \
	<(printf '%s\n' "${floors[@]}" | tr ' ' '\n' | sort))"
# owned PATTERN FILE: includes of PATTERN anywhere but in FILE.
owned() {
	result "only $2 includes $1" "$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]([a-z0-9_-]*/)?($1)" -r . |
		grep -v "^\./$2:")"
}
owned 'hiredis|async\.h|sds\.h|read\.h' redis/link.h
owned 'mysql\.h|mariadb' mysql/db_connection.h
owned 'jwt\.h' account/token.c
owned 'fcgi' http/server.c
owned 'json\.h>|json-c|json_object|json_tokener' base/json.c
finish
