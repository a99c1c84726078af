#include "mysql/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/alloc.h"

int connection_problem(MYSQL *m, struct db_problem *p)
{
	return problem_number(p, mysql_errno(m), mysql_error(m));
}

int connection_query(MYSQL *m, const char *sql, struct db_problem *p)
{
	return mysql_query(m, sql) ? connection_problem(m, p) : 0;
}

static void set_options(MYSQL *m, const struct conf *conf)
{
	unsigned timeout = (unsigned)conf->mysql_timeout_s, off = 0;
	unsigned long packet = PACKET_MAX;
	unsigned protocol = *conf->mysql_socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
	mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
	mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &timeout);
	mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &timeout);
	mysql_options(m, MYSQL_OPT_LOCAL_INFILE, &off);
	mysql_options(m, MYSQL_OPT_PROTOCOL, &protocol);
	mysql_options(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
}

/* The limit of a lock wait is below the read timeout, because an error keeps the connection, and a timeout does not. */
static int set_session(MYSQL *m, const struct conf *conf, struct db_problem *p)
{
	int lock_wait_s = conf->mysql_timeout_s > 1 ? conf->mysql_timeout_s / 2 : 1;
	char sql[256];
	snprintf(sql, sizeof sql,
		 "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,"
		 "NO_ZERO_DATE,NO_ZERO_IN_DATE', time_zone='+00:00', autocommit=1, innodb_lock_wait_timeout=%d",
		 lock_wait_s);
	if (connection_query(m, sql, p) < 0)
		return -1;
	return connection_query(m, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", p);
}

static int socket_of(MYSQL *m)
{
#ifdef MARIADB_BASE_VERSION
	return (int)mysql_get_socket(m);
#else
	return (int)m->net.fd;
#endif
}

/*
 * A host that failed does not close its connections. TCP closes them when it does not acknowledge data or keepalive
 * probes within mysql_timeout_s. Errors are ignored: a unix socket does not have these options.
 */
static void notice_lost_host(MYSQL *m, const struct conf *conf)
{
	int timeout_ms = conf->mysql_timeout_s * 1000, on = 1, probes = 3;
	int each_s = conf->mysql_timeout_s / probes > 0 ? conf->mysql_timeout_s / probes : 1;
	int fd = socket_of(m);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &each_s, sizeof each_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &each_s, sizeof each_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

static bool log_in(MYSQL *m, const struct conf *c, const char *password)
{
	const char *host = *c->mysql_socket ? NULL : c->mysql_host;
	const char *socket = *c->mysql_socket ? c->mysql_socket : NULL;
	return mysql_real_connect(m, host, c->mysql_user, password, c->mysql_database, (unsigned)c->mysql_port, socket,
				  0);
}

static MYSQL *open_with(const struct conf *conf, const char *password, struct db_problem *p)
{
	MYSQL *m = alloc_checked(mysql_init(NULL));
	set_options(m, conf);
	int result = log_in(m, conf, password) ? set_session(m, conf, p) : connection_problem(m, p);
	if (result == 0 && !*conf->mysql_socket)
		notice_lost_host(m, conf);
	if (result == 0)
		return m;
	mysql_close(m);
	return NULL;
}

/* The password is read for each connection, so that it can be changed while the program runs. */
MYSQL *connection_open(const struct conf *conf, struct db_problem *p)
{
	struct arena arena;
	arena_init(&arena);
	const char *problem = NULL;
	const char *password = conf_secret(&arena, conf->mysql_password_file, &problem);
	MYSQL *m = NULL;
	if (password)
		m = open_with(conf, password, p);
	else
		problem_set(p, DB_BROKEN, problem);
	if (password)
		explicit_bzero((char *)(uintptr_t)password, strlen(password));
	arena_release(&arena);
	return m;
}

bool connection_hung_up(MYSQL *m)
{
	struct pollfd p = { .fd = socket_of(m), .events = POLLIN | POLLRDHUP };
	return poll(&p, 1, 0) > 0;
}
