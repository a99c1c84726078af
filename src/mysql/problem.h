/* A failure and its text. */
#ifndef MYSQL_PROBLEM_H
#define MYSQL_PROBLEM_H

#include "mysql/failure.h"

struct db_problem {
	enum db_failure failure;
	char text[512];
};

/* Both return -1. */
int problem_set(struct db_problem *p, enum db_failure failure, const char *text);
/* Sets failure and text from an error number of the server or of the client library, and its text. */
int problem_number(struct db_problem *p, unsigned number, const char *text);

#endif
