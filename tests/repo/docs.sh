#!/usr/bin/env bash
# The documents against the tables that drive the code: settings, routes, statuses, metrics, scripts, exit codes.
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir" || exit 99
dir=$(mktemp -d "${TMPDIR:-/tmp}/docs.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT

# differ WHAT WHERE: what only the table has, and what only the document has; both are in $dir, sorted here.
differ() {
	sort -o "$dir/table" "$dir/table"
	sort -o "$dir/document" "$dir/document"
	[ -s "$dir/table" ] || echo "the table of $1 could not be read"
	comm -23 "$dir/table" "$dir/document" | sed "s|^|not in $2: |"
	comm -13 "$dir/table" "$dir/document" | sed "s|^|only in $2: |"
}

# The fields of X(...) rows, with tabs between; strings without their quotes.
rows() {
	awk '/^X\(/ {
		text = substr($0, 3); sub(/\)[ \t]*$/, "", text); line = ""; quoted = 0
		for (i = 1; i <= length(text); i++) {
			c = substr(text, i, 1)
			if (quoted && c == "\\") { i++; line = line substr(text, i, 1) }
			else if (c == "\"") quoted = !quoted
			else if (!quoted && c == ",") { line = line "\t"; while (substr(text, i + 1, 1) == " ") i++ }
			else line = line c
		}
		print line
	}' "$1"
}

# A setting as the manual must have it: name, help, bounds, default.
rows src/host/conf.def | awk -F '\t' '{
	value = $2 == "FLAG" ? "yes or no" : $2 == "FILE" ? "a path" : $4 " to " $5 ($2 == "TEXT" ? " characters" : "")
	if ($2 == "AUTO_INT") value = value " or auto"
	if ($2 == "WORD") { value = $3; gsub(/[|]/, " or ", value); sub(/[|].*/, "", $3) }
	print $1 ": " $6 ". Value: " value "; default: " ($3 == "" ? "empty" : $3) "."
}' >"$dir/table"
awk '/^\.It Cm / { name = $3; getline help; getline; getline value; print name ": " help " " value }' \
	docs/seckill.conf.5 >"$dir/document"
result "seckill.conf(5) has every setting with its help, bounds and default, and no other" \
	"$(differ settings docs/seckill.conf.5)"

# What is called {seller} in one route may be {user} in another: only the place counts.
rows src/http/route.def | awk -F '\t' '{ gsub(/\{[a-z]+\}/, "{}", $2); print $1, $2 }' >"$dir/table"
awk '/^[a-z]/ { inside = $1 == "paths:" }
	inside && /^  \// { path = $1; sub(/:$/, "", path); gsub(/\{[a-z]+\}/, "{}", path) }
	inside && /^    (get|put|post|patch|delete|head|options):$/ { sub(/:$/, "", $1); print toupper($1), path }' \
	docs/openapi.yaml >"$dir/document"
result "openapi.yaml has every route, and no other" "$(differ routes docs/openapi.yaml)"

# Errors are rows of one table there: code, status, text. What is below 400 has no problem body.
rows src/sale/status.def | awk -F '\t' '$2 >= 400 { print $3 " " $2 " " $4 }' >"$dir/table"
awk -F ' *[|] *' '/^ *\| [a-z-]+ \| [0-9]+ \|/ { print $2 " " $3 " " $4 }' docs/openapi.yaml >"$dir/document"
result "openapi.yaml has every error with its status and text, and no other" "$(differ statuses docs/openapi.yaml)"

rows src/sale/status.def | awk -F '\t' '$2 >= 400 { print $3 }' >"$dir/table"
awk '/^ +code:$/ { inside = 1 } inside && /^ +- / { print $2; next } inside && seen && !/^ +- / { exit }
	inside && /^ +enum:$/ { seen = 1 }' docs/openapi.yaml >"$dir/document"
result "the enum of error codes is the same" "$(differ statuses "the enum of docs/openapi.yaml")"

# An error that no route names is described for all of them, or the document forgot it.
result "every error is named by some answer" "$(rows src/sale/status.def | awk -F '\t' '$2 >= 400 { print $3 }' |
	while read -r code; do grep -q "\`$code\`" docs/openapi.yaml || echo "$code"; done)"
result "a claim that was repeated has its word" "$(rows src/sale/status.def | awk -F '\t' '$1 == "ALREADY_CLAIMED" { print $3 }' |
	while read -r code; do grep -q "enum: \[$code," docs/openapi.yaml || echo "$code"; done)"
