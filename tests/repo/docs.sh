#!/usr/bin/env bash
# The documents against the tree: tables that are generated, routes, names of files, scripts, commands, exit codes.
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

# Settings, errors, metrics and findings are written into the documents by build-aux/docs.sh.
generated="docs/seckill.conf.5 docs/openapi.yaml docs/operations.md docs/seckillctl.8 nginx/seckill.conf.in"
said=$(sh build-aux/docs.sh "$dir/new" 2>&1)
result "build-aux/docs.sh writes the tables of the documents" "$said"
for file in $generated; do
	result "$file has the tables of the .def files" "$(diff -u "$file" "$dir/new/$file" >"$dir/diff" ||
		{ echo "they have changed since: run make docs, or sh build-aux/docs.sh" && head -40 "$dir/diff"; })"
done
result "every metric and every finding is explained" "$(
	grep -n "^No cause is written here yet" docs/seckillctl.8
	grep -oE '^\| `seckill_[a-z_]+` \|' docs/operations.md | sort | uniq -d)"

# What is called {seller} in one route may be {user} in another: only the place counts.
sed -n 's/^X("\([A-Z]*\)", "\([^"]*\)".*/\1 \2/p' src/api/route.def | sed 's/{[a-z]*}/{}/g' >"$dir/table"
awk '/^[a-z]/ { inside = $1 == "paths:" }
	inside && /^  \// { path = $1; sub(/:$/, "", path); gsub(/\{[a-z]+\}/, "{}", path) }
	inside && /^    (get|put|post|patch|delete|head|options):$/ { sub(/:$/, "", $1); print toupper($1), path }' \
	docs/openapi.yaml >"$dir/document"
result "openapi.yaml has every route, and no other" "$(differ routes docs/openapi.yaml)"

# An error that no route names is described for all of them, or the document forgot it.
result "every error is named by some answer" "$(sed -n 's/^X([A-Z_]*, [45][0-9]*, "\([a-z-]*\)".*/\1/p' src/sale/status.def |
	while read -r code; do grep -q "\`$code\`" docs/openapi.yaml || echo "$code"; done)"
result "a repeated claim has its code" "$(sed -n 's/^X(ALREADY_CLAIMED, 200, "\([a-z-]*\)".*/\1/p' src/sale/status.def |
	while read -r code; do grep -q "enum: \[$code," docs/openapi.yaml || echo "$code"; done)"
result "openapi.yaml refers only to what it has" "$(grep -o '#/components/[A-Za-z]*/[A-Za-z]*' docs/openapi.yaml | sort -u |
	awk -F / 'FILENAME != "-" { if (/^  [A-Za-z]+:$/) { group = $1; gsub(/[ :]/, "", group) }
			if (/^    [A-Za-z]+:$/) { name = $1; gsub(/[ :]/, "", name); have[group "/" name] = 1 } next }
		!(($3 "/" $4) in have) { print }' docs/openapi.yaml -)"

documents="README.md CHANGES.md src/README.md docs/*.md docs/*.[0-9] docs/openapi.yaml"
result "every file of the tree that a document names exists" "$(
	# shellcheck disable=SC2086 # several names
	grep -noE '(^|[^/a-z])(src|tests|lua|sql|docs|nginx|docker|conf|build-aux)/[A-Za-z0-9_/.-]*[A-Za-z0-9_]' $documents |
		sed -E 's/^([^:]*:[0-9]+:)[^a-z]/\1/' | while IFS=: read -r document line file; do
		[ -e "$file" ] || [ -e "$file.c" ] || grep -q "$file" tests/*.am || echo "$document:$line: $file"
	done)"
result "every file and function that src/README.md names exists" "$(
	grep -oE '`[a-z_0-9]+/[a-z_0-9]+\.(c|h|def)`' src/README.md | tr -d '`' | sort -u | while read -r file; do
		[ -e "src/$file" ] || echo "$file"
	done
	grep -oE '`[a-z_0-9]+\(\)`' src/README.md | tr -d '`()' | sort -u | while read -r function; do
		grep -rqE "^[a-z].*\b$function\(" src --include=*.c || echo "$function()"
	done)"
result "README is short" "$(awk 'END { if (NR > 130) print NR " lines, 130 are allowed" }' README.md)"
result "a logout counts within the time that README and openapi.yaml give" "$(
	grep -rq 'EVERY_MS = 500,' src/account || echo "workers do not read logouts every 500 ms"
	for file in README.md docs/openapi.yaml; do grep -q 'within half a second' "$file" || echo "$file"; done)"

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
result "seckillctl(8) has every command" "$(sed -n 's/^[[:space:]]*{ "\([a-z]*\)",\( "[^"]*",.*\)\{0,1\}$/\1/p' src/desk/main.c >"$dir/table"
	sed -n 's/^\.It Ic \([a-z]*\).*/\1/p; s/^\.Ic \([a-z]*\)$/\1/p' docs/seckillctl.8 | sort -u >"$dir/document"
	differ commands docs/seckillctl.8)"

result "seckillctl(8) says of every finding that is repaired why, and of no other" "$(
	sed -n 's/^[[:space:]]*\[FINDING_\([A-Z_]*\)\] = .*/\1/p' src/audit/repair.c | tr 'A-Z_' 'a-z-' >"$dir/table"
	awk '/^\.Sh / { inside = $2 == "FINDINGS" } inside && /^\.It Cm / { word = $3 }
		inside && /^Repaired[: ]/ { print word }' docs/seckillctl.8 >"$dir/document"
	differ repairs docs/seckillctl.8)"

for page in docs/*.[1-9]; do
	need "$page is clean mdoc" mandoc && result "$page is clean mdoc" "$(mandoc -Tlint -Wwarning "$page" 2>&1)"
done
finish
