/* Whether another program (nginx) can write files in a directory. */
#ifndef BASE_DISK_H
#define BASE_DISK_H

/*
 * NULL: the directory exists, and its file system has a megabyte left. Otherwise the problem, a constant. One
 * statvfs(2).
 */
const char *disk_problem(const char *directory);

#endif
