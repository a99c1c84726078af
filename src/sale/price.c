#include "sale/price.h"

#include "base/buf.h"

static const struct str order_word = STR("{order}");

bool price_is_currency(struct str text)
{
	bool ok = text.n == CURRENCY_TEXT;
	for (size_t i = 0; ok && i < text.n; i++)
		ok = text.p[i] >= 'A' && text.p[i] <= 'Z';
	return ok;
}

/* The text behind a prefix; NULL if it does not begin with it. */
static const char *behind(struct str text, struct str prefix)
{
	return str_starts(text, prefix) ? text.p + prefix.n : NULL;
}

static bool is_url_character(char c)
{
	return c > ' ' && c < 0x7f && !strchr("\"<>\\^`{|}", c);
}

bool price_is_checkout_url(struct str text)
{
	const char *end = text.p + text.n, *p = behind(text, STR("https://"));
	bool has_order = false, in_host = true;
	if (!p)
		p = behind(text, STR("http://"));
	if (!p || p == end || strchr("/?#:{", *p) || text.n > CHECKOUT_URL_MAX)
		return false;
	while (p < end) {
		const char *next = behind((struct str){ p, (size_t)(end - p) }, order_word);
		in_host = in_host && !strchr("/?#", *p);
		if (next ? in_host : !is_url_character(*p))
			return false;
		has_order |= next != NULL;
		p = next ? next : p + 1;
	}
	return has_order;
}

struct str price_checkout_url(struct arena *a, struct str url, const char *order)
{
	struct buf b;
	const char *end = url.p + url.n, *at;
	buf_init(&b, a);
	while ((at = memmem(url.p, url.n, order_word.p, order_word.n))) {
		buf_put(&b, (struct str){ url.p, (size_t)(at - url.p) });
		buf_puts(&b, order);
		url.p = at + order_word.n;
		url.n = (size_t)(end - url.p);
	}
	buf_put(&b, url);
	return buf_str(&b);
}
