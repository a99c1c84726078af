#!/usr/bin/env bash
# The sources look as .clang-format says (Debian 12's clang-format; versions differ).
. "$(dirname "$0")/tap.sh"
cd "$top_srcdir" || exit 99
need "src is formatted" clang-format && result "src is formatted" "$(clang-format --dry-run -Werror src/*/*.c src/*/*.h 2>&1 | grep -E 'error' | head -20)"
finish
