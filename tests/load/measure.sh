#!/usr/bin/env bash
# The table of the README: an instance of its own, wrk on the same machine, three interleaved rounds, then the audit.
# usage: tests/load/measure.sh [always|everysec]
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd -P)
SECKILL_RUN=$(mktemp -d /tmp/skm.XXXXXX) SECKILL_PORT=auto SECKILL_APPENDFSYNC=${1:-always}
export SECKILL_RUN SECKILL_PORT SECKILL_APPENDFSYNC SECKILL_BUILD=${SECKILL_BUILD:-$top/build}
trap '"$top/dev" stop; rm -rf "$SECKILL_RUN"' EXIT
"$top/dev" start
url=http://127.0.0.1:$(<"$SECKILL_RUN/port")
tokens=$SECKILL_RUN/tokens

ctl() { "$SECKILL_BUILD/seckillctl" -c "$SECKILL_RUN/seckill.conf" "$@"; }

# run NAME WRK-ARGUMENT...
run() {
	printf '%-28s' "$1"
	shift
	wrk -t1 -c64 --latency "$@" | awk '/50%/ { a = $2 } /99%/ { b = $2 } /^Requests\/sec/ { r = $2 }
		END { printf "%8.0f req/s   p50 %8s   p99 %8s\n", r, a, b }'
}

# claims NAME METHOD PATH SECONDS
claims() { METHOD=$2 CLAIM=$3 TOKENS=$tokens run "$1" -d"$4" -s "$top/tests/load/claim.lua" "$url"; }

ctl token --kind seller --count 1 --prefix shop --out "$SECKILL_RUN/shop"
seller=$(cut -f3 "$SECKILL_RUN/shop")
shop=/api/users/shop1/coupons
coupon() {
	curl -fsS -o /dev/null -H "Authorization: $seller" "$url$shop" \
		-d "{\"name\":\"$1\",\"amount\":$2,\"stock\":1,\"description\":\"\",\"segments\":$3}"
}
ctl token --count 150000 --prefix buyer --out "$tokens"
for round in 1 2 3; do
	coupon "plenty$round" 150000 64
	coupon "few$round" 10 4
	run "static page" -d4 "$url/"
	run "/healthz, a bare worker" -d4 "$url/healthz"
	claims "claim, won" POST "$shop/plenty$round/claims" 5
	claims "(selling out)" POST "$shop/few$round/claims" 1 >/dev/null
	claims "claim, sold out" POST "$shop/few$round/claims" 4
	claims "PATCH, sold out" PATCH "$shop/few$round" 4
	run "coupon, read" -d4 "$url$shop/few$round"
done
until ctl status | awk '{ q += $0 ~ / 0 queued/ ? 0 : 1 } END { exit q > 0 }'; do sleep 0.2; done
ctl audit
