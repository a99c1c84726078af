#include "mysql/problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* clang-format off: a table */
/*
 * Of the numbers not listed, 2000 to 2999 and 5000 to 5999 are of the client library: DB_AWAY. All others: DB_BROKEN.
 */
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
	{ 1030, DB_TRANSIENT }, /* the storage engine failed, usually because the disk is full */
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

static enum db_failure failure_of(unsigned number)
{
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (meanings[i].number == number)
			return meanings[i].failure;
	bool client = (number >= 2000 && number <= 2999) || (number >= 5000 && number <= 5999);
	return client ? DB_AWAY : DB_BROKEN;
}

int problem_set(struct db_problem *p, enum db_failure failure, const char *text)
{
	p->failure = failure;
	snprintf(p->text, sizeof p->text, "%s", text);
	return -1;
}

int problem_number(struct db_problem *p, unsigned number, const char *text)
{
	p->failure = failure_of(number);
	snprintf(p->text, sizeof p->text, "MySQL error %u: %s", number, text);
	return -1;
}
