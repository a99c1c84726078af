/* Files that build-aux/embed.sh builds into the programs. */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

/* sql/NNN_NAME.sql, in the order of their versions. */
struct sql_file {
	int version;      /* NNN */
	const char *name; /* "NNN_NAME" */
	const char *text;
};

extern const struct sql_file sql_files[];
extern const int sql_file_count;

#endif
