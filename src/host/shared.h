/*
 * Memory shared by the processes of one host: a mapped file of a fixed size. Its blocks are reserved before it is
 * mapped, because a page that the file system cannot store would end the process with SIGBUS. Where the file cannot
 * be used, the process gets memory of its own and a reason.
 */
#ifndef HOST_SHARED_H
#define HOST_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The file: `size` bytes, zero when it is new, then the magic. */
struct shared_layout {
	size_t size;
	uint64_t magic;   /* kind and version */
	bool is_replaced; /* a file of another layout is replaced by a new one; else it is refused and left alone */
	uint64_t earlier; /* the magic of an earlier version with as many bytes, or 0: that one's file is replaced, too,
			      with and without the magic */
};

enum shared_use {
	SHARED_MAKE, /* a file that is missing is made; processes that do so at once end with the same file */
	SHARED_JOIN, /* never makes or replaces a file */
};

struct shared {
	void *bytes;
	const char *path, *problem;
	size_t size;
	dev_t device;
	ino_t inode;
};

/*
 * Never fails: bytes is the file, or memory of this process alone, and then problem says why. The path must outlive it.
 * SHARED_MAKE waits while another process makes a file in the same directory.
 */
void shared_open(struct shared *s, const char *path, const struct shared_layout *l, enum shared_use use);
void shared_close(struct shared *s);

/* NULL: the file is shared, and still the one under its path. Else the reason, a constant. One stat(2). */
const char *shared_problem(const struct shared *s);

/*
 * What keeps the owner of its directory, who is the service's user, from using the file; NULL: nothing, or the file or
 * its directory cannot be looked at.
 */
const char *shared_owner_problem(const char *path);

#endif
