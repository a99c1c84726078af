/* Whether the MySQL account of a program may do what the program does there: one with the wrong account starts, and
 * fails at its first write only. */
#ifndef STORE_RIGHTS_H
#define STORE_RIGHTS_H

#include "sale/service.h"

/* Whose account it is: of the workers, or of the drainers and what repairs orders. */
enum rights { RIGHTS_WORKERS, RIGHTS_DRAINERS, RIGHTS };

/*
 * NULL when the account may do everything, else what it may not do and what to do about it, in the arena. With MySQL
 * away it cannot be told: NULL, and *away is set. Changes nothing. Blocks.
 */
const char *rights_problem(struct service *svc, struct arena *a, enum rights role, bool *away);

/* The same, with an error in the log: true when there is a problem. */
bool rights_refused(struct service *svc, enum rights role, bool *away);

/* "workers", "drainers" */
const char *rights_name(enum rights role);

#endif
