#!/usr/bin/env bash
# The nginx configuration as ./dev renders it: nginx takes it, and it has what the workers rely on.
. "$(dirname "$0")/tap.sh"
command -v nginx >/dev/null || PATH=$PATH:/usr/sbin
run=$(mktemp -d "${TMPDIR:-/tmp}/nginx.XXXXXX") || exit 99
trap 'rm -rf "$run"' EXIT
mkdir "$run/etc" "$run/tmp"

for file in nginx seckill; do
	text=$(<"$top_srcdir/nginx/$file.conf.in")
	text=${text//@RUN@/"$run"}
	text=${text//@LISTEN@/"unix:$run/http.sock"}
	text=${text//@WWW@/"$top_srcdir/www"}
	text=${text//@ACCESS_LOG@/off}
	for limit in LOGIN_RATE=2r/s LOGIN_BURST=20 REGISTER_RATE=10r/m REGISTER_BURST=20 CREATE_RATE=30r/m \
		CREATE_BURST=30 IN_FLIGHT=100 \
		CORS= CORS_ORIGINS='"https://a.example" "https://a.example";'; do
		text=${text//"@${limit%%=*}@"/"${limit#*=}"}
	done
	printf '%s\n' "$text" >"$run/etc/$file.conf"
done
mv "$run/etc/seckill.conf" "$run/etc/nginx-seckill.conf"

result "every placeholder is known" "$(grep -n '@[A-Z_]*@' "$run"/etc/*)"
if need "nginx -t" nginx; then
	said=$(nginx -e stderr -t -c "$run/etc/nginx.conf" 2>&1) && said=$(grep -vE 'syntax is ok|test is successful|"user" directive' <<<"$said")
	result "nginx -t" "$said"
fi

if need "another default site on the same port is refused" nginx; then
	sed "/^http {/a server { listen unix:$run/http.sock default_server; }" "$run/etc/nginx.conf" >"$run/etc/two.conf"
	result "another default site on the same port is refused" "$(
		nginx -e stderr -t -c "$run/etc/two.conf" 2>&1 | grep -q "duplicate default server" || echo "nginx takes both")"
fi

# The sentinel: a worker takes a request as whole when it sees REQUEST_ID, so it must come last, in both lists.
result "REQUEST_ID is the last parameter" "$(awk '
	/^\t*fastcgi_param/ { last = $2; next }
	last != "" { if (last != "REQUEST_ID") print "line " NR - 1 ": " last; last = "" }' "$run/etc/nginx-seckill.conf")"

# An add_header in a location drops those of the server. A claim's X-Request-Id is the worker's, and the other three are
# empty in answers to claims, or the worker's.
result "the location of claims repeats the headers of the server" "$(awk '
	/^\tlocation / { claims = /claims/ }
	$1 == "add_header" && !/^\t\t/ && $2 !~ /^(X-Request-Id|Seckill-Result|Retry-After|Allow|RateLimit-Policy)$/ { wanted[$2] }
	$1 == "add_header" && claims { delete wanted[$2]; n++ }
	END { for (name in wanted) print name; if (!n) print "none" }' "$run/etc/nginx-seckill.conf")"

# The bodies themselves are written by build-aux/docs.sh, and compared by tests/repo/docs.sh.
result "every error page of nginx has a body, and every body has a code" "$(
	sed -n 's/.*error_page [0-9 ]* = \/\.problem\/\([0-9]*\);/\1/p' "$run/etc/nginx-seckill.conf" | sort -u >"$run/pages"
	sed -n 's/.*location = \/\.problem\/\([0-9]*\) {/\1/p' "$run/etc/nginx-seckill.conf" | sort -u >"$run/bodies"
	echo 503 | sort -u - "$run/pages" | comm -3 - "$run/bodies"
	awk '/return [0-9]* .\{"type"/ && before !~ /# [a-z-]+/ { print "no code before line " NR } { before = $0 }' \
		"$run/etc/nginx-seckill.conf")"
need "a preflight allows the methods of the routes" python3 && result "a preflight allows the methods of the routes" "$(python3 - "$top_srcdir" "$run/etc/nginx-seckill.conf" <<'PY'
import re, sys
taken = set(re.findall(r'^X\("([A-Z]+)"', open(f"{sys.argv[1]}/src/api/route.def").read(), re.M)) | {"HEAD"}
allowed = set(re.search(r'Allow-Methods "([^"]*)"', open(sys.argv[2]).read()).group(1).split(", "))
if taken != allowed:
    print(f"the routes take {sorted(taken)}, a preflight allows {sorted(allowed)}")
PY
)"
finish
