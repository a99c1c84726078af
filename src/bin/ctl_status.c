/* status: the coupons, and what the processes of this host have counted. */
#include "base/board.h"
#include "bin/ctl.h"

static const struct {
	const char *metric, *title;
} metrics[] = {
	{ "claims_total__", "claims" },
	{ "scripts_total__", "scripts" },
	{ "stock_moves_total__", "stock_moves" },
	{ "stock_units_total__", "stock_units" },
};

static bool is_row_of(enum counter c, const char *metric)
{
	return strncmp(board_name(c), metric, strlen(metric)) == 0;
}

/* The value in {label="value"}. */
static struct str label_of(enum counter c)
{
	const char *begin = strchr(board_labels(c), '"') + 1;
	return (struct str){ begin, (size_t)(strchr(begin, '"') - begin) };
}

static void put_json(struct ctl *c)
{
	const struct board *b = c->service->board;
	json_begin(&c->out, "host", '{');
	for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
		json_begin(&c->out, metrics[i].title, '{');
		for (enum counter k = 0; k < COUNTERS; k++)
			if (is_row_of(k, metrics[i].metric))
				json_int(&c->out, arena_strndup(c->arena, label_of(k).p, label_of(k).n),
					 (int64_t)board_read(b, k));
		json_end(&c->out, '}');
	}
	json_int(&c->out, "scripts_per_1000_wins", (int64_t)(board_scripts_per_win(b) * 1000 + 0.5));
	json_end(&c->out, '}');
}

static void put_text(struct ctl *c)
{
	const struct board *b = c->service->board;
	for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
		const char *sign = " ";
		buf_printf(&c->out, "%s:", metrics[i].title);
		for (enum counter k = 0; k < COUNTERS; k++) {
			if (!is_row_of(k, metrics[i].metric))
				continue;
			buf_printf(&c->out, "%s%llu %.*s", sign, (unsigned long long)board_read(b, k),
				   (int)label_of(k).n, label_of(k).p);
			sign = ", ";
		}
		buf_puts(&c->out, "\n");
	}
	buf_printf(&c->out, "scripts per winning claim: %.3f\n", board_scripts_per_win(b));
}

/* Of another host, or of nobody: the coupons are right all the same. */
static void warn_without_board(struct ctl *c)
{
	const char *problem = board_problem(c->service->board);
	if (problem)
		ctl_fail(c, EXIT_HOLDS,
			 arena_printf(c->arena, "no counters of this host: %s: %s", c->service->conf->board, problem));
}

int ctl_status(struct ctl *c, int argc, char **argv)
{
	if (c->json)
		json_begin(&c->out, NULL, '{');
	int code = ctl_units(c, argc, argv, "coupons");
	if (code != EXIT_HOLDS)
		return code;
	warn_without_board(c);
	if (!c->json) {
		put_text(c);
		return code;
	}
	put_json(c);
	json_end(&c->out, '}');
	buf_puts(&c->out, "\n");
	return code;
}
