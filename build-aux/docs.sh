#!/bin/sh
# Writes the parts of the documents that repeat a table of the program: docs.sh [DIR]
#
# The documents are complete as they stand in the tree, so that a reader needs no build. `make docs` writes the tables into
# them again after a .def file has changed; tests/repo/docs.sh fails while they differ. With DIR the files go there instead.
#
#   docs/seckill.conf.5     settings         src/host/conf.def
#   docs/openapi.yaml       error codes      src/sale/status.def
#                           events           src/lifecycle/event.def
#   nginx/seckill.conf.in   error bodies     src/sale/status.def, titles from src/http/response.c
#   docs/operations.md      metrics          src/host/stats.def, src/api/handle_ops.c
#   docs/seckillctl.8       findings         src/audit/finding.def
#
# What a table of the program does not know stays with its row: when to look at a metric, the cause of a finding.
set -eu
cd "$(dirname "$0")/.."
out=${1:-.}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The fields of each X(...), with tabs between them, strings without their quotes; an X may be several lines long.
rows() {
	awk '
	/^X\(/ { text = substr($0, 3) }
	/^[ \t]/ && text != "" { text = text $0 }
	text != "" {
		line = ""; quoted = 0; closed = 0
		for (i = 1; i <= length(text); i++) {
			c = substr(text, i, 1)
			if (quoted && c == "\\") { i++; line = line substr(text, i, 1) }
			else if (c == "\"") quoted = !quoted
			else if (quoted) line = line c
			else if (c == ",") line = line "\t"
			else if (c == ")") closed = 1
			else if (c != " " && c != "\t") line = line c
		}
		if (closed) { print line; text = "" }
	}' "$1"
}

# table FILE: standard input without the rows of the marked part, which FILE has instead.
table() { awk -v new="$1" -v begin="$2" -v end="$3" '
	!inside { print }
	!inside && index($0, begin) { while ((getline line < new) > 0) print line; inside = 1; next }
	inside && ($0 ~ end) { inside = 0; print }'; }

write() {
	[ -s "$tmp/new" ] || { echo "docs.sh: nothing was written for $1" >&2; exit 1; }
	mkdir -p "$out/$(dirname "$1")"
	cmp -s "$tmp/new" "$out/$1" || cat "$tmp/new" >"$out/$1"
}

settings() {
	rows src/host/conf.def | awk -F '\t' '{
		value = $2 == "FLAG" ? "yes or no" : $2 == "FILE" ? "a path" : $4 " to " $5 ($2 == "TEXT" ? " characters" : "")
		if ($2 == "AUTO_INT") value = value " or auto"
		if ($2 == "WORD") { value = $3; gsub(/[|]/, " or ", value); sub(/[|].*/, "", $3) }
		print ".It Cm " $1 "\n" toupper(substr($6, 1, 1)) substr($6, 2) "."
		print ".br\nValue: " value "; default: " ($3 == "" ? "empty" : $3) "."
	}' >"$tmp/rows"
	table "$tmp/rows" 'settings: made by make docs' '^[.]El' <docs/seckill.conf.5 >"$tmp/new"
	write docs/seckill.conf.5
}

# What is below 400 has no problem body.
errors() { rows src/sale/status.def | awk -F '\t' '$2 >= 400'; }

openapi() {
	errors | awk -F '\t' '{ print "            | " $3 " | " $2 " | " $4 " |" }' >"$tmp/rows"
	errors | awk -F '\t' '{ print "            - " $3 }' >"$tmp/codes"
	rows src/lifecycle/event.def | awk -F '\t' '{ print "                  | " $3 " | " $4 " |" }' >"$tmp/events"
	rows src/lifecycle/event.def | awk -F '\t' '{ print "                - " $3 }' >"$tmp/kinds"
	table "$tmp/rows" '            | --- | --- | --- |' '^ *[^ |]' <docs/openapi.yaml |
		table "$tmp/codes" 'enum: # made by make docs' '^ *[^ -]' |
		table "$tmp/events" '                  | --- | --- |' '^ *[^ |]' |
		table "$tmp/kinds" 'enum: # events, made by make docs' '^ *[^ -]' >"$tmp/new"
	write docs/openapi.yaml
}

# A remark in the configuration names the code of a body, and its detail where it is not the usual one.
nginx() {
	errors | awk -F '\t' '{ print $3 "\t" $2 "\t" $4 }' >"$tmp/codes"
	sed -n 's/.*{ \([0-9]*\), "\([^"]*\)" }.*/\1\t\2/p' src/http/response.c >"$tmp/titles"
	printf '414\tURI Too Long\n431\tRequest Header Fields Too Large\n' >>"$tmp/titles"
	awk -F '\t' -v codes="$tmp/codes" -v titles="$tmp/titles" '
	BEGIN {
		while ((getline < codes) > 0) detail[$1] = $3
		while ((getline < titles) > 0) title[$1] = $2
	}
	/^\t\tlocation = \/\.problem\// { status = $0; sub(/.*\/\.problem\//, "", status); status = substr(status, 1, 3) }
	/^\t\t\t# [a-z]/ {
		code = $3; text = $0
		sub(/^\t\t\t# /, "", text); code = text; sub(/:.*/, "", code)
		if (!(code in detail)) { print "docs.sh: nginx has no such code: " code >"/dev/stderr"; exit 1 }
		if (!sub(/^[^:]*: /, "", text)) text = detail[code]
	}
	/^\t\t\treturn [0-9]* .\{"type"/ {
		type = "about:blank"; name = title[status]; more = ""
		if (status == 429) {
			type = "https://iana.org/assignments/http-problem-types#quota-exceeded"; name = "Quota Exceeded"
			more = ",\"violated-policies\":[\"$seckill_policy\"]"
		}
		printf "\t\t\treturn %s \047{\"type\":\"%s\",\"title\":\"%s\",\"status\":%s,", status, type, name, status
		printf "\"detail\":\"%s\",\"code\":\"%s\",\"errMsg\":\"%s\"%s}\\n\047;\n", text, code, text, more
		next
	}
	{ print }' nginx/seckill.conf.in >"$tmp/new"
	write nginx/seckill.conf.in
}

# The last column is the document's own.
metrics() {
	{
		rows src/host/stats.def | awk -F '\t' '$3 != "" { sub(/__.*/, "", $1); print "seckill_" $1 "\t" $3 }'
		tr -d '\n' <src/api/handle_ops.c | grep -oE '# HELP seckill_[a-z_]+ [^;]*# TYPE seckill_' |
			sed -E 's/^# HELP (seckill_[a-z_]+) /\1\t/; s/\\n"?[[:space:]]*"?# TYPE.*//; s/"[[:space:]]*"//g; s/%d/262,144/'
	} >"$tmp/have"
	awk -F ' *[|] *' -v have="$tmp/have" '
	FILENAME == ARGV[1] && /^\| `seckill_/ { look[$2] = $4 }
	END {
		while ((getline line < have) > 0) {
			split(line, f, "\t")
			name = "`" f[1] "`"
			print "| " name " | " f[2] (f[1] ~ /_total$/ ? "" : " (gauge)") " | " (look[name] == "" ? "" : look[name] " ") "|"
		}
	}' docs/operations.md >"$tmp/rows"
	awk -v new="$tmp/rows" '
	/^\| `seckill_/ { if (!done) while ((getline line < new) > 0) print line; done = 1; next }
	{ print }' docs/operations.md >"$tmp/new"
	write docs/operations.md
}

# The first sentence of a finding is its text; those behind it, its cause and its repair, are the document's own.
findings() {
	rows src/audit/finding.def | awk -F '\t' '{
		gsub(/\{order\}/, "C-I-S", $3); gsub(/\{segment\}/, "I", $3); gsub(/\{user\}/, "U", $3)
		gsub(/\{is\}/, "X", $3); gsub(/\{want\}/, "Y", $3)
		gsub(/\{do\}/, "repair it, or recover the coupon if X is higher", $3)
		if ($3 !~ /^[a-z]+[.]/) $3 = toupper(substr($3, 1, 1)) substr($3, 2)
		print $2 "\t" $3 "."
	}' >"$tmp/have"
	awk -v have="$tmp/have" '
	/^\.Sh / { inside = $2 == "FINDINGS" }
	inside && /^\.It Cm / { word = $3; first = 1; next }
	inside && /^\.El/ {
		while ((getline line < have) > 0) {
			split(line, f, "\t")
			print ".It Cm " f[1] "\n" f[2] "\n" (cause[f[1]] == "" ? "No cause is written here yet.\n" : cause[f[1]]) >new
		}
		inside = 0
	}
	inside && word != "" { if (!first) cause[word] = cause[word] $0 "\n"; first = 0 }
	' new="$tmp/spaced" docs/seckillctl.8
	grep -v '^$' "$tmp/spaced" >"$tmp/rows"
	awk -v new="$tmp/rows" '
	/^\.Sh / { inside = $2 == "FINDINGS" }
	inside && /^\.It Cm / && !skip { while ((getline line < new) > 0) print line; skip = 1 }
	inside && /^\.El/ { skip = 0 }
	!skip || !inside { print }' docs/seckillctl.8 >"$tmp/new"
	write docs/seckillctl.8
}

settings
openapi
nginx
metrics
findings
