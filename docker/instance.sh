# shellcheck shell=bash
# One instance of the service: its directory, its secrets, the command line of each part, and starting, stopping and
# probing them. Sourced by ./dev (all parts on this host) and by docker/entry (one part a container).
#
# A part's pid file holds "PID STAMP": the stamp (start time and boot) shows that a pid was reused. Every part leads a
# session, so its processes are found even when the part itself was killed.

PARTS="redis mysql hot cold auth drain nginx"
STARTED=""
declare -A LOG_FROM=()

instance_init() {
	local longest
	RUN=$(realpath -m -- "${SECKILL_RUN:-$TOP/run}")
	BUILD=$(realpath -m -- "${SECKILL_BUILD:-$TOP/build}")
	longest="$RUN/redis.sock"
	if [ ${#longest} -gt 100 ]; then
		die "the path of $longest is too long for a unix socket (${#longest} bytes, at most 100)" \
			"choose a shorter directory: SECKILL_RUN=/tmp/seckill $0 $*"
	fi
	AS_ROOT=()
	[ "$(id -u)" != 0 ] || AS_ROOT=(--user=root)
	PATH=$PATH:/usr/sbin:/sbin
}

say() { printf '%s\n' "$*"; }

# die WHAT [WHAT TO DO]
die() {
	printf '%s: %s\n' "${0##*/}" "$1" >&2
	[ -z "${2:-}" ] || printf '%s: %s\n' "${0##*/}" "$2" >&2
	exit 1
}

cannot_write() { die "cannot write $1" "is the disk full? df $RUN"; }

# The log of a part since it was started.
log_tail() {
	[ -s "$RUN/log/$1.log" ] || return 0
	printf -- '--- the end of %s ---\n' "$RUN/log/$1.log" >&2
	tail -c "+${LOG_FROM[$1]:-1}" "$RUN/log/$1.log" | tail -n 15 >&2
	printf -- '---\n' >&2
}

### files

make_directories() {
	umask 077
	mkdir -p "$RUN"/{etc,log,pid,tmp} "$RUN/data/redis" 2>/dev/null
	[ -w "$RUN/pid" ] ||
		die "cannot write in $RUN" "choose another directory with SECKILL_RUN=, or change its owner: chown -R $(id -un) $RUN"
}

random_hex() { od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

# secret FILE [PREFIX]: created once, never printed.
secret() {
	[ -s "$RUN/etc/$1" ] && return
	{ printf '%s%s\n' "${2:-}" "$(random_hex 32)" >"$RUN/etc/$1.new" && mv "$RUN/etc/$1.new" "$RUN/etc/$1"; } ||
		cannot_write "$RUN/etc/$1"
}

# render TEMPLATE OUT NAME=VALUE...: replaces each @NAME@.
render() {
	local text out=$2 pair
	text=$(<"$1") || die "cannot read $1"
	shift 2
	for pair in "$@"; do text=${text//"@${pair%%=*}@"/"${pair#*=}"}; done
	{ printf '%s\n' "$text" >"$out.new.$$" && mv "$out.new.$$" "$out"; } || cannot_write "$out"
}

sha256() { printf %s "$(<"$RUN/etc/$1")" | sha256sum | cut -d' ' -f1; }

write_redis_files() {
	secret redis.password
	secret redis-admin.password
	render "$TOP/docker/users.acl.in" "$RUN/etc/users.acl" \
		"SECKILL_SHA256=$(sha256 redis.password)" "ADMIN_SHA256=$(sha256 redis-admin.password)"
}

# The accounts are set at every start of the server (init-file), so they always match the password files.
write_mysql_files() {
	secret mysql.password
	secret mysql-drain.password
	secret mysql-owner.password
	cat "$TOP/conf/mariadb.cnf" "$TOP/docker/mariadb.cnf" >"$RUN/etc/mariadb.cnf"
	cat "$TOP/docker/private.sql" "$TOP/docker/accounts.sql.in" >"$RUN/etc/accounts.sql.in"
	render "$RUN/etc/accounts.sql.in" "$RUN/etc/accounts.sql" \
		"PASSWORD=$(<"$RUN/etc/mysql.password")" "DRAIN_PASSWORD=$(<"$RUN/etc/mysql-drain.password")" \
		"OWNER_PASSWORD=$(<"$RUN/etc/mysql-owner.password")"
	printf '[client]\nsocket=%s\nuser=seckill_owner\npassword=%s\n' "$RUN/mysql.sock" \
		"$(<"$RUN/etc/mysql-owner.password")" >"$RUN/etc/mysql-owner.cnf" || cannot_write "$RUN/etc/mysql-owner.cnf"
}

write_service_files() {
	local durable=yes common
	write_redis_files
	write_mysql_files
	secret token.keys "k1 "
	secret payment.keys whsec_ # hexadecimal digits are BASE64, too
	[ "${SECKILL_APPENDFSYNC:-always}" = always ] || durable=no
	common=("RUN=$RUN" "DURABLE=$durable" "LOGIN_DELAY=${SECKILL_LOGIN_DELAY:-30}" "SELLERS=${SECKILL_SELLERS:-open}"
		"SEGMENTS_MAX=${SECKILL_SEGMENTS_MAX:-64}" "COUPONS_PER_SELLER=${SECKILL_COUPONS_PER_SELLER:-100}"
		"SEGMENTS_PER_SELLER=${SECKILL_SEGMENTS_PER_SELLER:-2000}"
		"CLAIMS_PER_SECOND=${SECKILL_CLAIMS_PER_SECOND:-5}"
		"CREATIONS_PER_MINUTE=${SECKILL_CREATIONS_PER_MINUTE:-30}")
	render "$TOP/conf/seckill.conf.in" "$RUN/seckill.conf" "${common[@]}" "ACCOUNT=seckill" "PASSWORD=mysql"
	render "$TOP/conf/seckill.conf.in" "$RUN/drain.conf" "${common[@]}" "ACCOUNT=seckill_drain" "PASSWORD=mysql-drain"
}

# Sets CORS_ORIGINS to the entries of nginx's map, and CORS to the beginning of the lines that use it: # comments them out. An
# origin is written as a browser sends it: in lower case, without a path.
write_cors_origins() {
	local origin list=${SECKILL_CORS_ORIGINS:-}
	CORS="#" CORS_ORIGINS=""
	read -rd '' -a list <<<"${list//,/ }"
	for origin in "${list[@]}"; do
		[[ $origin =~ ^[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$ ]] ||
			die "SECKILL_CORS_ORIGINS has '$origin', which is not an origin" \
				"an origin is scheme://host or scheme://host:port, such as https://shop.example"
		[[ $CORS_ORIGINS == *"\"$origin\""* ]] || CORS_ORIGINS+="\"$origin\" \"$origin\"; "
		CORS=""
	done
}

write_nginx_files() {
	local log=${SECKILL_ACCESS_LOG:-off} CORS CORS_ORIGINS
	write_cors_origins
	[ "$log" = off ] || log="\"$log\" combined buffer=64k flush=1s"
	render "$TOP/nginx/nginx.conf.in" "$RUN/etc/nginx.conf" "RUN=$RUN" "ACCESS_LOG=$log"
	render "$TOP/nginx/seckill.conf.in" "$RUN/etc/nginx-seckill.conf" \
		"RUN=$RUN" "LISTEN=${SECKILL_LISTEN:-127.0.0.1:$PORT}" "WWW=$TOP/www" \
		"LOGIN_RATE=${SECKILL_LOGIN_RATE:-2r/s}" "LOGIN_BURST=${SECKILL_LOGIN_BURST:-20}" \
		"REGISTER_RATE=${SECKILL_REGISTER_RATE:-10r/m}" "REGISTER_BURST=${SECKILL_REGISTER_BURST:-20}" \
		"CREATE_RATE=${SECKILL_CREATE_RATE:-30r/m}" "CREATE_BURST=${SECKILL_CREATE_BURST:-30}" \
		"IN_FLIGHT=${SECKILL_IN_FLIGHT:-100}" "CORS=$CORS" "CORS_ORIGINS=$CORS_ORIGINS"
}

# Initialising a data directory takes seconds, so a fresh one is kept beside the programs, and copied.
make_mysql_data() {
	local template made cache=$BUILD
	[ -d "$RUN/data/mysql/mysql" ] && return
	[ -d "$cache" ] && [ -w "$cache" ] || cache=$RUN/tmp
	template=$cache/mariadb-$(stat -c %Y "$(command -v mariadbd)")
	if [ ! -d "$template" ]; then
		made=$(mktemp -d "$cache/mariadb-new.XXXXXX")
		mariadb-install-db --defaults-file="$RUN/etc/mariadb.cnf" --datadir="$made" --skip-test-db \
			--skip-name-resolve --force "${AS_ROOT[@]}" >"$RUN/log/mysql.log" 2>&1 || {
			rm -rf "$made"
			log_tail mysql
			die "mariadb-install-db failed, see above"
		}
		mv -T "$made" "$template" 2>/dev/null || rm -rf "$made" # another instance has made it meanwhile
	fi
	rm -rf "$RUN/data/mysql.new"
	if [ "$cache" = "$BUILD" ]; then
		cp -r --sparse=always "$template" "$RUN/data/mysql.new"
	else
		cp -r --sparse=always "$template" "$RUN/data/mysql.new" && rm -rf "$template"
	fi
	rm -rf "$RUN/data/mysql"
	mv -T "$RUN/data/mysql.new" "$RUN/data/mysql"
}

### parts

# Writes the files that the part reads, and sets CMD.
command_for() {
	case $1 in
	redis)
		write_redis_files
		CMD=(redis-server "$TOP/docker/redis.conf" --unixsocket "$RUN/redis.sock" --dir "$RUN/data/redis"
			--aclfile "$RUN/etc/users.acl" --appendfsync "${SECKILL_APPENDFSYNC:-always}")
		;;
	mysql)
		write_mysql_files
		make_mysql_data
		CMD=(mariadbd --defaults-file="$RUN/etc/mariadb.cnf" --datadir="$RUN/data/mysql" --socket="$RUN/mysql.sock"
			--pid-file="$RUN/tmp/mysql.pid" --tmpdir="$RUN/tmp" --init-file="$RUN/etc/accounts.sql" "${AS_ROOT[@]}")
		;;
	hot) pool_command hot "${SECKILL_HOT:-2}" ;;
	cold) pool_command cold "${SECKILL_COLD:-2}" ;;
	auth) pool_command auth "${SECKILL_AUTH:-2}" ;;
	drain)
		write_service_files
		CMD=(multiwatch -f "${SECKILL_DRAINERS:-2}" -r 1000 -t 100 -- "$BUILD/seckill-orderd" -c "$RUN/drain.conf")
		;;
	nginx)
		write_nginx_files
		CMD=(nginx -e stderr -c "$RUN/etc/nginx.conf")
		[ ${#AS_ROOT[@]} = 0 ] || CMD+=(-g "user root;") # the sockets are open to their owner only
		;;
	*) die "there is no part '$1'" "the parts are: $PARTS" ;;
	esac
	command -v "${CMD[0]}" >/dev/null || die "${CMD[0]} is not installed" "./dev up installs what is missing"
}

