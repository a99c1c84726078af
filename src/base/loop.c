/* Few timers and few hooks: two short lists. A turn's events are kept so that a removed io gets none of them. */
#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum { EVENTS = 64 };

struct loop {
	int fd;
	struct loop_timer *timers; /* soonest first */
	struct loop_hook *hooks;
	sigset_t mask;
	bool has_mask;
	int ready;
	struct epoll_event events[EVENTS];
};

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof *l);
	if (!l || (l->fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		abort();
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	close(l->fd);
	free(l);
}

static int control(struct loop *l, int operation, struct loop_io *io, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = io };
	return epoll_ctl(l->fd, operation, io->fd, &e);
}

int loop_add(struct loop *l, struct loop_io *io, uint32_t events)
{
	return control(l, EPOLL_CTL_ADD, io, events);
}

int loop_change(struct loop *l, struct loop_io *io, uint32_t events)
{
	return control(l, EPOLL_CTL_MOD, io, events);
}

void loop_remove(struct loop *l, struct loop_io *io)
{
	epoll_ctl(l->fd, EPOLL_CTL_DEL, io->fd, NULL);
	loop_forget(l, io);
}

void loop_forget(struct loop *l, const struct loop_io *io)
{
	for (int i = 0; i < l->ready; i++)
		if (l->events[i].data.ptr == io)
			l->events[i].data.ptr = NULL;
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	for (struct loop_timer **at = &l->timers; *at; at = &(*at)->next)
		if (*at == t) {
			*at = t->next;
			return;
		}
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t delay_ms)
{
	loop_timer_cancel(l, t);
	t->due_ms = clock_mono_ms() + delay_ms;
	struct loop_timer **at = &l->timers;
	while (*at && (*at)->due_ms <= t->due_ms)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

void loop_hook_add(struct loop *l, struct loop_hook *h)
{
	h->next = l->hooks;
	l->hooks = h;
}

void loop_hook_remove(struct loop *l, struct loop_hook *h)
{
	for (struct loop_hook **at = &l->hooks; *at; at = &(*at)->next)
		if (*at == h) {
			*at = h->next;
			return;
		}
}

void loop_signals(struct loop *l, const sigset_t *while_waiting)
{
	l->has_mask = while_waiting != NULL;
	if (while_waiting)
		l->mask = *while_waiting;
}

static int until_timer(const struct loop *l, int max_wait_ms)
{
	if (!l->timers)
		return max_wait_ms;
	int64_t wait = l->timers->due_ms - clock_mono_ms();
	if (wait < 0)
		wait = 0;
	return max_wait_ms < 0 || wait < max_wait_ms ? (int)wait : max_wait_ms;
}

static void run_timers(struct loop *l)
{
	int64_t now = clock_mono_ms();
	while (l->timers && l->timers->due_ms <= now) {
		struct loop_timer *t = l->timers;
		l->timers = t->next;
		t->fn(t);
	}
}

void loop_turn(struct loop *l, int max_wait_ms)
{
	int n = epoll_pwait(l->fd, l->events, EVENTS, until_timer(l, max_wait_ms), l->has_mask ? &l->mask : NULL);
	l->ready = n > 0 ? n : 0;
	for (int i = 0; i < l->ready; i++) {
		struct loop_io *io = l->events[i].data.ptr;
		if (io)
			io->fn(io, l->events[i].events);
	}
	l->ready = 0;
	if (l->timers)
		run_timers(l);
	for (struct loop_hook *h = l->hooks; h; h = h->next)
		h->fn(h);
}
