/*
 * A new file is complete before it gets its name, so no process maps an incomplete file. To make or replace a file, a
 * process locks the directory, and then checks again whether the file exists.
 */
#include "host/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static const char not_regular[] = "it is not a regular file";
static const char another_layout[] = "it was written by another version, or is another kind of file: move it away";

static size_t file_size(const struct shared_layout *l)
{
	return l->size + sizeof l->magic;
}

static bool has_magic(int fd, const struct stat *st, const struct shared_layout *l, uint64_t wanted)
{
	uint64_t magic;
	return st->st_size == (off_t)file_size(l) &&
	       pread(fd, &magic, sizeof magic, (off_t)l->size) == (ssize_t)sizeof magic && magic == wanted;
}

/* Not posix_fallocate, which writes to pages that other processes have mapped if the file system cannot allocate. */
static bool file_reserve(int fd, const struct stat *st, size_t size)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) == 0 ||
	       (errno == EOPNOTSUPP && (size_t)st->st_blocks * 512 >= (size_t)st->st_size);
}

/* NULL: the file has this layout and all its blocks. */
static const char *file_check(int fd, const struct shared_layout *l)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return not_regular;
	if (!has_magic(fd, &st, l, l->magic))
		return another_layout;
	return file_reserve(fd, &st, file_size(l)) ? NULL : strerror(errno);
}

static const char *file_join(int *fd, int directory, const char *name, const struct shared_layout *l)
{
	*fd = openat(directory, name, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	return *fd < 0 ? strerror(errno) : file_check(*fd, l);
}

static int file_fill(int fd, const struct shared_layout *l)
{
	int error = posix_fallocate(fd, 0, (off_t)file_size(l));
	if (!error && pwrite(fd, &l->magic, sizeof l->magic, (off_t)l->size) != (ssize_t)sizeof l->magic)
		error = errno;
	return error;
}

static const char *file_make(int *fd, int directory, const char *name, const struct shared_layout *l)
{
	char new[NAME_MAX + 1];
	snprintf(new, sizeof new, "%s.new", name);
	unlinkat(directory, new, 0); /* left by a process that was killed */
	*fd = openat(directory, new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
	int error = *fd < 0 ? errno : file_fill(*fd, l);
	if (!error && renameat(directory, new, directory, name) < 0)
		error = errno;
	if (error)
		unlinkat(directory, new, 0);
	return error ? strerror(error) : NULL;
}

static bool file_may_replace(int fd, const struct shared_layout *l)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return false;
	bool is_earlier = l->earlier && (st.st_size == (off_t)l->size || has_magic(fd, &st, l, l->earlier));
	return l->is_replaced || is_earlier || st.st_size == 0;
}

static const char *file_join_or_make(int *fd, int directory, const char *name, const struct shared_layout *l)
{
	if (flock(directory, LOCK_EX) < 0)
		return strerror(errno);
	const char *problem = file_join(fd, directory, name, l);
	bool is_missing = *fd < 0 && errno == ENOENT;
	if (!is_missing && !(problem == another_layout && file_may_replace(*fd, l)))
		return problem;
	if (*fd >= 0)
		close(*fd);
	return file_make(fd, directory, name, l);
}

/* Returns a descriptor of the directory; *name becomes the last part of the path. */
static int open_directory(const char *path, const char **name)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	*name = slash ? slash + 1 : path;
	snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash + 1 - path) : 1, slash ? path : ".");
	return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const char *file_map(struct shared *s, int fd)
{
	struct stat st;
	void *bytes = fstat(fd, &st) < 0 ? MAP_FAILED : mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return strerror(errno);
	s->bytes = bytes;
	s->device = st.st_dev;
	s->inode = st.st_ino;
	return NULL;
}

static const char *open_file(struct shared *s, const struct shared_layout *l, enum shared_use use)
{
	const char *name;
	int fd = -1, directory = open_directory(s->path, &name);
	if (directory < 0)
		return strerror(errno);
	const char *problem = (use == SHARED_MAKE ? file_join_or_make : file_join)(&fd, directory, name, l);
	if (!problem)
		problem = file_map(s, fd);
	if (fd >= 0)
		close(fd);
	close(directory); /* this also releases the lock */
	return problem;
}

void shared_open(struct shared *s, const char *path, const struct shared_layout *l, enum shared_use use)
{
	*s = (struct shared){ .path = path, .size = l->size };
	s->problem = open_file(s, l, use);
	if (!s->problem)
		return;
	void *own = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->bytes = alloc_checked(own == MAP_FAILED ? NULL : own);
}

void shared_close(struct shared *s)
{
	munmap(s->bytes, s->size);
}

const char *shared_problem(const struct shared *s)
{
	struct stat st;
	if (s->problem)
		return s->problem;
	if (stat(s->path, &st) < 0 || st.st_dev != s->device || st.st_ino != s->inode)
		return "the file was removed or replaced while it was in use";
	return NULL;
}

static bool may_write(const struct stat *file, uid_t user, gid_t group)
{
	mode_t wanted = S_IROTH | S_IWOTH;
	if (file->st_uid == user)
		wanted = S_IRUSR | S_IWUSR;
	else if (file->st_gid == group)
		wanted = S_IRGRP | S_IWGRP;
	return user == 0 || (file->st_mode & wanted) == wanted;
}

const char *shared_owner_problem(const char *path)
{
	const char *name;
	struct stat file, owner;
	int directory = open_directory(path, &name);
	bool known = directory >= 0 && fstat(directory, &owner) == 0 && fstatat(directory, name, &file, 0) == 0;
	if (directory >= 0)
		close(directory);
	return !known || may_write(&file, owner.st_uid, owner.st_gid)
		       ? NULL
		       : "the owner of its directory cannot write it: change its owner, or remove it and restart the service";
}
