#include "base/disk.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statvfs.h>

enum { ROOM = 1 << 20 };

const char *disk_problem(const char *directory)
{
	struct statvfs fs;
	if (statvfs(directory, &fs) < 0)
		return strerror(errno);
	if (fs.f_flag & ST_RDONLY)
		return strerror(EROFS);
	/* a total of 0 means that the file system has no limit */
	bool has_blocks = !fs.f_blocks || fs.f_bavail >= ROOM / fs.f_frsize;
	bool has_inodes = !fs.f_files || fs.f_favail > 0;
	return has_blocks && has_inodes ? NULL : strerror(ENOSPC);
}
