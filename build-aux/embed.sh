#!/bin/sh
# Turns text files into C strings: embed.sh lua|sql FILE... > out.c
# Every line becomes a literal with \ and " escaped; nothing in lua/ or sql/ is typed twice.
set -eu

literal() {
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t"/' -e 's/$/\\n"/' "$1"
}

kind=$1
shift
echo "/* Made by build-aux/embed.sh; not edited by hand. */"
case $kind in
lua)
	echo '#include "sale/scripts.h"'
	for file in "$@"; do
		name=$(basename "$file" .lua)
		sha1=$(sha1sum "$file" | cut -d' ' -f1)
		printf '\nconst struct redis_script script_%s = { "%s",\n' "$name" "$name"
		literal "$file"
		printf '\t, "%s" };\n' "$sha1"
	done
	;;
sql)
	echo '#include "base/embed.h"'
	printf '\nconst struct sql_file sql_files[] = {\n'
	for file in "$@"; do
		name=$(basename "$file" .sql)
		version=$(expr "$name" : '0*\([0-9][0-9]*\)_')
		printf '{ %s, "%s",\n' "$version" "$name"
		literal "$file"
		echo '},'
	done
	echo '};'
	echo 'const int sql_file_count = sizeof sql_files / sizeof sql_files[0];'
	;;
*)
	echo "embed.sh: unknown kind $kind" >&2
	exit 64
	;;
esac
