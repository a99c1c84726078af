#include "model/life/life.h"

enum {
	AGAIN,
	TWO_PAYMENTS,
	LATE,
	LATE_TWO,
	LATE_SOLD,
	LATE_REFUND,
	SELLER_CANCELS,
	WRONG_AMOUNT,
	LIMITED,
	LIMITED_BY_SELLER,
	DEAD_LETTER,
	CONFIRMED
};

static const struct sale quick[] = {
	[AGAIN] = { "customers cancel, expire and claim again", .units = 1, .customers = 2, .orders = 4, .ends = 3,
		    .asks_payment = true },
	[TWO_PAYMENTS] = { "two payments, refunds, no late payments", .units = 1, .customers = 2, .orders = 3,
			   .payments = 2, .ends = 3, .asks_payment = true, .refunds = true },
	[LATE] = { "a late payment", .units = 1, .customers = 2, .orders = 3, .payments = 1, .ends = 3,
		   .asks_payment = true, .late = true, .seller = true },
	[LATE_TWO] = { "two late payments of one customer", .units = 1, .customers = 1, .orders = 3, .payments = 2,
		       .ends = 3, .asks_payment = true, .late = true },
	[LATE_SOLD] = { "a late payment beside one in time", .units = 1, .customers = 2, .orders = 2, .payments = 2,
			.ends = 3, .asks_payment = true, .late = true },
	[LATE_REFUND] = { "a late payment that is refunded", .units = 2, .customers = 2, .orders = 3, .payments = 1,
			  .ends = 3, .asks_payment = true, .late = true, .refunds = true },
	[SELLER_CANCELS] = { "the seller cancels paid orders", .units = 1, .customers = 2, .orders = 3, .payments = 2,
			     .ends = 3, .asks_payment = true, .seller = true },
	[WRONG_AMOUNT] = { "payments of wrong amounts", .units = 1, .customers = 1, .orders = 2, .payments = 2,
			   .ends = 3, .asks_payment = true, .late = true, .wrong = true, .refunds = true },
	[LIMITED] = { "tombstones after two ends", .units = 1, .customers = 2, .orders = 4, .payments = 1, .ends = 2,
		      .asks_payment = true, .late = true },
	[LIMITED_BY_SELLER] = { "what the seller cancels does not count", .units = 1, .customers = 2, .orders = 4,
				.ends = 2, .asks_payment = true, .seller = true },
	[DEAD_LETTER] = { "records that MySQL refuses", .units = 2, .customers = 2, .orders = 3, .payments = 1,
			  .ends = 3, .asks_payment = true, .late = true, .dead = true },
	[CONFIRMED] = { "a sale without pay_within", .units = 1, .customers = 2, .orders = 3, .payments = 1, .ends = 3,
			.late = true, .seller = true },
};
const struct sales quick_sales = { quick, sizeof quick / sizeof *quick };

static const struct sale more[] = {
	{ "late payments of two customers", .units = 1, .customers = 2, .orders = 3, .payments = 2, .ends = 3,
	  .asks_payment = true, .late = true, .seller = true },
	{ "two units, three customers", .units = 2, .customers = 3, .orders = 4, .payments = 1, .ends = 2,
	  .asks_payment = true, .late = true, .seller = true },
	{ "everything at once", .units = 1, .customers = 2, .orders = 3, .payments = 2, .ends = 2, .asks_payment = true,
	  .late = true, .wrong = true, .refunds = true, .seller = true, .dead = true },
};
const struct sales long_sales = { more, sizeof more / sizeof *more };

enum mutant mutant = NO_MUTANT;

#define MUTANT(id, sale, name, what) [id] = { name, what, sale },
const struct mutant_row mutants[MUTANTS] = {
#include "model/life/mutants.def"
};
