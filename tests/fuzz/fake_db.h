/*
 * mysql/db.h without a server: each statement ends as the next byte of a plan
 * says, so that an input decides what MySQL does. Replaces src/mysql/db.c at
 * link time.
 */
#ifndef FUZZ_FAKE_DB_H
#define FUZZ_FAKE_DB_H

#include "mysql/db.h"

/*
 * The plan, used up and begun again; it must outlive its use. By a byte's value modulo 8: 0 and 1 no row, 2 and 3 one
 * row of numbers 1 and texts of 16 bytes, and 1 row changed; 4 a duplicate, 5 bad data, 6 a deadlock, 7 no connection.
 */
void fake_db_plan(const uint8_t *bytes, size_t count);

/* Transactions that were committed since the plan was set. */
int fake_db_commits(void);

#endif
