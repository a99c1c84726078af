/*
 * A connection that broke is closed at once, so what is open is believed to
 * work; one that was idle is asked first whether the server hung up, which
 * costs a poll(2) and saves every caller a retry after a restart of MySQL.
 */
#include <assert.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/parse.h"
#include "host/fault.h"
#include "mysql/db_connection.h"

/* The schema may be migrated, or restored from a backup, beside a program that is connected. */
enum { SCHEMA_MS = 1000 };

/*
 * How long the server waits inside a transaction for the next statement before it rolls back and closes the connection.
 * A process that is stopped, or whose host is cut off, would keep its row locks until then.
 */
enum { IDLE_S = 2, LONG_IDLE_S = 600 };

/* clang-format off: a table */
/* What is not here: 2000 to 2999 and 5000 to 5999 come from the client library, DB_AWAY; all else is DB_BROKEN. */
static const struct {
	unsigned number;
	enum db_failure failure;
} meanings[] = {
	{ 1040, DB_AWAY }, /* too many connections */
	{ 1053, DB_AWAY }, /* shutdown in progress */
	{ 1077, DB_AWAY }, /* normal shutdown */
	{ 1152, DB_AWAY },      { 1158, DB_AWAY },      { 1159, DB_AWAY },
	{ 1160, DB_AWAY },      { 1161, DB_AWAY }, /* network */
	{ 1203, DB_AWAY },                         /* too many connections of this user */
	{ 1243, DB_AWAY }, /* unknown statement handler: another server than the one that prepared it */
	{ 1317, DB_AWAY }, /* query interrupted */
	{ 1927, DB_AWAY }, /* connection was killed */
	{ 4031, DB_AWAY }, /* disconnected because of inactivity (MySQL) */

	{ 3, DB_TRANSIENT },    { 28, DB_TRANSIENT },   { 1021, DB_TRANSIENT },
	{ 1026, DB_TRANSIENT }, /* disk full */
	{ 1030, DB_TRANSIENT }, /* the storage engine failed: disk full, most often */
	{ 1114, DB_TRANSIENT }, /* table is full */
	{ 1020, DB_TRANSIENT }, /* record has changed since last read */
	{ 1047, DB_TRANSIENT }, /* node not ready (Galera) */
	{ 1180, DB_TRANSIENT }, /* error during commit */
	{ 1205, DB_TRANSIENT }, /* lock wait timeout */
	{ 1206, DB_TRANSIENT }, /* lock table full */
	{ 1213, DB_TRANSIENT }, /* deadlock */
	{ 1290, DB_TRANSIENT }, { 1792, DB_TRANSIENT }, { 1836, DB_TRANSIENT }, /* read-only */
	{ 1461, DB_TRANSIENT },                                                 /* too many prepared statements */
	{ 1615, DB_TRANSIENT },                         /* prepared statement needs to be prepared again */
	{ 1969, DB_TRANSIENT }, { 3024, DB_TRANSIENT }, /* statement took longer than the server allows */

	{ 1062, DB_DUPLICATE }, { 1586, DB_DUPLICATE },

	{ 1048, DB_DATA },                         /* column cannot be NULL */
	{ 1264, DB_DATA },      { 1690, DB_DATA }, /* out of range */
	{ 1265, DB_DATA },      { 1292, DB_DATA },      { 1366, DB_DATA },
	{ 1406, DB_DATA },                         /* truncated, incorrect, too long */
	{ 1451, DB_DATA },      { 1452, DB_DATA }, /* foreign key */
	{ 3819, DB_DATA },      { 4025, DB_DATA }, /* CHECK, of MySQL and MariaDB */

	{ 1153, DB_BROKEN },    { 2020, DB_BROKEN },                         /* packet larger than max_allowed_packet */
	{ 2058, DB_BROKEN },    { 2059, DB_BROKEN },    { 2061, DB_BROKEN }, /* authentication plugin */
};
/* clang-format on */

enum db_failure db_classify(unsigned number)
{
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (meanings[i].number == number)
			return meanings[i].failure;
	bool client = (number >= 2000 && number <= 2999) || (number >= 5000 && number <= 5999);
	return client ? DB_AWAY : DB_BROKEN;
}

struct db *db_new(const struct conf *conf)
{
	struct db *db = alloc_zeroed(1, sizeof *db);
	db->conf = conf;
	return db;
}

void db_free(struct db *db)
{
	if (!db)
		return;
	db_close(db);
	free(db);
}

void db_require(struct db *db, int version)
{
	db->schema = version;
}

void db_close(struct db *db)
{
	statements_forget(db);
	if (db->mysql)
		mysql_close(db->mysql);
	db->mysql = NULL;
	if (db->in_transaction && !db->doomed) {
		db->doomed = true;
		db->failure = DB_AWAY;
		snprintf(db->error, sizeof db->error, "the connection was closed inside a transaction");
	}
}

