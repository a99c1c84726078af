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

# need NAME TOOL...: false when the check of this name cannot be made because a tool is not installed. It is skipped then,
# but fails in CI. The tools of nginx and the like may be in sbin.
need() {
	local name=$1 tool gone=""
	shift
	for tool; do PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || gone+=" $tool"; done
	[ -n "$gone" ] || return 0
	if [ -n "${CI:-}" ]; then
		result "$name" "not installed:$gone"
	else
		tests=$((tests + 1))
		echo "ok $tests - $name # SKIP not installed:$gone"
	fi
	return 1
}

finish() {
	echo "1..$tests"
	exit $((failures > 0))
}
