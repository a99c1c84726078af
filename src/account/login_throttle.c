/*
 * A login touches two keys, in one hash slot: the failures of the account from the client's network, and from anywhere.
 * A network is a block of addresses that one attacker can easily get: an IPv4 /24 or an IPv6 /64. Keys are hashes of
 * names and networks, and an unknown name waits like a known one.
 */
#include "account/login_throttle.h"

#include <arpa/inet.h>

#include "host/log.h"
#include "sale/key.h"
#include "sale/scripts.h"

enum { V4_NETWORK = 3, V6_NETWORK = 8, V4_MAPPED = 12 };

/* Never 0: network 0 stands for anywhere. */
static int64_t network_hash(struct str address)
{
	static const unsigned char mapped[V4_MAPPED] = { [10] = 0xff, [11] = 0xff };
	unsigned char bytes[sizeof(struct in6_addr)];
	char text[INET6_ADDRSTRLEN];
	struct str network = address;
	if (address.n < sizeof text) {
		memcpy(text, address.p, address.n);
		text[address.n] = '\0';
		if (inet_pton(AF_INET, text, bytes) == 1)
			network = (struct str){ (char *)bytes, V4_NETWORK };
		else if (inet_pton(AF_INET6, text, bytes) == 1)
			network = memcmp(bytes, mapped, V4_MAPPED) == 0
					  ? (struct str){ (char *)bytes + V4_MAPPED, V4_NETWORK }
					  : (struct str){ (char *)bytes, V6_NETWORK };
	}
	return key_hash(network) | 1;
}

static void put_keys(struct redis_command *c, struct str account, struct str address)
{
	int64_t hash = key_hash(account);
	key_put(c, KEY_FAILURES, hash, network_hash(address));
	key_put(c, KEY_FAILURES, hash, 0);
}

enum status login_throttle_begin(struct service *svc, struct str account, struct str address, int *wait_s)
{
	struct arena a = { 0 };
	struct redis_command c;
	const struct redis_reply *reply = NULL;
	if (!svc->conf->login_delay_s)
		return STATUS_OK;
	redis_script(&c, &script_throttle, 2);
	put_keys(&c, account, address);
	redis_put_int(&c, 1000LL * svc->conf->login_delay_s);
	enum redis_outcome end = redis_call(svc->redis_sync, &a, &c, &reply);
	int64_t longest_ms = 1000LL * svc->conf->login_delay_s, wait_ms = 0;
	if (end == REDIS_ANSWER && !redis_number_in(reply, 0, longest_ms, &wait_ms))
		wait_ms = longest_ms;
	if (end != REDIS_ANSWER)
		log_warn_limited("logins_not_counted", LOG_TEXT("reason", "no answer of Redis"));
	arena_release(&a);
	*wait_s = (int)((wait_ms + 999) / 1000);
	return wait_ms > 0 ? STATUS_RATE_LIMITED : STATUS_OK;
}

void login_throttle_forgive(struct service *svc, struct str account, struct str address)
{
	struct arena a = { 0 };
	struct redis_command c;
	if (!svc->conf->login_delay_s)
		return;
	redis_script(&c, &script_forgive, 2);
	put_keys(&c, account, address);
	redis_call(svc->redis_sync, &a, &c, NULL); /* without an answer the failure expires later */
	arena_release(&a);
}
