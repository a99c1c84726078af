/*
 * Memory that the processes of one host share: a mapped file of a fixed size. Its blocks are reserved before it is
 * mapped, because a page for which the file system has no room would end the process with SIGBUS. When the file cannot
 * be used, the process gets private memory and a reason.
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
	bool is_replaced; /* true: a file of another layout is replaced; false: it is refused, and not changed */
	uint64_t earlier; /* 0, or the magic of an earlier version of the same size, whose files, with and without the
			   * magic, are replaced, too */
};

enum shared_use {
	SHARED_MAKE, /* makes a missing file; processes that do so at the same time use the same file */
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
 * Never fails: bytes is the mapped file, or private memory, and then problem is the reason. The path must outlive s.
 * SHARED_MAKE waits while another process makes a file in the same directory.
 */
void shared_open(struct shared *s, const char *path, const struct shared_layout *l, enum shared_use use);
void shared_close(struct shared *s);

/* NULL: the file is in use, and still at its path. Otherwise the problem, a constant. One stat(2). */
const char *shared_problem(const struct shared *s);

/*
 * Why the owner of the directory, which is the user of the service, cannot use the file. NULL: the owner can, or the
 * file or its directory cannot be examined.
 */
const char *shared_owner_problem(const char *path);

#endif
