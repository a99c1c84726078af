#!/usr/bin/env bash
# Tests that take longer than those of ./dev test, one step after the other. ./dev soak calls this after a build. A step
# that fails does not stop the others: the last line names those that failed, and the exit code is 1.
#
#     tests/soak.sh [SECONDS]     for each fuzz target, 60 by default; ./dev help lists the settings
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=$(realpath -m -- "${SECKILL_BUILD:-$top/build}")
seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "usage: $0 [SECONDS]" >&2 && exit 64; }
steps=(model points storms lives steering hosts restores upgrade fuzz mutations sanitizers bare)

# check DIRECTORY TESTS: runs these tests in a build directory; after a failure, prints what they reported.
check() {
	make -C "$1" check TESTS="$2" && return
	(cd "$1" && grep -hE '^(not ok|Bail out|# IT_SEED|# .*kills)' tests/*/*.log) >&2
	return 1
}

step_model() { SECKILL_SOAK=1 check "$build" "tests/model/model tests/model/lossy/lossy tests/model/life/life tests/model/replay.py tests/model/lossy/replay.py tests/it/rig.py"; }
step_points() { IT_SOAK=${IT_SOAK:-4} check "$build" "tests/it/killpoints.py tests/it/struck.py tests/it/returnkills.py"; }

step_storms() {
	IT_SOAK_KILLS=${IT_SOAK_KILLS:-1000} check "$build" tests/it/killstorm.py || return
	grep -E '^# .* kills, IT_SEED' "$build/tests/it/killstorm.log"
}

step_lives() {
	IT_SOAK_KILLS=${IT_SOAK_KILLS:-1000} check "$build" tests/it/lifestorm.py || return
	grep -E '^# .* kills, IT_SEED' "$build/tests/it/lifestorm.log"
}

step_steering() {
	IT_SOAK_KILLS=${IT_SOAK_KILLS:-1000} check "$build" tests/it/steerstorm.py || return
	grep -E '^# .* kills, IT_SEED' "$build/tests/it/steerstorm.log"
}

step_hosts() {
	IT_SOAK_FAULTS=${IT_SOAK_FAULTS:-300} check "$build" tests/it/hosts.py
	local code=$?
	grep -E '^# wait_replicas [0-9]+, IT_SEED' "$build/tests/it/hosts.log"
	return $code
}

step_restores() { SECKILL_SOAK=1 check "$build" tests/it/restores.py; }
step_upgrade() { top_srcdir=$top top_builddir=$build python3 -B "$top/tests/upgrade.py"; }
step_fuzz() { SECKILL_BUILD=$build bash "$top/tests/fuzz/soak.sh" "$seconds"; }

# A pool restarts a worker that a sanitizer has stopped, so reports go to files, and each report is a failure.
sanitized() {
	local dir=$build/asan reports code
	mkdir -p "$dir" && rm -f "$dir"/report.*
	(cd "$dir" && { [ -f Makefile ] || "$(realpath --relative-to=. "$top")/configure" -q --enable-asan --enable-ubsan; } &&
		make -j2 >make.log 2>&1) || { tail -n 30 "$dir/make.log" >&2 && return 1; }
	# libfcgi allocates as much memory as a hostile record asks for; the allocation must fail, not the program.
	ASAN_OPTIONS=log_path=$dir/report:allocator_may_return_null=1 UBSAN_OPTIONS=log_path=$dir/report:print_stacktrace=1 check "$dir" "$1"
	code=$?
	reports=$(find "$dir" -maxdepth 1 -name 'report.*' -exec grep -lE 'ERROR: |runtime error: ' {} +)
	[ -z "$reports" ] || { echo "sanitizers reported: $reports" >&2 && return 1; }
	return $code
}

# shellcheck disable=SC2016 # make's variable
step_sanitizers() { sanitized '$(it_tests)'; }

step_mutations() {
	IT_MUTATIONS=${IT_MUTATIONS:-300} sanitized tests/it/mutations.py || return
	grep -E '^# IT_SEED' "$build/asan/tests/it/mutations.log"
}

step_bare() { top_srcdir=$top top_builddir=$build python3 -B "$top/tests/bare.py"; }

failed=()
# shellcheck disable=SC2086 # several steps
for step in ${SECKILL_SOAK_STEPS:-${steps[*]}}; do
	declare -F "step_$step" >/dev/null || { echo "$0: unknown step '$step'; the steps are: ${steps[*]}" >&2 && exit 64; }
	began=$SECONDS
	echo "soak: $step"
	"step_$step" || failed+=("$step")
	echo "soak: $step took $((SECONDS - began)) s"
done
[ ${#failed[@]} = 0 ] || { echo "soak: FAILED: ${failed[*]}" && exit 1; }
echo "soak: all steps passed"
