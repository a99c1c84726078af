#include "stock/claim_cost.h"

double claim_scripts_per_win(const struct stats *s)
{
	static const enum counter scripts[] = { COUNT_scripts_total__claim, COUNT_scripts_total__exchange,
						COUNT_scripts_total__debit, COUNT_scripts_total__flag,
						COUNT_scripts_total__supply };
	uint64_t sum = 0, won = stats_read(s, COUNT_claims_total__won);
	for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
		sum += stats_read(s, scripts[i]);
	return won ? (double)sum / (double)won : 0;
}