# multiwatch sends USR1 when it gets TERM; the programs stop on both. No -s: Debian 12's multiwatch is off by one there
# (-s TERM sends QUIT). spawn-fcgi does not search PATH. The backlog holds connections that wait for a worker; when it is
# full nginx answers 503 at once. That of logins is no longer than they are good for: 500 take about 10 s on two cores.
# Hashing passwords has a lower priority than selling. Under autogroup, niceness counts within a session only, so the
# session gets one, too.
pool_command() {
	local nice=() backlog=4096
	[ "$1" != auth ] || backlog=${SECKILL_AUTH_QUEUE:-500}
	[ "$1" != auth ] || nice=(sh -c '{ echo 15 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 15 "$@"' -)
	write_service_files
	CMD=("${nice[@]}" spawn-fcgi -n -s "$RUN/$1.sock" -M 0660 -b "$backlog" -- "$(command -v multiwatch)" -f "$2" -r 1000 -t 100 --
		"$BUILD/seckill-api" -c "$RUN/seckill.conf" -p "$1")
}

# multiwatch would restart a program that cannot start without end, so its settings are checked first.
check_program() {
	local out
	case $1 in
	hot | cold | auth) set -- "$BUILD/seckill-api" -p "$1" -c "$RUN/seckill.conf" ;;
	drain) set -- "$BUILD/seckill-orderd" -c "$RUN/drain.conf" ;;
	*) return 0 ;;
	esac
	[ -x "$1" ] || die "$1 is not there" "build it: ./dev build"
	out=$("$@" -t 2>&1) || die "${1##*/} -t refuses the configuration ($?):" "$out"
}