int db_fail(struct db *db, enum db_failure failure, unsigned number, const char *text)
{
	db->failure = failure;
	snprintf(db->error, sizeof db->error, number ? "MySQL error %u: %s" : "%.0u%s", number, text);
	if (db->in_transaction && failure != DB_DUPLICATE && failure != DB_DATA)
		db->doomed = true;
	if (failure == DB_AWAY)
		db_close(db);
	return -1;
}

static int fail_mysql(struct db *db)
{
	unsigned number = mysql_errno(db->mysql);
	return db_fail(db, db_classify(number), number, mysql_error(db->mysql));
}

/* A statement without values, as text. */
static int command(struct db *db, const char *sql)
{
	return mysql_query(db->mysql, sql) ? fail_mysql(db) : 0;
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

/* A lock wait must end before the read timeout does: "try again" is cheaper to hear than silence. */
static int set_session(struct db *db)
{
	int lock_wait_s = db->conf->mysql_timeout_s > 1 ? db->conf->mysql_timeout_s / 2 : 1;
	char sql[256];
	snprintf(sql, sizeof sql,
		 "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,"
		 "NO_ZERO_DATE,NO_ZERO_IN_DATE', time_zone='+00:00', autocommit=1, innodb_lock_wait_timeout=%d",
		 lock_wait_s);
	if (command(db, sql) < 0)
		return -1;
	return command(db, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
}

/* The highest version that is recorded, 0 when there is no schema. */
static int read_schema(struct db *db, int *version)
{
	enum { NO_SUCH_TABLE = 1146 };
	*version = 0;
	if (mysql_query(db->mysql, "SELECT MAX(version) FROM schema_migrations"))
		return mysql_errno(db->mysql) == NO_SUCH_TABLE ? 0 : fail_mysql(db);
	MYSQL_RES *result = mysql_store_result(db->mysql);
	if (!result)
		return fail_mysql(db);
	MYSQL_ROW row = mysql_num_fields(result) ? mysql_fetch_row(result) : NULL;
	int64_t number = 0;
	if (row && row[0])
		parse_int(str_of(row[0]), 0, INT_MAX, &number);
	*version = (int)number;
	mysql_free_result(result);
	return 0;
}

/* A program of another version would read columns that are not there, or write rows that the newer one misreads. */
static int check_schema(struct db *db)
{
	int version;
	char text[sizeof db->error];
	if (!db->schema)
		return 0;
	db->checked_ms = clock_mono_ms();
	if (read_schema(db, &version) < 0)
		return -1;
	if (version == db->schema)
		return 0;
	snprintf(text, sizeof text, "the schema of database %s has version %d, this program needs version %d: %s",
		 db->conf->mysql_database, version, db->schema,
		 version < db->schema ? "run seckillctl migrate" : "start the program of the newer version");
	return db_fail(db, DB_SCHEMA, 0, text);
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
 * A host that vanished does not close its connections. TCP closes them when it does not acknowledge data or keepalive
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

/* The password is read again for each connection, so that it can be changed under a running program. */
static bool log_in(MYSQL *m, const struct conf *c, const char *password)
{
	const char *host = *c->mysql_socket ? NULL : c->mysql_host;
	const char *socket = *c->mysql_socket ? c->mysql_socket : NULL;
	return mysql_real_connect(m, host, c->mysql_user, password, c->mysql_database, (unsigned)c->mysql_port, socket,
				  0);
}

static int connect_with(struct db *db, const char *password)
{
	db->mysql = mysql_init(NULL);
	if (!db->mysql)
		abort();
	set_options(db->mysql, db->conf);
	db->idle_s = 0;
	int result = log_in(db->mysql, db->conf, password) ? set_session(db) : fail_mysql(db);
	if (result == 0 && !*db->conf->mysql_socket)
		notice_lost_host(db->mysql, db->conf);
	if (result == 0)
		result = check_schema(db);
	if (result < 0)
		db_close(db);
	return result;
}

static int connect_now(struct db *db)
{
	struct arena arena;
	arena_init(&arena);
	const char *problem = NULL;
	const char *secret = conf_secret(&arena, db->conf->mysql_password_file, &problem);
	int result = secret ? connect_with(db, secret) : db_fail(db, DB_BROKEN, 0, problem);
	if (secret)
		explicit_bzero((char *)(uintptr_t)secret, strlen(secret));
	arena_release(&arena);
	return result;
}

/* The server speaks only when asked: an idle socket that has something to read has its end, or a farewell. */
static bool hung_up(MYSQL *m)
{
	struct pollfd p = { .fd = socket_of(m), .events = POLLIN | POLLRDHUP };
	return poll(&p, 1, 0) > 0;
}

int db_open(struct db *db)
{
	if (db->in_transaction)
		return db->doomed ? -1 : 0;
	db->failure = DB_NONE;
	db->error[0] = '\0';
	if (db->mysql && hung_up(db->mysql))
		db_close(db);
	if (db->mysql && clock_mono_ms() - db->checked_ms >= SCHEMA_MS && check_schema(db) < 0) {
		db_close(db);
		if (db->failure == DB_SCHEMA)
			return -1;
		db->failure = DB_NONE;
		db->error[0] = '\0';
	}
	return db->mysql ? 0 : connect_now(db);
}

static int fail_script(struct db *db, int number)
{
	fail_mysql(db);
	char text[sizeof db->error];
	snprintf(text, sizeof text, "statement %d: %.480s", number, db->error);
	memcpy(db->error, text, sizeof text);
	return -1;
}

static int run_script(struct db *db, struct str sql)
{
	int number = 1, more = mysql_real_query(db->mysql, sql.p, sql.n) ? 1 : 0;
	for (; more == 0; number++) {
		MYSQL_RES *result = mysql_store_result(db->mysql);
		FAULT(migrate_statement);
		if (result)
			mysql_free_result(result);
		more = mysql_next_result(db->mysql); /* 0: there is one, -1: that was all, above 0: an error */
	}
	return more > 0 ? fail_script(db, number) : 0;
}

/* The server tells statements apart, so this side needs no parser; only a script may hold more than one. */
int db_script(struct db *db, struct str sql)
{
	if (db_open(db) < 0)
		return -1;
	if (mysql_set_server_option(db->mysql, MYSQL_OPTION_MULTI_STATEMENTS_ON))
		return fail_mysql(db);
	int result = run_script(db, sql);
	if (db->mysql && mysql_set_server_option(db->mysql, MYSQL_OPTION_MULTI_STATEMENTS_OFF))
		db_close(db);
	return result;
}

static bool is_mariadb(const struct db *db)
{
	return strstr(mysql_get_server_info(db->mysql), "MariaDB");
}

/* MariaDB has a setting that counts in transactions only; MySQL's counts always, and is put back after each. */
static int limit_idle(struct db *db, int seconds)
{
	char sql[80];
	if (db->idle_s == seconds)
		return 0;
	snprintf(sql, sizeof sql, "SET SESSION %s = %d", is_mariadb(db) ? "idle_transaction_timeout" : "wait_timeout",
		 seconds);
	int failed = command(db, sql);
	db->idle_s = failed ? 0 : seconds;
	return failed;
}

/* The transaction has ended, whatever happens here. */
static void unlimit_idle(struct db *db)
{
	if (is_mariadb(db))
		return;
	db->idle_s = 0;
	if (mysql_query(db->mysql, "SET SESSION wait_timeout = DEFAULT"))
		db_close(db);
}

static int begin(struct db *db, int idle_s)
{
	db_rollback(db);
	if (db_open(db) < 0 || limit_idle(db, idle_s) < 0 || command(db, "START TRANSACTION") < 0)
		return -1;
	db->in_transaction = true;
	return 0;
}

int db_begin(struct db *db)
{
	return begin(db, IDLE_S);
}

int db_begin_long(struct db *db)
{
	return begin(db, LONG_IDLE_S);
}

int db_commit(struct db *db)
{
	assert(db->in_transaction);
	if (db_open(db) < 0)
		return -1;
	if (command(db, "COMMIT") < 0) {
		db->doomed = true;
		return -1;
	}
	db->in_transaction = false;
	unlimit_idle(db);
	return 0;
}

void db_rollback(struct db *db)
{
	bool open = db->in_transaction && db->mysql;
	db->in_transaction = db->doomed = false;
	if (open && mysql_query(db->mysql, "ROLLBACK"))
		db_close(db);
	else if (open)
		unlimit_idle(db);
}

static const char *durability_problem(struct arena *a, const struct db_value *v)
{
	if (v[3].type != DB_TEXT)
		return "MySQL does not tell its settings";
	if (v[0].number != 1)
		return arena_printf(a, "innodb_flush_log_at_trx_commit is %lld, must be 1", (long long)v[0].number);
	if (v[1].number && v[2].number != 1)
		return arena_printf(a, "sync_binlog is %lld, must be 1 while log_bin is on", (long long)v[2].number);
	if (!strstr(v[3].text.p, "STRICT_ALL_TABLES"))
		return arena_printf(a, "sql_mode is '%s', must have STRICT_ALL_TABLES", v[3].text.p);
	return NULL;
}

int db_check_durable(struct db *db, struct arena *arena, const char **problem)
{
	struct db_rows rows;
	if (db_query_row(db, arena,
			 "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.log_bin, @@GLOBAL.sync_binlog, "
			 "CONCAT(@@SESSION.sql_mode, '')",
			 &rows))
		return -1;
	*problem = durability_problem(arena, db_row(&rows, 0));
	return 0;
}

bool db_is_open(const struct db *db)
{
	return db->mysql;
}

enum db_failure db_failure(const struct db *db)
{
	return db->failure;
}

const char *db_error(const struct db *db)
{
	return db->error;
}
