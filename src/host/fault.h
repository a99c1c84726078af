/*
 * Named points at which a test kills or stalls the process: FAULT(claim_answered). Only a build that was configured
 * with
 * --enable-faults has them; in any other they are nothing, and fault.c is not in it.
 *
 * SECKILL_FAULT says which point does what:
 *
 *     NAME:ACTION:WHEN[:SEED]   NAME may be a pattern, transfer_*; ACTION is kill, or stall=MS; WHEN is a count, the
 *                               n-th passage in one process, or a chance, 20%. The seed of chances is in the log.
 *     @FILE                     the same, read from FILE at each passage while there is a FILE. Who acts removes it
 *                               first, so it acts once, whatever number of processes there are, and a respawned one
 * lives.
 *
 * A spec that cannot be understood ends the process with 78: at its start, one from a file at the next passage.
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
