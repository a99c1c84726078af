#include "redis/hash_slot.h"

#include <stdint.h>

/* CRC-16/XMODEM, as the specification names it. */
static uint16_t crc16(const char *p, size_t n)
{
	uint16_t crc = 0;
	for (size_t i = 0; i < n; i++) {
		crc ^= (uint16_t)((unsigned char)p[i] << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

int hash_slot(struct str key)
{
	const char *open = memchr(key.p, '{', key.n);
	if (open) {
		size_t rest = key.n - (size_t)(open + 1 - key.p);
		const char *close = memchr(open + 1, '}', rest);
		if (close && close > open + 1)
			key = (struct str){ open + 1, (size_t)(close - open - 1) };
	}
	return crc16(key.p, key.n) % HASH_SLOTS;
}
