#!/usr/bin/env bash
# docker/users.acl.in gives the service the commands that it sends, and no other. docker/grants.sql gives the accounts the
# rights that src/store/rights.c looks for, and no other.
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
	grep -ohE "redis\.p?call\('[A-Z]+'" lua/*.lua | cut -d"'" -f2
} | tr '[:upper:]' '[:lower:]' | sort -u)
result "every command that is sent is granted" "$([ -n "$sent" ] || echo "none was found"
	for command in $sent; do grep -qE "^$command(\||\$)" <<<"$granted" || echo "$command"; done)"
result "every command that is granted is sent" "$(for command in $granted; do
	word=${command%%|*}
	grep -qE "['\"]${word^^}[ '\"]" -r src lua || echo "$command"
done)"

# Statement by statement: the schema and the accounts that are named are the service's own.
result "accounts.sql.in changes nothing on the server that is another's" "$(
	grep -v '^--' docker/accounts.sql.in | tr '\n\t' '  ' | tr ';' '\n' | sed 's/^ *//; s/ *$//' |
		grep -vxE "|FLUSH PRIVILEGES|CREATE DATABASE IF NOT EXISTS seckill .*|GRANT ALL ON seckill\.\* TO seckill_owner@localhost WITH GRANT OPTION" |
		grep -vxE "CREATE USER IF NOT EXISTS seckill(_[a-z]+)?@localhost|ALTER USER seckill(_[a-z]+)?@localhost IDENTIFIED BY '@[A-Z_]+@'" |
		grep -vxE "DELETE FROM mysql\.db WHERE Db = 'seckill' AND Host = 'localhost' AND User IN \('seckill', 'seckill_drain'\) .*")"
result "mariadb.cnf sets nothing but what is demanded" "$(grep -vE '^(#.*|\[mysqld\]|innodb_flush_log_at_trx_commit = 1|sync_binlog = 1|)$' conf/mariadb.cnf)"

# "INSERT users seckill": rights to write, a column each where columns are named.
given=$(sed -nE 's/^GRANT (.*) ON seckill\.([a-z_]+) TO ([a-z_]+)@localhost;$/\1|\2|\3/p' docker/grants.sql |
	awk -F '|' '{ rest = $1
		while (match(rest, /(SELECT|INSERT|UPDATE|DELETE)( \([a-z_, ]*\))?/)) {
			word = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
			kind = substr(word, 1, 6); columns = substr(word, 9); gsub(/[(),]/, " ", columns)
			if (kind == "INSERT" || kind == "DELETE") print kind, $2, $3
			else if (kind == "UPDATE") { n = split(columns, c, " "); if (!n) print kind, $2, $3
				for (i = 1; i <= n; i++) print kind, $2 "." c[i], $3 } } }' | sort)
looked=$(sed -nE 's/^.*RIGHTS_(WORKERS|DRAINERS), "(INSERT INTO|UPDATE|DELETE FROM) ([a-z_]+) (.*)/\1|\2|\3|\4/p' src/store/rights.c |
	awk -F '|' '{ who = $1 == "WORKERS" ? "seckill" : "seckill_drain" }
		$2 == "INSERT INTO" { print "INSERT", $3, who } $2 == "DELETE FROM" { print "DELETE", $3, who }
		$2 == "UPDATE" { n = split($4, c, /[, ]/); for (i = 1; i <= n; i++) if (c[i + 1] == "=") print "UPDATE", $3 "." c[i], who }' | sort)
# Where a whole table may be updated any column stands for it.
looked=$(while read -r kind what who; do
	grep -qx "$kind ${what%.*} $who" <<<"$given" && what=${what%.*}
	echo "$kind $what $who"
done <<<"$looked" | sort)
result "a program looks for every right to write that grants.sql gives, and for no other" "$(
	[ -n "$given" ] || echo "grants.sql could not be read"
	diff <(echo "$given") <(echo "$looked"))"
finish
