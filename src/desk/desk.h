/* The commands of seckillctl about sales and their orders; arguments and results are those of struct command. */
#ifndef DESK_DESK_H
#define DESK_DESK_H

#include "ctl/ctl.h"

int ctl_dead(struct ctl *c, int argc, char **argv);
int ctl_orders(struct ctl *c, int argc, char **argv);
int ctl_sale(struct ctl *c, int argc, char **argv);
int ctl_pause(struct ctl *c, int argc, char **argv);
int ctl_resume(struct ctl *c, int argc, char **argv);
int ctl_end(struct ctl *c, int argc, char **argv);
int ctl_archive(struct ctl *c, int argc, char **argv);
int ctl_withdraw(struct ctl *c, int argc, char **argv);

#endif