migrate() {
	write_service_files
	[ -x "$BUILD/seckillctl" ] || die "$BUILD/seckillctl is not there" "build it: ./dev build"
	"$BUILD/seckillctl" -c "$RUN/seckill.conf" -s mysql_user=seckill_owner \
		-s "mysql_password_file=$RUN/etc/mysql-owner.password" migrate >"$RUN/log/migrate.log" 2>&1 &&
		mariadb --defaults-file="$RUN/etc/mysql-owner.cnf" <"$TOP/docker/grants.sql" >>"$RUN/log/migrate.log" 2>&1 && return
	log_tail migrate
	die "the schema could not be migrated, see above" "the full text is in $RUN/log/migrate.log"
}

### processes

# State, session and stamp of a process.
process() {
	local line fields boot
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
	read -r boot </proc/sys/kernel/random/boot_id
	read -ra fields <<<"${line##*) }"
	STATE=${fields[0]} SESSION=${fields[3]} STAMP=${fields[19]}-$boot
}

alive() {
	local stamp
	{ read -r PID stamp <"$RUN/pid/$1"; } 2>/dev/null || return 1
	process "$PID" && [ "$STATE" != Z ] && [ "$STAMP" = "$stamp" ]
}

# False: the part runs, but its socket is gone. Only nginx and the drainers have none.
has_socket() {
	case $1 in
	redis | mysql | hot | cold) [ -S "$RUN/$1.sock" ] ;;
	esac
}

