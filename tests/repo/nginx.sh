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
said=$(nginx -e stderr -t -c "$run/etc/nginx.conf" 2>&1) && said=$(grep -vE 'syntax is ok|test is successful|"user" directive' <<<"$said")
result "nginx -t" "$said"

# The sentinel: a worker takes a request as whole when it sees REQUEST_ID, so it must come last, in both lists.
result "REQUEST_ID is the last parameter" "$(awk '
	/^\t*fastcgi_param/ { last = $2; next }
	last != "" { if (last != "REQUEST_ID") print "line " NR - 1 ": " last; last = "" }' "$run/etc/nginx-seckill.conf")"

# nginx's own errors are those that a worker would send, byte by byte, with a line feed behind. Those of a status that no
# worker sends (414, 431) have a code of the workers and the same form.
result "nginx's own errors have titles, codes and texts of status.def and response.c" "$(python3 - "$top_srcdir" "$run/etc/nginx-seckill.conf" <<'PY'
import json, re, sys
source, conf = sys.argv[1], open(sys.argv[2]).read()
titles = dict(re.findall(r'\{ (\d+), "([^"]+)" \}', open(f"{source}/src/http/response.c").read()))
statuses = re.findall(r'^X\(\w+, (\d+), "([^"]*)", "([^"]*)"\)', open(f"{source}/src/base/status.def").read(), re.M)
errors = [(http, code, text) for http, code, text in statuses if int(http) >= 400]
def body_of(http, title, code, text):
    return json.dumps({"type": "about:blank", "title": title, "status": int(http), "detail": text, "code": code,
                       "errMsg": text}, separators=(",", ":"))
bodies = {body_of(http, titles[http], code, text) for http, code, text in errors}
found = re.findall(r"location = /\.problem/([\w/]+) \{[^}]*?return (\d+) '(.*)\\n';", conf)
special = [one for one in found if "/" in one[0]]  # a text of its own, for what a worker cannot know
found = [one for one in found if one not in special]
for path, status, body in special:
    said = json.loads(body)
    if body != body_of(status, titles[status], said["code"], said["detail"]) or (status, said["code"]) not in {
            (http, code) for http, code, _ in errors} or path.split("/")[0] != status:
        print(f"/.problem/{path}: return {status} {body}")
for path, status, body in found:
    said = json.loads(body)
    if status not in {http for http, _, _ in errors} and said["code"] in {code for _, code, _ in errors}:
        bodies.add(body_of(status, said["title"], said["code"], said["detail"]))
    if path != status or body not in bodies or said["status"] != int(status):
        print(f"/.problem/{path}: return {status} {body}")
targets = set(re.findall(r"error_page [\d ]+= /\.problem/(\d+);", conf))
if targets != {path for path, _, _ in found}:
    print(f"error_page knows {sorted(targets)}, there are {sorted(path for path, _, _ in found)}")
PY
)"
result "a preflight allows the methods of the routes" "$(python3 - "$top_srcdir" "$run/etc/nginx-seckill.conf" <<'PY'
import re, sys
taken = set(re.findall(r'^X\("([A-Z]+)"', open(f"{sys.argv[1]}/src/http/route.def").read(), re.M)) | {"HEAD"}
allowed = set(re.search(r'Allow-Methods "([^"]*)"', open(sys.argv[2]).read()).group(1).split(", "))
if taken != allowed:
    print(f"the routes take {sorted(taken)}, a preflight allows {sorted(allowed)}")
PY
)"
finish
