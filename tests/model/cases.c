#include "model/cases.h"

#include <stdio.h>

#define FAMILIES(...)                                                                                                  \
	{                                                                                                              \
		(const struct family[]){ __VA_ARGS__ }, sizeof((const struct family[]){ __VA_ARGS__ }) /               \
		                                                sizeof(struct family)                                  \
	}

const struct families quick_families = FAMILIES(
	{ "one segment", { .segments = 1, .units = 1, .claimers = 3, .adds = 1, .returns = 1, .granted_most = 4, .ticks = 2,
			   .want = 2, .requests = true }, 1 },
	{ "fewer units than segments", { .segments = 3, .units = 1, .claimers = 3, .granted_most = 2, .want = 1,
					 .requests = true }, 0 },
	{ "the last unit to and fro", { .segments = 2, .units = 1, .claimers = 2, .granted_most = 7, .want = 2,
					.requests = true }, 1 },
	{ "four units, two segments", { .segments = 2, .units = 4, .claimers = 3, .granted_most = 4, .want = 3,
					.requests = true }, 3 },
	{ "four units, three segments", { .segments = 3, .units = 4, .claimers = 3, .granted_most = 3, .want = 2 }, 3 },
	{ "sold out, and more is added", { .segments = 2, .units = 1, .claimers = 2, .adds = 1, .granted_most = 3,
					   .ticks = 2, .want = 1, .requests = true }, 1 },
	{ "two are added", { .segments = 2, .units = 1, .claimers = 3, .adds = 2, .granted_most = 3, .ticks = 1,
			     .want = 2 }, 0 },
	{ "an order is cancelled", { .segments = 2, .units = 1, .claimers = 2, .returns = 1, .granted_most = 3, .ticks = 2,
				     .want = 1, .requests = true }, 1 },
	{ "three segments, one is added", { .segments = 3, .units = 2, .claimers = 3, .adds = 1, .granted_most = 2,
					    .ticks = 1, .want = 1 }, 2 },
	{ "opened while it sells", { .segments = 2, .units = 2, .claimers = 2, .adds = 1, .granted_most = 2, .ticks = 1,
				     .want = 1, .opening = true }, 2 });

const struct families long_families = FAMILIES(
	{ "all of it", { .segments = 2, .units = 1, .claimers = 3, .adds = 1, .returns = 1, .granted_most = 3, .ticks = 2,
			 .want = 2, .requests = true }, 2 },
	{ "all of it, three segments", { .segments = 3, .units = 1, .claimers = 3, .adds = 1, .returns = 1,
					 .granted_most = 2, .ticks = 1, .want = 1 }, 1 },
	{ "four units, three segments, all at the hub", { .segments = 3, .units = 4, .claimers = 3, .granted_most = 4,
							  .want = 3, .opening = true }, 0 },
	{ "four units, three segments, one is added", { .segments = 3, .units = 4, .claimers = 3, .adds = 1,
							.granted_most = 3, .ticks = 1, .want = 1 }, 3 });

const struct families small_families = FAMILIES(
	{ "one is added", { .segments = 2, .units = 1, .claimers = 2, .adds = 1, .granted_most = 2, .ticks = 1,
			    .want = 1 }, 0 },
	{ "an order is cancelled", { .segments = 2, .units = 1, .claimers = 2, .returns = 1, .granted_most = 2, .ticks = 1,
				     .want = 1, .opening = true }, 1 },
	{ "two units", { .segments = 2, .units = 2, .claimers = 3, .granted_most = 3, .want = 2 }, 0 });

const struct family mutants_family = { "mutants",
	                               { .segments = 2, .units = 1, .claimers = 2, .adds = 1, .granted_most = 3,
	                                 .ticks = 1, .want = 1, .requests = true },
	                               1 };

const struct family two_supplies_family = { "mutants, two supplies",
	                                    { .segments = 1, .units = 1, .claimers = 3, .adds = 1, .returns = 1,
	                                      .granted_most = 3, .ticks = 1, .want = 1 },
	                                    1 };

void first_homes(const struct family *f, struct sale *sale)
{
	*sale = f->sale;
	for (int i = 0; i < sale->segments; i++)
		sale->first[i] = f->first_share / sale->segments + (i < f->first_share % sale->segments);
}

bool next_homes(struct sale *sale)
{
	int c = 0;
	while (c < sale->claimers && sale->home[c] == sale->segments - 1)
		c++;
	if (c == sale->claimers)
		return false;
	sale->home[c]++;
	while (c--)
		sale->home[c] = sale->home[c + 1];
	return true;
}

const char *sale_text(char text[160], const struct sale *sale)
{
	int n = snprintf(text, 160, "%d segments, %d units, granted", sale->segments, sale->units);
	for (int i = 0; i < sale->segments; i++)
		n += snprintf(text + n, 160 - n, " %d", sale->first[i]);
	n += snprintf(text + n, 160 - n, "; %d claimers, homes", sale->claimers);
	for (int c = 0; c < sale->claimers; c++)
		n += snprintf(text + n, 160 - n, " %d", sale->home[c]);
	n += snprintf(text + n, 160 - n, "; %d added, %d cancelled; G <= %d, %d ticks, want <= %d", sale->adds,
	              sale->returns, sale->granted_most, sale->ticks, sale->want);
	return text;
}
