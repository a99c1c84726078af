#!/usr/bin/env bash
# automake needs lists. A file of the tree that no list names would not be built, tested or shipped, and nobody would notice.
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir" || exit 99

lists=(Makefile.am src/sources.am tests/unit.am tests/model.am)

# assigned NAME...: the words that the lists assign to these variables.
assigned() {
	sed -e 's/#.*//' -e ':more' -e '/\\$/{N;s/\\\n/ /;b more' -e '}' "${lists[@]}" | awk -v names="$*" '
		BEGIN { n = split(names, all, " "); for (i = 1; i <= n; i++) wanted[all[i]] }
		$1 in wanted && ($2 == "=" || $2 == "+=") { for (i = 3; i <= NF; i++) print $i }' | sort
}

# named PATTERN: the words of the lists that match it.
named() {
	sed 's/#.*//' "${lists[@]}" | tr -s '[:space:]' '\n' | grep -E "^($1)\$" | sort -u
}

# found FOLDER PATTERN: files there whose name matches.
found() {
	find "$1" -name build -prune -o -type f -print | grep -E "^($2)\$" | sort
}

# tests_of FOLDER: programs that are run. What other programs import has neither "#!" nor the executable bit.
tests_of() {
	find "$1" -maxdepth 1 -type f \( -name '*.py' -o -name '*.sh' \) -perm -u+x | sort
}

# equal NAME LISTED FOUND
equal() {
	result "$1" "$(comm -3 <(sort -u <<<"$2") <(sort -u <<<"$3") |
		sed -e '/^$/d' -e 's/^\t\(.*\)/\1 is in no list/' -e t -e 's/$/ is listed, and not there/')"
}

code='[a-z_0-9/]*\.(c|h|def)'
equal "every source file is listed" "$(named "src/$code")" "$(found src "src/$code")"
equal "every script is listed" "$(assigned dist_lua_DATA)" "$(found lua 'lua/.*\.lua')"
equal "every schema file is listed" "$(assigned dist_sql_DATA)" "$(found sql 'sql/.*\.sql')"
equal "every file of a test program is listed" "$(named "tests/(unit|fuzz|model|it|load)/$code" | grep -v wall_clock)" \
	"$(for folder in unit fuzz model it load; do found "tests/$folder" "tests/$folder/$code"; done | grep -vE '/(wall_clock|skew)\.c$')"
equal "every unit test and every fuzz target is a program that make check runs" \
	"$(assigned check_PROGRAMS | grep -E '^tests/(unit|fuzz)/' | sed 's/$/.c/')" \
	"$(found tests 'tests/(unit/test|fuzz/fuzz)_[a-z_0-9]*\.c')"
equal "every test of tests/it and tests/model is listed" "$(assigned it_tests model_tests)" \
	"$(for folder in tests/it tests/model tests/model/lossy; do tests_of "$folder"; done)"
equal "every check of tests/repo is listed" "$(assigned repo_tests)" "$(tests_of tests/repo)"
result "a Python file can be executed if it says by what, and only then" "$(
	find tests -name '*.py' | while read -r file; do
		[ "$(head -c 2 "$file")" = '#!' ] && begins=yes || begins=no
		[ -x "$file" ] && runs=yes || runs=no
		[ "$begins" = "$runs" ] || echo "$file begins with #!: $begins; executable: $runs"
	done)"
result "tests wait with until() or pause() of tap.py" "$(grep -rn 'time\.sleep(' tests --include='*.py' | grep -v '^tests/it/tap\.py:')"
finish
