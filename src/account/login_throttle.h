/*
 * Slows down the guessing of passwords: after failed logins to an account from one network, the next attempt from that
 * network must wait, up to login_delay_s. Attempts from other networks do not wait, so nobody can lock a user out.
 * nginx limits the requests of one address.
 *
 * Blocks for an answer of Redis. While Redis is unreachable nothing is counted and nobody waits, because a login with
 * the right password must not need Redis.
 */
#ifndef ACCOUNT_LOGIN_THROTTLE_H
#define ACCOUNT_LOGIN_THROTTLE_H

#include "sale/service.h"
#include "sale/status.h"

/*
 * Call this before checking a password. STATUS_OK: the attempt counts as a failure until login_throttle_forgive.
 * STATUS_RATE_LIMITED: the client must wait for *wait_s seconds, 1 or more. `address` is the client's IPv4 or IPv6
 * address as text.
 */
enum status login_throttle_begin(struct service *svc, struct str account, struct str address, int *wait_s);

/* Undoes the count of an attempt that did not fail: the password was right, or could not be checked. Blocks. */
void login_throttle_forgive(struct service *svc, struct str account, struct str address);

#endif
