/* Owners and order records, as words and in memory. */
#include "unit/unit.h"

#include "base/parse.h"
#include "sale/order_record.h"

static const struct {
	const char *word;
	struct owner owner;
} owners[] = {
	{ "1", { 1, 1 } },
	{ "281474976710655", { 281474976710655, 1 } },
	{ "9007199254740992", { NUMBER_MAX, 1 } },
	{ "12#2", { 12, 2 } },
	{ "9007199254740992#100", { NUMBER_MAX, 100 } },
};

static void an_owner_has_one_word(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(owners); i++) {
		char text[OWNER_TEXT];
		struct owner o = { 0 };
		struct str word = owner_text(text, owners[i].owner);
		expect(str_eq(word, str_of(owners[i].word)), "%s", owners[i].word);
		expect(owner_read(word, &o) && owner_eq(o, owners[i].owner), "%s", owners[i].word);
		expect(owner_code(o) > 0 && owner_eq(owner_of_code(owner_code(o)), o), "%s", owners[i].word);
	}
}

static void other_words_are_no_owners(void **state)
{
	(void)state;
	static const char *words[] = { "",	"0",	 "-1",	  "+1",	   " 1",   "1 ",    "01",	      "?",
				       "#",	"#2",	 "1#",	  "1#0",   "1#1",  "1#01",  "1#02",	      "1#101",
				       "1#-2",	"1#2#3", "1##2",  "1#2 ",  "1|2",  "0#2",   "9007199254740993", "1#2147483650",
				       "1#4294967298" };
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		struct owner o = { 7, 3 };
		expect(!owner_read(str_of(words[i]), &o), "%s", words[i]);
		expect(o.user == 7 && o.unit == 3, "%s", words[i]);
	}
	struct owner o;
	expect(!owner_read((struct str){ 0 }, &o), "nothing");
	expect(!owner_read((struct str){ "1\0", 2 }, &o), "a zero byte");
}

static void owners_have_an_order(void **state)
{
	(void)state;
	static const struct owner ascending[] = { { 1, 1 }, { 1, 2 }, { 1, 100 }, { 2, 1 }, { NUMBER_MAX, 1 } };
	for (size_t i = 0; i < COUNT_OF(ascending); i++)
		for (size_t k = 0; k < COUNT_OF(ascending); k++) {
			int order = owner_compare(ascending[i], ascending[k]);
			expect((order > 0) - (order < 0) == (i > k) - (i < k), "%zu and %zu", i, k);
		}
}

static const struct {
	const char *text;
	struct order_record record;
} records[] = {
	{ "1|2|3", { .sequence = 1, .user = 2, .unit = 1, .claimed_ms = 3 } },
	{ "1|2#100|3", { .sequence = 1, .user = 2, .unit = 100, .claimed_ms = 3 } },
	{ "1|2|3|4", { .sequence = 1, .user = 2, .unit = 1, .claimed_ms = 3, .ticket = 4 } },
	{ "1|2#2|3|4", { .sequence = 1, .user = 2, .unit = 2, .claimed_ms = 3, .ticket = 4 } },
	{ "1|?|3", { .sequence = 1, .unit = 1, .claimed_ms = 3 } },
	{ "9007199254740992|9007199254740992#100|9007199254740992|9007199254740992",
	  { .sequence = NUMBER_MAX, .user = NUMBER_MAX, .unit = 100, .claimed_ms = NUMBER_MAX, .ticket = NUMBER_MAX } },
};

static void a_record_is_read_as_it_was_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(records); i++) {
		char text[ORDER_RECORD_TEXT];
		const struct order_record *want = &records[i].record;
		struct order_record r = { .segment = 5 };
		struct str word = order_record_text(text, want);
		expect(str_eq(word, str_of(records[i].text)), "%s", records[i].text);
		expect(order_record_read(word, &r), "%s", records[i].text);
		expect(r.segment == 5 && r.sequence == want->sequence && r.user == want->user && r.unit == want->unit &&
			       r.claimed_ms == want->claimed_ms && r.ticket == want->ticket && str_eq(r.raw, word),
		       "%s", records[i].text);
	}
}

static void other_texts_are_no_records(void **state)
{
	(void)state;
	static const char *texts[] = { "",	    "1",	"1|2",	   "|2|3",    "1||3",	  "1|2|",   "0|2|3",  "1|0|3",
				       "1|2|0",	    "1|2|3|",	"1|2|3|0", "1|2|3|x", "1|2|3|4|", "1|?|3|4", "1|??|3", "1|2#1|3",
				       "1|2#101|3", "1|?#2|3",	"1|2|?",   "1|02|3",  "1|2|3|4|5" };
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct order_record r = { .segment = 5, .user = 6, .unit = 7 };
		expect(!order_record_read(str_of(texts[i]), &r), "%s", texts[i]);
		expect(r.segment == 5 && r.user == 6 && r.unit == 7 && r.raw.n == strlen(texts[i]), "%s", texts[i]);
	}
}

UNIT_MAIN(cmocka_unit_test(an_owner_has_one_word), cmocka_unit_test(other_words_are_no_owners), cmocka_unit_test(owners_have_an_order), cmocka_unit_test(a_record_is_read_as_it_was_written), cmocka_unit_test(other_texts_are_no_records))
