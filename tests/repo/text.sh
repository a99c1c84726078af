#!/usr/bin/env bash
# Small promises of the tree's texts.
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir" || exit 99

# In a clone the tracked and the new files; in an unpacked tarball everything that the build did not make.
files() {
	if [ -e .git ] && command -v git >/dev/null; then
		git -c safe.directory='*' ls-files -co --exclude-standard
	else
		find . -type f ! -path './build/*' ! -path './.git*' ! -path './_*' ! -name configure ! -name '*.in' ! -path './autom4te.cache/*' ! -path './build-aux/*'
	fi
}

result "no path of one machine" "$(files | xargs -d '\n' grep -InE '(^|[^a-zA-Z0-9_.*])/(work|root|home/[a-z]+)/' --)"
result "no trailing white space in code" "$(files | grep -E '\.(c|h|def|lua|sql|sh|am|ac|in)$|^dev$' | xargs -d '\n' grep -nE '[[:blank:]]+$' --)"

# constant NAME: its value in src/stock/sold_out.h, which has the times that workers and scripts must agree on.
constant() {
	sed -nE "s/.*\<$1 = ([0-9]+).*/\1/p" src/stock/sold_out.h
}
result "scripts and workers agree how long a sold-out flag lasts" "$({
	grep -L "+ $(constant SOLD_OUT_FLAG_MS)\>" lua/claim.lua lua/exchange.lua lua/flag.lua
	grep -L "last + $(constant SOLD_OUT_SKEW_MS)\>" lua/flag.lua
} | sed 's/$/ has another time than src\/stock\/sold_out.h/')"

# What the containers and CI install is what ./dev installs.
result "the package list is well formed" "$(sed 's/[[:space:]]*#.*//' docker/packages.txt | grep -vE '^(\[(build|run|test|bench|soak|coverage)\]|[a-z0-9][a-z0-9.+-]*|)$')"
result "no package is listed twice" "$(sed 's/[[:space:]]*#.*//' docker/packages.txt | grep -v '^$' | sort | uniq -d)"

# What the helpers make of a tool that is not there, without CI and with it.
without_tool() {
	CI=$1 bash -c '. tests/repo/tap.sh; need x no-such-tool && result x ""; finish'
	CI=$1 sh tests/python.sh no-such-tool x
	if command -v python3 >/dev/null; then
		(cd tests/it && CI=$1 python3 -B -c 'import tap; tap.need_all("no-such-tool")')
		(cd tests/it && CI=$1 python3 -B -c 'import tap; tap.case("x")(lambda: tap.need("no-such-tool")); tap.run_cases()')
	fi
}
result "a check without its tool is skipped" "$(without_tool "" | grep -vE '^1\.\.1$|# SKIP .*no-such-tool')"
result "a check without its tool fails in CI" "$(without_tool 1 | grep -vE '^1\.\.1$|^#|^not ok 1 - x$|^Bail out! .*no-such-tool')"
finish
