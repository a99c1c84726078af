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
	for limit in LOGIN_RATE=2r/s LOGIN_BURST=20 REGISTER_RATE=10r/m REGISTER_BURST=20 IN_FLIGHT=100; do
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

# The bodies of nginx's own errors are JSON and say the status that they are sent with.
need "nginx's own errors are problem+json" python3 && result "nginx's own errors are problem+json" "$(python3 - "$run/etc/nginx-seckill.conf" <<'PY'
import json, re, sys
found = re.findall(r"return (\d+) '(.*)\\n';", open(sys.argv[1]).read())
if len(found) < 8:
    print("only", len(found), "found")
for status, text in found:
    body = json.loads(text)
    if body["status"] != int(status) or body["detail"] != body["errMsg"] or not body["code"]:
        print(status, text)
PY
)"
codes=$(sed -n 's/.*"code":"\([a-z-]*\)".*/\1/p' "$run/etc/nginx-seckill.conf" | sort -u)
result "their codes are in status.def" "$(for code in $codes; do
	grep -q "\"$code\"" "$top_srcdir/src/base/status.def" || echo "$code"
done)"
finish
