#include "stock/nginx_marker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "host/log.h"

enum {
	QUARTER_MS = 250, /* as nginx cuts its clock */
	PATH_SIZE = 1024,
	WATCH_MS = 250,
	KEEP_S = 1,      /* no word lasts longer */
	STEP_MS = 50,    /* less than this is how exactly two clocks are read */
	PAGES_MS = 3000, /* for which nginx keeps a page */
	UNKNOWN_MS = 3600000
};

/* The files of a coupon */

/* Workers answer then, so nothing is wrong but the price of an answer; a line every ten seconds is enough. */
static void count_failure(const struct nginx_marker *m, const char *path)
{
	enum { REPORT_MS = 10000 };
	static int64_t reported_ms;
	int reason = errno;
	int64_t now = clock_mono_ms();
	stats_add(m->stats, COUNT_sold_out_files_failed_total, 1);
	if (reported_ms && now - reported_ms < REPORT_MS)
		return;
	reported_ms = now;
	log_warn("sold_out_file_failed", LOG_TEXT("path", path), LOG_TEXT("reason", strerror(reason)));
}

static void put_file(const struct nginx_marker *m, int64_t quarter)
{
	char path[PATH_SIZE];
	size_t n = (size_t)snprintf(path, sizeof path, "%s/%lld.%02d", m->conf->sold_out_dir, (long long)(quarter / 4),
				    (int)(quarter % 4) * 25);
	mkdir(path, 0750);
	n += (size_t)snprintf(path + n, sizeof path - n, "/%.*s", (int)m->seller.n, m->seller.p);
	mkdir(path, 0750);
	snprintf(path + n, sizeof path - n, "/%.*s", (int)m->name.n, m->name.p);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		count_failure(m, path);
	else
		close(fd);
}

static void remove_file(const struct nginx_marker *m, int64_t quarter)
{
	char path[PATH_SIZE];
	snprintf(path, sizeof path, "%s/%lld.%02d/%.*s/%.*s", m->conf->sold_out_dir, (long long)(quarter / 4),
		 (int)(quarter % 4) * 25, (int)m->seller.n, m->seller.p, (int)m->name.n, m->name.p);
	unlink(path);
}

static void set_range(struct nginx_marker *m, int64_t begin, int64_t end)
{
	for (int64_t q = m->begin; q < m->end; q++)
		if (q < begin || q >= end)
			remove_file(m, q);
	for (int64_t q = begin; q < end; q++)
		if (q < m->begin || q >= m->end)
			put_file(m, q);
	m->begin = begin;
	m->end = end;
}

void nginx_marker_leave(struct nginx_marker *m, int64_t lasts_ms)
{
	int64_t now = clock_ms();
	if (*m->conf->sold_out_dir)
		set_range(m, now / QUARTER_MS, (now + lasts_ms) / QUARTER_MS);
}

void nginx_marker_take_back(struct nginx_marker *m)
{
	set_range(m, 0, 0);
}

/* The directories of the quarters */

static void each_quarter(const struct conf *conf, void (*act)(const char *path, void *context), void *context)
{
	char path[PATH_SIZE];
	DIR *all = *conf->sold_out_dir ? opendir(conf->sold_out_dir) : NULL;
	if (!all)
		return;
	for (struct dirent *e = readdir(all); e; e = readdir(all)) {
		snprintf(path, sizeof path, "%s/%s", conf->sold_out_dir, e->d_name);
		if (atoll(e->d_name))
			act(path, context);
	}
	closedir(all);
}

static void remove_name(const char *quarter, void *context)
{
	char path[2 * PATH_SIZE];
	snprintf(path, sizeof path, "%s/%s", quarter, (const char *)context);
	unlink(path);
}

void nginx_marker_remove(const struct conf *conf, struct str seller, struct str name)
{
	char names[PATH_SIZE];
	snprintf(names, sizeof names, "%.*s/%.*s", (int)seller.n, seller.p, (int)name.n, name.p);
	each_quarter(conf, remove_name, names);
}

/* nftw's, depth first. */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

static void remove_quarter(const char *path, void *context)
{
	const int64_t *kept_s = context; /* NULL: none */
	if (!kept_s || llabs(atoll(strrchr(path, '/') + 1) - *kept_s) > KEEP_S)
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The wall clock is set */

static void set_back_path(char path[PATH_SIZE], const struct conf *conf)
{
	snprintf(path, PATH_SIZE, "%s/set-back", conf->sold_out_dir);
}

/* No pages for so long. Whoever starts meanwhile does not know how long that is. */
static void keep_no_pages(struct service *svc, int64_t ms)
{
	char path[PATH_SIZE];
	int64_t until = clock_mono_ms() + ms;
	set_back_path(path, svc->conf);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd >= 0)
		close(fd);
	if (until > svc->set_back_until_ms)
		svc->set_back_until_ms = until;
}

static void keep_pages(struct service *svc)
{
	char path[PATH_SIZE];
	set_back_path(path, svc->conf);
	unlink(path);
	svc->set_back_until_ms = 0;
}

static void on_step(struct service *svc, int64_t step_ms)
{
	each_quarter(svc->conf, remove_quarter, NULL);
	if (step_ms < 0)
		keep_no_pages(svc, -step_ms + PAGES_MS);
	log_warn("wall_clock_was_set", LOG_INT("by_ms", step_ms));
}

static void on_watch(struct loop_timer *t)
{
	struct service *svc = container_of(t, struct service, marker_timer);
	int64_t offset = clock_offset_ms(), step = offset - svc->clock_offset_ms, now_s = clock_ms() / 1000;
	svc->clock_offset_ms = offset;
	if (llabs(step) > STEP_MS)
		on_step(svc, step);
	else
		each_quarter(svc->conf, remove_quarter, &now_s);
	if (svc->set_back_until_ms && clock_mono_ms() >= svc->set_back_until_ms)
		keep_pages(svc);
	loop_timer_set(svc->loop, t, WATCH_MS);
}

void nginx_marker_watch(struct service *svc)
{
	char path[PATH_SIZE];
	if (!*svc->conf->sold_out_dir)
		return;
	mkdir(svc->conf->sold_out_dir, 0750);
	each_quarter(svc->conf, remove_quarter, NULL);
	set_back_path(path, svc->conf);
	if (access(path, F_OK) == 0)
		keep_no_pages(svc, UNKNOWN_MS);
	svc->clock_offset_ms = clock_offset_ms();
	svc->marker_timer.fn = on_watch;
	loop_timer_set(svc->loop, &svc->marker_timer, WATCH_MS);
}
