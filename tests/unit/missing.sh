#!/usr/bin/env bash
# Stands for the unit tests where configure found no cmocka.
. "$(dirname "$0")/../repo/tap.sh"
need "unit tests" cmocka
finish
