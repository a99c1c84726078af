#!/usr/bin/env bash
# The tree is the architecture: includes point down, no files need each other in a circle, and each foreign library has
# one file that knows it.
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir/src" || exit 99

# From the ground up. A room may include files of its own and of the floors below; rooms of one floor are neighbours, and
# do not know each other.
floors=(base "host resp" "redis mysql" sale "store account stock" order "catalog page" "drain lifecycle steer" "recover resale waiting" "inspect audit" http api bin ctl desk)
ROOM_LINES=2500

# Each include of a file of ours: FROM TO, as module names: a .c and the .h of its name are one module.
edges() {
	grep -oE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[a-z]+/[a-z_0-9]+\.(h|def)"' -r . |
		sed -E 's,^\./([a-z]+/[a-z_0-9]+)\.[a-z]+:.*"([a-z]+/[a-z_0-9]+)\.[a-z]+"$,\1 \2,' | awk '$1 != $2' | sort -u
}

# The edges that lead from a floor to the same or a higher one, but for those within a room.
upward() {
	edges | awk -v floors="$(printf '%s|' "${floors[@]}")" '
		BEGIN { n = split(floors, f, "|"); for (i = 1; i < n; i++) { m = split(f[i], r, " "); for (j = 1; j <= m; j++) floor[r[j]] = i } }
		{ split($1, a, "/"); split($2, b, "/") }
		a[1] != b[1] && floor[b[1]] >= floor[a[1]] { print $1 " includes " $2 }'
}

result "includes point down: $(printf '%s, ' "${floors[@]}" | sed 's/, $//')" "$(upward 2>&1)"
result "no files include each other in a circle" "$(edges | tsort 2>&1 >/dev/null)"
result "src holds these rooms and nothing else" "$(comm -3 <(find . -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort) \
	<(printf '%s\n' "${floors[@]}" | tr ' ' '\n' | sort))"
result "no room has more than $ROOM_LINES lines" "$(for room in */; do
	lines=$(cat "$room"*.[ch] "$room"*.def 2>/dev/null | wc -l)
	((lines > ROOM_LINES)) && echo "$room $lines"
done)"

# Who uses a store includes its one header.
for header in redis/redis mysql/db; do
	result "other rooms include only $header.h of ${header%/*}" \
		"$(edges | awk -v room="${header%/*}/" -v header="$header" 'index($2, room) == 1 && index($1, room) != 1 && $2 != header')"
done

# owned PATTERN FILE: includes of PATTERN anywhere but in FILE.
owned() {
	result "only $2 includes $1" "$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]([a-z0-9_-]*/)?($1)" -r . |
		grep -v "^\./$2:")"
}
owned 'hiredis/|async\.h|sds\.h|read\.h' resp/protocol.h
owned 'mysql\.h|mariadb' mysql/client.h
owned 'jwt\.h' account/token.c
owned 'fcgi' http/server.c
owned 'json\.h>|json-c|json_object|json_tokener' base/json.c
finish
