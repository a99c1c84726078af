/*
 * Passwords, hashed by yescrypt through libxcrypt. The stored text says how it
 * was made (crypt(5)), so costs can change while old hashes still verify.
 * Hashing is slow on purpose: it blocks for tens of milliseconds.
 */
#ifndef ACCOUNT_PASSWORD_H
#define ACCOUNT_PASSWORD_H

#include "base/str.h"

enum { PASSWORD_MIN = 6, PASSWORD_MAX = 128, PASSWORD_TEXT = 256 };

/* Stored for a user who cannot log in: no password has this hash. */
#define PASSWORD_UNUSABLE "!"

/* A new hash with a fresh salt. False: the password is longer than PASSWORD_MAX, or the system refused. */
bool password_hash(struct str password, int cost, char text[PASSWORD_TEXT]);

/*
 * Whether the password has this stored hash. When no password can have it
 * (no such user: an empty text; PASSWORD_UNUSABLE; damage), this takes as long
 * as a wrong password does and is false.
 */
bool password_verify(struct str password, struct str stored, int cost);

/* Whether the stored hash was made as password_hash would make it now. */
bool password_is_current(struct str stored, int cost);

#endif
