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
	QUARTER_MS = 250, /* the configuration of nginx computes the same quarters */
	PATH_SIZE = 1024,
	WATCH_MS = 250,
	KEEP_S = 1,          /* files this far from now are removed: no sold-out notice is valid for longer */
	STEP_MS = 50,        /* of the wall clock; less is the time between reading it and the monotonic clock */
	PAGES_MS = 3000,     /* how long nginx keeps a page */
	UNKNOWN_MS = 3600000 /* see stop_pages */
};

/* The files of a coupon */

/* Without a file the workers answer the claims, which only costs more: one log line in ten seconds is enough. */
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

void nginx_marker_put(struct nginx_marker *m, int64_t lasts_ms)
{
	int64_t now = clock_ms();
	if (*m->conf->sold_out_dir)
		set_range(m, now / QUARTER_MS, (now + lasts_ms) / QUARTER_MS);
}

void nginx_marker_clear(struct nginx_marker *m)
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

/* For nftw. */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

static void remove_unless_kept(const char *path, void *context)
{
	const int64_t *kept_s = context; /* the second whose quarters are kept; NULL: all are removed */
	if (!kept_s || llabs(atoll(strrchr(path, '/') + 1) - *kept_s) > KEEP_S)
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Setting of the wall clock */

struct marker_watch {
	const struct conf *conf;
	struct loop *loop;
	struct loop_timer timer;
	int64_t clock_offset_ms;   /* as last read */
	int64_t set_back_until_ms; /* until when nginx keeps no pages, by clock_mono_ms; 0: it keeps pages */
};

static void set_back_path(char path[PATH_SIZE], const struct conf *conf)
{
	snprintf(path, PATH_SIZE, "%s/set-back", conf->sold_out_dir);
}

/* Makes nginx cache no pages for ms from now. A worker that starts meanwhile cannot know ms, and takes UNKNOWN_MS. */
static void stop_pages(struct marker_watch *w, int64_t ms)
{
	char path[PATH_SIZE];
	int64_t until = clock_mono_ms() + ms;
	set_back_path(path, w->conf);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd >= 0)
		close(fd);
	if (until > w->set_back_until_ms)
		w->set_back_until_ms = until;
}

static void allow_pages(struct marker_watch *w)
{
	char path[PATH_SIZE];
	set_back_path(path, w->conf);
	unlink(path);
	w->set_back_until_ms = 0;
}

static void on_step(struct marker_watch *w, int64_t step_ms)
{
	each_quarter(w->conf, remove_unless_kept, NULL);
	if (step_ms < 0)
		stop_pages(w, -step_ms + PAGES_MS);
	log_warn("wall_clock_was_set", LOG_INT("by_ms", step_ms));
}

static void on_watch(struct loop_timer *t)
{
	struct marker_watch *w = container_of(t, struct marker_watch, timer);
	int64_t offset = clock_offset_ms(), step = offset - w->clock_offset_ms, now_s = clock_ms() / 1000;
	w->clock_offset_ms = offset;
	if (llabs(step) > STEP_MS)
		on_step(w, step);
	else
		each_quarter(w->conf, remove_unless_kept, &now_s);
	if (w->set_back_until_ms && clock_mono_ms() >= w->set_back_until_ms)
		allow_pages(w);
	loop_timer_set(w->loop, t, WATCH_MS);
}

void nginx_marker_watch(struct service *svc)
{
	char path[PATH_SIZE];
	if (!*svc->conf->sold_out_dir)
		return;
	mkdir(svc->conf->sold_out_dir, 0750);
	struct marker_watch *w = svc->marker_watch = alloc(sizeof *w);
	*w = (struct marker_watch){
		.conf = svc->conf, .loop = svc->loop, .timer.fn = on_watch, .clock_offset_ms = clock_offset_ms()
	};
	each_quarter(w->conf, remove_unless_kept, NULL);
	set_back_path(path, w->conf);
	if (access(path, F_OK) == 0)
		stop_pages(w, UNKNOWN_MS);
	loop_timer_set(w->loop, &w->timer, WATCH_MS);
}