# Sets MEMBERS to the pids of the part and of its session; to none when another program has its pid now.
members() {
	local pid stamp at
	MEMBERS=()
	{ read -r pid stamp <"$RUN/pid/$1"; } 2>/dev/null || return 0
	if process "$pid"; then
		[ "$STAMP" = "$stamp" ] || return 0
		[ "$STATE" = Z ] || MEMBERS=("$pid") # it may not lead its session yet
	fi
	for at in /proc/[0-9]*; do
		[ "${at#/proc/}" != "$pid" ] && process "${at#/proc/}" && [ "$SESSION" = "$pid" ] && [ "$STATE" != Z ] &&
			[ "${STAMP#*-}" = "${stamp#*-}" ] && MEMBERS+=("${at#/proc/}")
	done
	return 0
}

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# Sends a signal to the part; the caller waits with gone.
signal_part() {
	members "$1"
	[ ${#MEMBERS[@]} -gt 0 ] || return 0
	case $2 in
	KILL) kill -KILL "${MEMBERS[@]}" 2>/dev/null ;;
	*) if alive "$1"; then kill "-$2" "$PID" 2>/dev/null; else kill -TERM "${MEMBERS[@]}" 2>/dev/null; fi ;;
	esac
	return 0
}

# gone PART SECONDS: waits for the end of all its processes, then kills.
gone() {
	local end
	end=$(($(now_ms) + $2 * 1000))
	while members "$1" && [ ${#MEMBERS[@]} -gt 0 ]; do
		if [ "$(now_ms)" -ge "$end" ]; then
			say "$1 does not stop: killed (${MEMBERS[*]})"
			kill -KILL "${MEMBERS[@]}" 2>/dev/null
			end=$((end + 2000))
		fi
		sleep 0.02
	done
	rm -f "$RUN/pid/$1" "$RUN/pid/$1.sum" "$RUN/$1.sock"
}

# stop_parts SIGNAL PART...: "" is each part's graceful signal. A part stops before those that it needs.
stop_parts() {
	local signal=$1 group part
	shift
	for group in nginx "hot cold auth drain" "redis mysql"; do
		for part in $group; do
			case " $* " in *" $part "*) signal_part "$part" "${signal:-$([ "$part" = nginx ] && echo QUIT || echo TERM)}" ;; esac
		done
		for part in $group; do
			case " $* " in *" $part "*) gone "$part" 30 ;; esac
		done
	done
}

