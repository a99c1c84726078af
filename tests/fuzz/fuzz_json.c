/*
 * A body of JSON, read by a table. What was read is within the table's
 * bounds; written by our own writer and read again, it is the same.
 */
#include "fuzz/fuzz.h"

#include <assert.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/parse.h"

enum { FIELDS = 5 };

struct values {
	struct str name, description, part;
	int64_t amount, add;
	bool has[FIELDS];
};

static bool read(struct arena *a, struct str body, struct values *v)
{
	const struct json_field fields[FIELDS] = {
		{ "name", JSON_TEXT, true, 1, 240, &v->name, NULL, &v->has[0] },
		{ "amount", JSON_INT, true, 1, 1000000000, NULL, &v->amount, &v->has[1] },
		{ "description", JSON_TEXT, false, 0, 1000, &v->description, NULL, &v->has[2] },
		{ "add", JSON_INT, false, INT64_MIN, INT64_MAX, NULL, &v->add, &v->has[3] },
		{ "part", JSON_OBJECT, false, 0, 0, &v->part, NULL, &v->has[4] },
	};
	bool is_json = false;
	const char *problem = NULL;
	*v = (struct values){ 0 };
	if (json_read(a, body, fields, FIELDS, &is_json, &problem))
		return true;
	assert(problem && *problem);
	return false;
}

static void check(const struct values *v)
{
	assert(v->has[0] && v->has[1]);
	assert(v->name.n >= 1 && v->name.n <= 240 && parse_is_utf8(v->name) && !memchr(v->name.p, '\0', v->name.n));
	assert(v->amount >= 1 && v->amount <= 1000000000);
	assert(!v->has[4] || (v->part.n >= 2 && v->part.p[0] == '{'));
	if (v->has[2] && v->description.n)
		assert(v->description.n <= 1000 && parse_is_utf8(v->description) &&
		       !memchr(v->description.p, '\0', v->description.n));
}

static struct str written(struct arena *a, const struct values *v)
{
	struct buf body;
	buf_init(&body, a);
	json_begin(&body, NULL, '{');
	json_str(&body, "name", v->name);
	json_int(&body, "amount", v->amount);
	if (v->has[2])
		json_str(&body, "description", v->description);
	if (v->has[3])
		json_int(&body, "add", v->add);
	json_end(&body, '}');
	return buf_str(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct values first, second;
	if (read(&a, (struct str){ (const char *)data, size }, &first)) {
		check(&first);
		assert(parse_is_utf8((struct str){ (const char *)data, size }));
		assert(read(&a, written(&a, &first), &second));
		assert(str_eq(first.name, second.name) && first.amount == second.amount && first.add == second.add);
		assert(first.has[2] == second.has[2] && first.has[3] == second.has[3]);
		assert(!first.has[2] || str_eq(first.description, second.description));
	}
	arena_release(&a);
	return 0;
}
