#!/usr/bin/env bash
# Every shell script of the tree is clean under shellcheck.
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir" || exit 99
need "every script is clean" shellcheck || finish

scripts=$(find . -path ./build -prune -o -path ./run -prune -o -name _build -prune -o -name '.git' -prune -o -name autom4te.cache -prune -o -type f \
	-size -200k -print | grep -vE '^\./(seckill-[0-9][^/]*/|build-aux/(ar-lib|compile|config\.|depcomp|install-sh|missing|tap-driver|test-driver)|configure)' |
	sort | while read -r file; do
	head -c 60 "$file" | head -1 | grep -aqE '^#!.*(/|env )(ba|da)?sh( |$)|^# shellcheck shell=' && echo "$file"
done)
for script in $scripts; do
	result "$script" "$(shellcheck -x -P "$(dirname "$script")" -P . --severity=warning "$script" 2>&1)"
done
finish