spawn() {
	local pid stop_asked=""
	clear_part "$1"
	command_for "$1"
	check_program "$1"
	rm -f "$RUN/$1.sock"
	LOG_FROM[$1]=$(($(stat -c %s "$RUN/log/$1.log" 2>/dev/null || echo 0) + 1))
	# Signals are deferred until the pid file is written.
	trap 'stop_asked=1' INT TERM
	setsid -- "${CMD[@]}" </dev/null >>"$RUN/log/$1.log" 2>&1 9>&- &
	pid=$!
	disown "$pid"
	process "$pid" || STAMP=gone
	STARTED="$1 $STARTED"
	record_pid "$1" "$pid"
	trap - INT TERM
	[ -z "$stop_asked" ] || exit 143
	part_sum "$1" >"$RUN/pid/$1.sum"
}

# record_pid PART PID: a part without a pid file could not be stopped later.
record_pid() {
	printf '%s %s\n' "$2" "$STAMP" >"$RUN/pid/$1.new" && mv "$RUN/pid/$1.new" "$RUN/pid/$1" && return
	kill -KILL -- "-$2" "$2" 2>/dev/null
	cannot_write "$RUN/pid/$1"
}

# The program and configuration of a part; when they change, ./dev up restarts it. This includes the accounts of the
# servers, which another version of the service may have set up.
part_sum() {
	case $1 in
	hot | cold | auth) cat "$BUILD/seckill-api" "$RUN/seckill.conf" ;;
	drain) cat "$BUILD/seckill-orderd" "$RUN/drain.conf" ;;
	nginx) cat "$RUN/etc/nginx.conf" "$RUN/etc/nginx-seckill.conf" ;;
	redis) cat "$TOP/docker/redis.conf" "$RUN/etc/users.acl" ;;
	mysql) cat "$RUN/etc/mariadb.cnf" "$RUN/etc/accounts.sql" ;;
	esac 2>/dev/null | sha256sum
}

# Kills what is left of a part that died, before it starts again.
clear_part() {
	members "$1"
	if [ ${#MEMBERS[@]} -gt 0 ]; then
		signal_part "$1" KILL
		gone "$1" 5
	fi
}

### probes

# The HTTP status of a path, 000 without an answer.
http_status() { curl -s -o /dev/null -m 3 -w '%{http_code}' "$(url)$1" 2>/dev/null || [ -x "$(command -v curl)" ] || echo 000; }

url() { echo "http://127.0.0.1:$(cat "$RUN/port" 2>/dev/null || echo "${PORT:-8080}")"; }

ready() {
	case $1 in
	redis)
		[ "$(REDISCLI_AUTH=$(<"$RUN/etc/redis-admin.password") redis-cli -s "$RUN/redis.sock" --user admin --no-auth-warning \
			ping 2>/dev/null)" = PONG ]
		;;
	mysql) mariadb --defaults-file="$RUN/etc/mysql-owner.cnf" --connect-timeout=2 -e 'DO 0' 2>/dev/null ;;
	hot) [ -S "$RUN/hot.sock" ] && { ! alive nginx || [ "$(http_status /healthz)" = 200 ]; } ;;
	cold) [ -S "$RUN/cold.sock" ] && { ! alive nginx || [ "$(http_status /metrics)" = 200 ]; } ;;
	auth) [ -S "$RUN/auth.sock" ] && { ! alive nginx || [ "$(http_status /api/auth)" = 405 ]; } ;; # a login is a POST
	drain) alive drain ;;
	nginx) [ "$(http_status /)" = 200 ] ;;
	esac
}

# wait_ready PART SECONDS
wait_ready() {
	local end
	end=$(($(now_ms) + $2 * 1000))
	until ready "$1"; do
		if ! alive "$1"; then
			log_tail "$1"
			die "$1 ended right after its start, see above" "the full log is $RUN/log/$1.log"
		fi
		if [ "$(now_ms)" -ge "$end" ]; then
			log_tail "$1"
			die "$1 is not ready after $2 seconds, see above" "the full log is $RUN/log/$1.log"
		fi
		sleep 0.02
	done
}
