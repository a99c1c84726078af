/* Whether a directory can take files that another program (nginx) writes there. */
#ifndef BASE_DISK_H
#define BASE_DISK_H

/* NULL: the directory is there and its file system has a megabyte of room. Else the reason, a constant. One statvfs(2).
 */
const char *disk_problem(const char *directory);

#endif
