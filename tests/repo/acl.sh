#!/usr/bin/env bash
# docker/users.acl.in gives the service the commands that it sends, and no other.
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir" || exit 99

granted=$(grep '^user seckill ' docker/users.acl.in | grep -o '+[a-z|]*' | tr -d + | sort)
result "the service's user may do nothing but what is named, on our keys only" "$(
	grep -E '^user seckill reset on #@SECKILL_SHA256@ ~sk:\* -@all ' docker/users.acl.in >/dev/null || echo "it begins otherwise"
	grep '^user seckill ' docker/users.acl.in | grep -oE '(\+@|~|&|>|allkeys|allcommands|nopass)[^ ]*' | grep -vxF '~sk:*'
)"
sent=$({
	sed -nE 's/.*redis_command\([a-z&]*, "([A-Z]+)"\).*/\1/p' src/*/*.c
	sed -nE 's/.*redisAsyncCommand\([^"]*"([A-Z]+).*/\1/p' src/*/*.c
	grep -ohE "redis\.call\('[A-Z]+'" lua/*.lua | cut -d"'" -f2
} | tr '[:upper:]' '[:lower:]' | sort -u)
result "every command that is sent is granted" "$([ -n "$sent" ] || echo "none was found"
	for command in $sent; do grep -qE "^$command(\||\$)" <<<"$granted" || echo "$command"; done)"
result "every command that is granted is sent" "$(for command in $granted; do
	word=${command%%|*}
	grep -qE "['\"]${word^^}[ '\"]" -r src/sale src/store lua || echo "$command"
done)"
finish
