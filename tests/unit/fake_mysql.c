#include "unit/fake_mysql.h"

#include <stdio.h>
#include <string.h>

struct fake_mysql fake_mysql;
static MYSQL connection;
static MYSQL_STMT statement;
static MYSQL_RES result;
enum { MOST = 256 };
static MYSQL_FIELD fields[MOST];
static MYSQL_BIND bound[MOST];
static int64_t row;
static int open_statements;

int fake_mysql_open_statements(void)
{
	return open_statements;
}

static bool fails(enum fake_mysql_at at)
{
	return fake_mysql.error && fake_mysql.error_at == at;
}

MYSQL *mysql_init(MYSQL *m)
{
	(void)m;
	return &connection;
}

int mysql_options(MYSQL *m, enum mysql_option option, const void *value)
{
	(void)m, (void)option, (void)value;
	return 0;
}

MYSQL *mysql_real_connect(MYSQL *m, const char *host, const char *user, const char *password, const char *database,
			  unsigned port, const char *socket, unsigned long flags)
{
	(void)host, (void)user, (void)password, (void)database, (void)port, (void)socket, (void)flags;
	return fails(FAKE_CONNECT) ? NULL : m;
}

void mysql_close(MYSQL *m)
{
	(void)m;
}

char *mysql_get_server_info(MYSQL *m)
{
	static char version[64];
	(void)m;
	snprintf(version, sizeof version, "%s", fake_mysql.server ? fake_mysql.server : "10.11.6-MariaDB");
	return version;
}

my_socket mysql_get_socket(MYSQL *m)
{
	(void)m;
	return -1;
}

static void note(const char *sql)
{
	size_t n = strlen(fake_mysql.said);
	snprintf(fake_mysql.said + n, sizeof fake_mysql.said - n, "%s;", sql);
}

int mysql_query(MYSQL *m, const char *sql)
{
	(void)m;
	note(sql);
	return fails(FAKE_QUERY);
}

unsigned mysql_errno(MYSQL *m)
{
	(void)m;
	return fake_mysql.error;
}

const char *mysql_error(MYSQL *m)
{
	(void)m;
	return "";
}

MYSQL_STMT *mysql_stmt_init(MYSQL *m)
{
	(void)m;
	open_statements++;
	return &statement;
}

FLAG mysql_stmt_close(MYSQL_STMT *s)
{
	(void)s;
	open_statements--;
	return 0;
}

int mysql_stmt_prepare(MYSQL_STMT *s, const char *sql, unsigned long n)
{
	(void)s, (void)n;
	note(sql);
	return fails(FAKE_PREPARE);
}

unsigned long mysql_stmt_param_count(MYSQL_STMT *s)
{
	(void)s;
	return fake_mysql.params;
}

FLAG mysql_stmt_bind_param(MYSQL_STMT *s, MYSQL_BIND *binds)
{
	(void)s, (void)binds;
	return 0;
}

int mysql_stmt_execute(MYSQL_STMT *s)
{
	(void)s;
	row = 0;
	return fails(FAKE_EXECUTE);
}

unsigned mysql_stmt_field_count(MYSQL_STMT *s)
{
	(void)s;
	return (unsigned)fake_mysql.columns;
}

MYSQL_RES *mysql_stmt_result_metadata(MYSQL_STMT *s)
{
	(void)s;
	return fake_mysql.no_result ? NULL : &result;
}

unsigned mysql_num_fields(MYSQL_RES *r)
{
	(void)r;
	return (unsigned)fake_mysql.described;
}

MYSQL_FIELD *mysql_fetch_fields(MYSQL_RES *r)
{
	(void)r;
	for (size_t i = 0; i < MOST; i++)
		fields[i].type = fake_mysql.type;
	return fields;
}

void mysql_free_result(MYSQL_RES *r)
{
	(void)r;
}

FLAG mysql_stmt_bind_result(MYSQL_STMT *s, MYSQL_BIND *binds)
{
	(void)s;
	memcpy(bound, binds, DB_COLUMNS * sizeof *binds);
	return 0;
}

int mysql_stmt_store_result(MYSQL_STMT *s)
{
	(void)s;
	return fails(FAKE_STORE);
}

my_ulonglong mysql_stmt_num_rows(MYSQL_STMT *s)
{
	(void)s;
	return (my_ulonglong)fake_mysql.rows;
}

my_ulonglong mysql_stmt_affected_rows(MYSQL_STMT *s)
{
	(void)s;
	return 1;
}

int mysql_stmt_fetch(MYSQL_STMT *s)
{
	(void)s;
	if (row++ == fake_mysql.fetched)
		return MYSQL_NO_DATA;
	if (fails(FAKE_FETCH))
		return 1;
	for (unsigned long i = 0; i < fake_mysql.described && i < DB_COLUMNS; i++)
		if ((*bound[i].is_null = fake_mysql.is_null)) {
			continue;
		} else if (bound[i].buffer_type == MYSQL_TYPE_LONGLONG) {
			*(int64_t *)bound[i].buffer = fake_mysql.number;
		} else {
			*bound[i].length = fake_mysql.length;
		}
	return 0;
}

int mysql_stmt_fetch_column(MYSQL_STMT *s, MYSQL_BIND *b, unsigned column, unsigned long offset)
{
	(void)s, (void)column, (void)offset;
	memset(b->buffer, 'x', b->buffer_length);
	return 0;
}

FLAG mysql_stmt_free_result(MYSQL_STMT *s)
{
	(void)s;
	return 0;
}

unsigned mysql_stmt_errno(MYSQL_STMT *s)
{
	(void)s;
	return fake_mysql.error;
}

const char *mysql_stmt_error(MYSQL_STMT *s)
{
	(void)s;
	return "";
}
