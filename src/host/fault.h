/*
 * Named points at which a test kills or stalls the process: FAULT(claim_answered). Only builds configured
 * with --enable-faults have them; in others FAULT is empty.
 *
 * The environment variable SECKILL_FAULT is one of
 *
 *     NAME:ACTION:WHEN[:SEED]   NAME may be a pattern, refill_*; ACTION is kill, or stall=MS; WHEN is a count, the
 *                               n-th passage in one process, or a chance, 20%. The seed of chances is logged.
 *     @FILE                     the same, read from FILE at each passage while FILE exists. A process removes FILE
 *                               before it acts, so that only one process acts, once.
 *
 * If the spec cannot be parsed, the process ends with exit code 78: at its start or, for FILE, at the next passage.
 */
#ifndef HOST_FAULT_H
#define HOST_FAULT_H

#ifdef FAULTS

enum fault {
#define X(name, when) FAULT_##name,
#include "host/fault.def"
#undef X
	FAULT_COUNT
};

#define FAULT(name) fault_pass(FAULT_##name)
void fault_pass(enum fault point); /* may not return, or block for as long as a stall lasts */

const char *fault_name(enum fault point);
const char *fault_when(enum fault point);

#else
#define FAULT(name) ((void)0)
#endif

#endif
