/*
 * Permits: a bound on how many processes of one host do something costly at the same moment. A permit is a lock on one
 * byte of a file that they share, so it is free again when its process ends, however that ends. The bytes themselves
 * are neither read nor written, so the file may have another purpose.
 */
#ifndef HOST_PERMIT_H
#define HOST_PERMIT_H

#include <stdbool.h>

struct permits;

/*
 * Opens the file, which must exist, for a number of permits; CONF_AUTO: for half of the cores, at least one. Never
 * returns NULL: without the file there is no bound, and permit_take returns true at once.
 */
struct permits *permits_open(const char *path, int count);
void permits_close(struct permits *p);

/*
 * Takes a free permit; a process has one at most. Blocks until one is free, for patience_ms (above 0) at most, and uses
 * SIGALRM meanwhile. False: none became free. Those that wait are served nearly in the order in which they came.
 */
bool permit_take(struct permits *p, int patience_ms);
void permit_return(struct permits *p);

#endif
