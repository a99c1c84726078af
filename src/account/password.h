/*
 * Passwords, hashed with yescrypt by libxcrypt. A stored hash names its method and cost (crypt(5)), so old hashes still
 * verify after the cost has changed. Hashing is slow on purpose: it blocks for tens of milliseconds.
 */
#ifndef ACCOUNT_PASSWORD_H
#define ACCOUNT_PASSWORD_H

#include "base/str.h"

enum { PASSWORD_MIN = 6, PASSWORD_MAX = 128, PASSWORD_TEXT = 256 };

/* Stored for a user who cannot log in: no password has this hash. */
#define PASSWORD_UNUSABLE "!"

/* Writes a hash with a fresh salt to text. False: the password is too long or has a zero byte, or libxcrypt failed. */
bool password_hash(struct str password, int cost, char text[PASSWORD_TEXT]);

/*
 * Whether `stored` is the hash of the password. When no password can have it (an empty text, for an unknown user;
 * PASSWORD_UNUSABLE; a damaged hash), the result is false, and takes as long as for a wrong password.
 */
bool password_verify(struct str password, struct str stored, int cost);

/* Whether the stored hash has the method and the cost that password_hash would use now. */
bool password_is_current(struct str stored, int cost);

#endif
