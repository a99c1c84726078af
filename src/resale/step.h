/* How a step of the drainers' work for orders that end has ended (work.h). */
#ifndef RESALE_STEP_H
#define RESALE_STEP_H

enum step {
	STEP_DONE, /* nothing is left to do now */
	STEP_MORE, /* the next step should follow soon */
	STEP_AWAY, /* MySQL does not answer, or none of Redis does */
};

#endif
