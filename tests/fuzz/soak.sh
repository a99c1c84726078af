#!/usr/bin/env bash
# Fuzzes with libFuzzer: every target (or those named) for so many seconds, under the address and undefined behaviour
# sanitizers, from the corpus in the tree. What is found stays in the build directory, and fails the run.
#
#     tests/fuzz/soak.sh [SECONDS [TARGET...]]     60 seconds each by default; SECKILL_BUILD as for ./dev
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
seconds=${1:-60}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- request parse json token webhook record redis db
[[ $seconds =~ ^[0-9]+$ ]] || { echo "usage: $0 [SECONDS [TARGET...]]" >&2 && exit 64; }
command -v clang >/dev/null || { echo "$0: clang is not installed" >&2 && exit 69; }
dir=${SECKILL_BUILD:-$top/build}/soak
mkdir -p "$dir" && cd "$dir" || exit 71

[ -x "$top/configure" ] || "$top/autogen.sh" >/dev/null || exit 71
[ -f Makefile ] || "$(realpath --relative-to=. "$top")/configure" CC=clang >configure.log 2>&1 || { tail configure.log >&2 && exit 71; }
sanitizers=address,undefined
make -j2 "${@/#/tests/fuzz/fuzz_}" CPPFLAGS=-DFUZZ_WITH_LIBFUZZER LDFLAGS="-fsanitize=fuzzer,$sanitizers" \
	CFLAGS="-g -O1 -fsanitize=fuzzer-no-link,$sanitizers -fno-sanitize-recover=undefined" >make.log 2>&1 ||
	{ tail -n 30 make.log >&2 && exit 71; }

failed=0
for target in "$@"; do
	mkdir -p "found/$target"
	if "tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
		-artifact_prefix="found/$target-" "found/$target" "$top/tests/fuzz/corpus/$target" >"$target.log" 2>&1; then
		echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$target.log") runs in $seconds s," \
			"$(find "found/$target" -type f | wc -l) inputs of its own, nothing found"
	else
		failed=1
		echo "$target: FAILED, see $dir/$target.log" >&2
		tail -n 3 "$target.log" >&2
		grep -E 'ERROR|Assertion|runtime error|SUMMARY|Test unit written' "$target.log" >&2
	fi
done
exit $failed
