/* Answers to claims: reading them from a connection, counting them, and their latencies. */
#ifndef LOAD_LOAD_ANSWER_H
#define LOAD_LOAD_ANSWER_H

#include "base/buf.h"

struct answer {
	int status;       /* 0: the answer is not complete yet */
	struct str label; /* Seckill-Result, or the code of a problem; points into the text */
	size_t size;      /* in bytes, with its head */
	bool closes;      /* the server closes the connection after it */
};

/* False: this is not an HTTP/1.1 answer with a length, or it is longer than `most` bytes. */
bool answer_read(struct str text, size_t most, struct answer *out);

/* As in HdrHistogram, 32 buckets for each power of two: percentiles are at most 3% too high. */
enum { HISTOGRAM_BUCKETS = 1024 };

struct histogram {
	int64_t count, late, max_us; /* late: above a second; max_us is exact */
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

enum { TALLY_ANSWERS = 32, TALLY_LABEL = 32 };

struct tally {
	int64_t sent, unsent, elapsed_us;
	struct histogram latency, service; /* of answered claims: since they were due, and since they were sent */
	int count;
	struct tally_answer {
		int status; /* 0: not answered */
		char label[TALLY_LABEL];
		struct histogram latency;
	} answers[TALLY_ANSWERS];
};

/* Counts a claim that ended. A label is shorter than TALLY_LABEL. Status 0 does not count in latency and service. */
void tally_add(struct tally *t, int status, struct str label, int64_t latency_us, int64_t service_us);

/* Writes it as a JSON object. */
void tally_put(struct buf *out, const struct tally *t);

#endif
