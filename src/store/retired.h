/* Keys of Redis that earlier versions kept, and that nothing reads any more: the lists of customers on a single server.
 */
#ifndef STORE_RETIRED_H
#define STORE_RETIRED_H

#include "sale/scan.h"

/* How far the removal is; zeroed at the start. */
struct retired {
	struct scan_cursor next;
	int64_t removed;
	bool is_done;
};

/*
 * Removes some of them: a step looks at about 500 keys. Once all keys were looked at, it does nothing, as on a cluster,
 * where such lists are in use. Blocks.
 */
void retired_remove(struct service *svc, struct arena *a, struct retired *r);

#endif
