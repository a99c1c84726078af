#include "steer/patience.h"

#include "base/clock.h"

struct patience patience_begin(struct service *svc, int patience_ms)
{
	return (struct patience){ svc, clock_mono_ms() + patience_ms };
}

bool patience_wait(const struct patience *p)
{
	enum { PAUSE_MS = 20 };
	int64_t until_ms = clock_mono_ms() + PAUSE_MS;
	if (until_ms > p->until_ms)
		return false;
	for (int64_t left; (left = until_ms - clock_mono_ms()) > 0;)
		loop_turn(p->svc->loop_sync, (int)left);
	return true;
}
