#!/bin/sh
# python.sh PYTHON TEST: runs a test file. Without Python it is skipped, but fails in CI.
command -v "$1" >/dev/null && exec "$@"
if [ -n "${CI:-}" ]; then
	echo "Bail out! $1 is not installed"
	exit 1
fi
echo "1..0 # SKIP $1 is not installed"
