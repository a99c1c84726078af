# shellcheck shell=bash disable=SC2034
# For the checks of this folder: TAP in a few lines. Sourced.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
top_srcdir=$(cd "${top_srcdir:-$here/../..}" && pwd -P)
top_builddir=$(cd "${top_builddir:-$top_srcdir/build}" 2>/dev/null && pwd -P) || top_builddir=$top_srcdir
tests=0 failures=0

# result NAME PROBLEMS: passes when there are none.
result() {
	tests=$((tests + 1))
	if [ -z "$2" ]; then
		echo "ok $tests - $1"
	else
		failures=$((failures + 1))
		echo "not ok $tests - $1"
		sed 's/^/# /' <<<"$2"
	fi
}

finish() {
	echo "1..$tests"
	exit $((failures > 0))
}
