#!/usr/bin/env bash
# The demo sale against a running service: 100 customers at once on 100 units in 10 segments. In the experiment that
# this service descends from, 88 were sold and 12 stayed; here all of them must be.
# usage: demo.sh URL     environment: SECKILL_RUN, SECKILL_BUILD
set -uo pipefail

url=$1
home=${SECKILL_RUN#"$PWD/"}
units=100
dir=$(mktemp -d "$SECKILL_RUN/tmp/demo.XXXXXX") || exit
trap 'rm -rf "$dir"' EXIT
name=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
seller=seller-$name
coupon=demo-$name
password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')

die() {
	printf 'demo: %s\n' "$1" >&2
	[ ! -s "$dir/body" ] || printf 'demo: the answer was: %s\n' "$(<"$dir/body")" >&2
	exit 1
}

# post PATH JSON STATUS: the body goes to $dir/body, or the demo ends.
post() {
	local got
	got=$(curl -s -o "$dir/body" -w '%{http_code}' -H 'Content-Type: application/json' \
		-H "Authorization: Bearer ${token:-}" -d "$2" "$url$1")
	[ "$got" = "$3" ] || die "POST $1 answered $got, not $3"
}

sql() { mariadb --defaults-file="$SECKILL_RUN/etc/mysql-owner.cnf" -N -B seckill -e "$1"; }

orders_in_mysql() {
	sql "SELECT COUNT(*) FROM orders o JOIN coupons c ON c.id = o.coupon_id WHERE c.name = '$coupon'"
}

ctl() { "$SECKILL_BUILD/seckillctl" -c "$SECKILL_RUN/seckill.conf" "$@"; }

# One file for curl with a claim of every customer named in $dir/ask (name TAB id TAB token).
claims() {
	local first=1 customer claimant
	while IFS=$'\t' read -r customer _ claimant; do
		[ $first = 1 ] || echo next
		first=0
		printf '%s\n' "url = \"$url/api/users/$seller/coupons/$coupon/claims\"" 'request = POST' \
			"header = \"Authorization: Bearer $claimant\"" "output = \"$dir/answer.$customer\"" \
			"write-out = \"$customer %{http_code}\\n\"" silent max-time=20
	done <"$dir/ask"
}

# Everybody in $dir/ask at once; "NAME STATUS" of each is added to $dir/answers.
ask() {
	claims >"$dir/claims"
	curl --parallel --parallel-immediate --parallel-max "$units" -K "$dir/claims" >"$dir/round" 2>"$dir/errors"
	cat "$dir/round" >>"$dir/answers"
}

count() { grep -c " $1\$" "$dir/answers"; }

post /api/users "{\"username\":\"$seller\",\"password\":\"$password\",\"kind\":\"saler\"}" 201
post /api/auth "{\"username\":\"$seller\",\"password\":\"$password\"}" 200
token=$(grep -o '"token": *"[^"]*"' "$dir/body" | cut -d'"' -f4)
[ -n "$token" ] || die "the login gave no token"
post "/api/users/$seller/coupons" \
	"{\"name\":\"$coupon\",\"amount\":$units,\"stock\":500,\"description\":\"demo sale\",\"segments\":10}" 201

ctl token --kind customer --count "$units" --prefix "buyer-$name-" --out "$dir/customers" >"$dir/body" 2>&1 ||
	die "the customers could not be made"
rm -f "$dir/body"

cp "$dir/customers" "$dir/ask"
begin=${EPOCHREALTIME/[.,]/}
ask
again=0
for _ in 1 2 3 4 5 6 7 8 9 10; do # 503 means: ask again
	grep ' 503$' "$dir/round" | cut -d' ' -f1 >"$dir/busy"
	[ -s "$dir/busy" ] || break
	again=$((again + $(wc -l <"$dir/busy")))
	grep -wFf "$dir/busy" "$dir/customers" >"$dir/ask"
	ask
done
took=$(((${EPOCHREALTIME/[.,]/} - begin) / 1000))

sold=$(count 201)
refused=$(count 410)
[ "$sold" -ge "$units" ] && early=0 || early=$refused

for _ in $(seq 500); do
	in_mysql=$(orders_in_mysql)
	[ "$in_mysql" != "$sold" ] || break
	sleep 0.02
done
audit=$(ctl audit "$seller/$coupon" 2>&1)
balanced=$?

printf '%s\n' "demo sale $seller/$coupon: $units customers at once on $units units in 10 segments" \
	"  sold $sold of $units in $took ms (retries after 503: $again)" \
	"  refused while a unit was left: $early" \
	"  orders in MySQL: $in_mysql"
printf '  audit: %s\n' "$(case $balanced in 0) echo balanced ;; 1) echo NOT BALANCED ;; *) echo cannot tell ;; esac)"
if [ "$sold" != "$units" ] || [ "$early" != 0 ] || [ "$in_mysql" != "$units" ] || [ $balanced != 0 ]; then
	printf '%s\n' "$audit" "answers by status:" "$(cut -d' ' -f2 "$dir/answers" | sort | uniq -c)" >&2
	die "this is not what it must be; logs are in $SECKILL_RUN/log"
fi

# Left for the reader to play with: these customers, and a sale with units on it, which README.md uses.
cp "$dir/customers" "$SECKILL_RUN/demo.customers"
ctl token --kind seller --count 1 --prefix shop --out "$dir/shop" >"$dir/body" 2>&1 || die "the seller shop1 could not be made"
token=$(cut -f3 "$dir/shop")
case $(curl -s -o "$dir/body" -w '%{http_code}' -H 'Content-Type: application/json' -H "Authorization: Bearer $token" \
	-d '{"name":"tea","amount":1000,"stock":500,"description":"a sale to try","price":500,"currency":"EUR","pay_within":900,
	"checkout_url":"'"$url"'/checkout.html?order={order}"}' "$url/api/users/shop1/coupons") in
201) ;;
400) grep -q '"duplicate-coupon"' "$dir/body" || die "the sale shop1/tea could not be made" ;; # an earlier ./dev up made it
*) die "the sale shop1/tea could not be made" ;;
esac
cat <<TXT
try:
  curl -i $url/api/users/shop1/coupons/tea
  curl -i -H "Authorization: Bearer \$(head -1 $home/demo.customers | cut -f3)" -X POST $url/api/users/shop1/coupons/tea/claims
  curl -i -H "Authorization: Bearer \$(head -1 $home/demo.customers | cut -f3)" $url/api/users/buyer-$name-1/orders
TXT
