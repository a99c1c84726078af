/*
 * Checks whether the MySQL account of a program has the rights that the program needs. Without this check a program
 * with the wrong account would fail only at its first write.
 */
#ifndef STORE_RIGHTS_H
#define STORE_RIGHTS_H

#include "sale/service.h"

/* seckillctl needs the rights of the drainers for recover and dead. */
enum rights { RIGHTS_WORKERS, RIGHTS_DRAINERS, RIGHTS };

/*
 * NULL: the account has the rights of this role, or MySQL does not answer, and *away is true. Otherwise a text that
 * says which right is missing and what to do, in the arena. Changes nothing. Blocks.
 */
const char *rights_problem(struct service *svc, struct arena *a, enum rights role, bool *away);

/* Like rights_problem, and logs the text as an error. True: a right is missing. */
bool rights_refused(struct service *svc, enum rights role, bool *away);

/* "workers", "drainers" */
const char *rights_name(enum rights role);

#endif
