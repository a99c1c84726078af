/*
 * Against guessing of passwords: failed logins of an account from one network
 * make the next one there wait, up to login_delay_s. Other networks do not
 * wait with it, so nobody can lock a user out. What one address may ask at
 * all is nginx's to limit.
 *
 * Blocks for an answer of Redis. While Redis is away nothing is counted and
 * nobody waits: a login of somebody who knows the password must not need it.
 */
#ifndef ACCOUNT_LOGIN_THROTTLE_H
#define ACCOUNT_LOGIN_THROTTLE_H

#include "sale/service.h"
#include "sale/status.h"

/*
 * Before a password is looked at: STATUS_OK, and the attempt counts as a
 * failure until login_throttle_forgive; or STATUS_RATE_LIMITED, and *wait_s (from 1)
 * says for how long. An address is what nginx calls it: IPv4 or IPv6 as text.
 */
enum status login_throttle_login(struct service *svc, struct str account, struct str address, int *wait_s);

/* The attempt was no wrong guess: the password was right, or nothing was found out. */
void login_throttle_forgive(struct service *svc, struct str account, struct str address);

#endif
