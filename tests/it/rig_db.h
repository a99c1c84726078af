/* mysql/db.h for the rig: MySQL with one coupon in it, the one of the running sale. Replaces src/mysql/db.c at link time. */
#ifndef IT_RIG_DB_H
#define IT_RIG_DB_H

#include <stdint.h>

#include "mysql/db.h"

/* An order of the coupon was cancelled: its unit is to go back on sale. */
void rig_db_cancel(void);

/* What MySQL says was ever put on sale: amount and cancelled. */
int64_t rig_db_units(void);

#endif
