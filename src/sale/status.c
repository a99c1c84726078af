#include "sale/status.h"

static const struct {
	int http;
	const char *code, *text;
} table[STATUS_COUNT] = {
#define X(name, http, code, text) [STATUS_##name] = { http, code, text },
#include "sale/status.def"
#undef X
};

int status_http(enum status s)
{
	return table[s].http;
}

const char *status_code(enum status s)
{
	return table[s].code;
}

const char *status_text(enum status s)
{
	return table[s].text;
}
