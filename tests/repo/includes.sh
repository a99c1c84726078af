#!/usr/bin/env bash
# The tree is the architecture: includes point down (bin -> http -> sale -> store -> base), and each foreign library
# has one file that knows it.
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir/src" || exit 99
layers=(base store sale http bin)

# Includes in a layer's files of anything that lies above it.
upward() {
	local above
	above=$(IFS='|'; echo "${layers[*]:$1 + 1}")
	[ -n "$above" ] || return
	grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]($above)/" "${layers[$1]}"/*
}

for i in "${!layers[@]}"; do
	result "src/${layers[$i]} includes nothing from above" "$(upward "$i" 2>&1)"
done

result "src holds the five layers and nothing else" "$(find . -mindepth 1 -maxdepth 1 ! -name base ! -name store ! -name sale \
	! -name http ! -name bin ! -name '.*')"

# owned PATTERN FILE: includes of PATTERN anywhere but in FILE.
owned() {
	result "only $2 includes $1" "$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]([a-z0-9_-]*/)?($1)" -r . |
		grep -v "^\./$2:")"
}
owned 'hiredis|async\.h|sds\.h|read\.h' store/redis_link.h
owned 'mysql\.h|mariadb' store/db_connection.h
owned 'jwt\.h' sale/token.c
owned 'fcgi' http/server.c
owned 'json\.h>|json-c|json_object|json_tokener' base/json.c
finish
