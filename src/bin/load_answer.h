/* What seckillctl load is answered: reading it from a connection, counting it, and how long it took. */
#ifndef BIN_LOAD_ANSWER_H
#define BIN_LOAD_ANSWER_H

#include "bin/ctl.h"

struct answer {
	int status;       /* 0: it is not there as a whole yet */
	struct str label; /* Seckill-Result, or the code of a problem; points into the text */
	size_t size;      /* bytes that it takes */
	bool closes;      /* the connection ends with it */
};

/* False: this is no answer of HTTP/1.1 with a length, or it will be longer than most bytes. */
bool answer_read(struct str text, size_t most, struct answer *out);

/* As in HdrHistogram, 32 buckets to each power of two: what is read from it is at most 3% too high. */
enum { HISTOGRAM_BUCKETS = 1024 };

struct histogram {
	int64_t count, late, max_us; /* late: more than a second; max_us is exact */
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

enum { TALLY_ANSWERS = 32, TALLY_LABEL = 32 };

struct tally {
	int64_t sent, unsent, elapsed_us;
	struct histogram latency, service; /* of what was answered: since it was due, and since it was sent */
	int count;
	struct tally_answer {
		int status; /* 0: no answer came */
		char label[TALLY_LABEL];
		struct histogram latency;
	} answers[TALLY_ANSWERS];
};

/* One end of a claim. A label is shorter than TALLY_LABEL; status 0 counts in no latency but its own. */
void tally_add(struct tally *t, int status, struct str label, int64_t latency_us, int64_t service_us);

/* Writes everything to c->out, as text or JSON. */
void tally_put(struct ctl *c, const struct tally *t);

#endif