result "openapi.yaml refers only to what it has" "$(grep -o '#/components/[A-Za-z]*/[A-Za-z]*' docs/openapi.yaml | sort -u |
	awk -F / 'FILENAME != "-" { if (/^  [A-Za-z]+:$/) { group = $1; gsub(/[ :]/, "", group) }
			if (/^    [A-Za-z]+:$/) { name = $1; gsub(/[ :]/, "", name); have[group "/" name] = 1 } next }
		!(($3 "/" $4) in have) { print }' docs/openapi.yaml -)"

words=(no one two three four five six seven eight nine)
marked=$(grep -cE '^\| `[A-Z]+ /api/[^`]*` \*course\* \|' README.md)
result "README counts the course's routes as it marks them" "$(grep -qi "the ${words[marked]:-many} course routes" README.md || echo "$marked are marked")"
result "a logout counts within the time that README and openapi.yaml say" "$(
	grep -q 'EVERY_MS = 500,' src/account/revocation.c || echo "revoke.c does not read every 500 ms"
	for file in README.md docs/openapi.yaml; do grep -q 'within half a second' "$file" || echo "$file"; done)"

{
	rows src/host/stats.def | awk -F '\t' '{ sub(/__.*/, "", $1); print "seckill_" $1 }'
	sed -n 's/.*# TYPE \(seckill_[a-z_]*\) .*/\1/p' src/http/handle_ops.c # what is computed
} | sort -u >"$dir/table"
# shellcheck disable=SC2016 # backquotes of the document, not of the shell
grep -oE '^\| `seckill_[a-z_]+`' docs/operations.md | tr -d '|` ' >"$dir/document"
result "operations.md has every metric, and no other" "$(differ metrics docs/operations.md)"

for script in lua/*.lua; do
	result "$script says its keys, arguments and replies" "$(awk '
		NR == 1 && !/^#!lua/ { print "line 1 is not #!lua" }
		NR > 1 && !/^--/ { exit }
		/^-- KEYS  / { keys = NR } /^-- ARGV  / { argv = NR } /^-- Reply / { reply = NR }
		END { if (!keys) print "no KEYS"; if (!argv) print "no ARGV"; if (!reply) print "no Reply"
			if (keys > argv || argv > reply) print "not in this order" }' "$script")"
done

result "every script is embedded, declared, and sent by somebody" "$(for script in lua/*.lua; do
	name=$(basename "$script" .lua)
	grep -qE "(^|[[:space:]])$script([[:space:]]|\$)" Makefile.am || echo "not in Makefile.am: $script"
	grep -qE "\bscript_$name\b" src/sale/scripts.h || echo "not in scripts.h: $name"
	grep -rqE "&script_$name\b" src --include=*.c || echo "nobody sends $name"
done)"

# An exit code that programs share stands in each of their manuals.
codes=$(sed -n 's/^[[:space:]]*EXIT_[A-Z]* = \([0-9]*\),.*/\1/p' src/bin/program.h)
for page in docs/seckill-api.8 docs/seckill-orderd.8 docs/seckillctl.8; do
	result "$page has every exit code" "$([ -n "$codes" ] || echo "program.h has none"
		for code in $codes; do grep -qx "\.It $code" "$page" || echo "$code"; done)"
done
result "seckillctl(8) has every command" "$(sed -n 's/^[[:space:]]*{ "\([a-z]*\)", "[^"]*",.*/\1/p' src/bin/ctl_main.c >"$dir/table"
	sed -n 's/^\.It Ic \([a-z]*\).*/\1/p; s/^\.Ic \([a-z]*\)$/\1/p' docs/seckillctl.8 | sort -u >"$dir/document"
	differ commands docs/seckillctl.8)"

rows src/audit/audit.def | awk -F '\t' '{ print $2 }' >"$dir/table"
awk '/^\.Sh / { inside = $2 == "FINDINGS" } inside && /^\.It Cm / { print $3 }' docs/seckillctl.8 >"$dir/document"
result "seckillctl(8) has every finding of an audit" "$(differ findings docs/seckillctl.8)"
result "seckillctl(8) says of every finding that is repaired why, and of no other" "$(
	sed -n 's/^[[:space:]]*\[FINDING_\([A-Z_]*\)\] = .*/\1/p' src/audit/repair.c | tr 'A-Z_' 'a-z-' >"$dir/table"
	awk '/^\.Sh / { inside = $2 == "FINDINGS" } inside && /^\.It Cm / { word = $3 }
		inside && /^Repaired[: ]/ { print word }' docs/seckillctl.8 >"$dir/document"
	differ repairs docs/seckillctl.8)"

for page in docs/*.[1-9]; do
	need "$page is clean mdoc" mandoc && result "$page is clean mdoc" "$(mandoc -Tlint -Wwarning "$page" 2>&1)"
done
finish
