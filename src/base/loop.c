/*
 * Timers are in a binary heap (Williams, "Heapsort", 1964). Each timer has its place in the heap, so that it can be
 * cancelled or moved. Hooks are few, so they are in a list. The events of a turn are kept, so that loop_remove can drop
 * those of an io.
 */
#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { EVENTS = 64, TIMERS = 16 };

struct loop {
	int fd;
	struct loop_timer **heap; /* [1] is due first; [2 i] and [2 i + 1] are not due before [i] */
	size_t timers, heap_size;
	uint64_t serial;
	struct loop_hook *hooks;
	sigset_t mask;
	bool has_mask;
	int ready;
	struct epoll_event events[EVENTS];
};

struct loop *loop_new(void)
{
	struct loop *l = alloc_zeroed(1, sizeof *l);
	if ((l->fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		abort();
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	close(l->fd);
	free(l->heap);
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

/* Timers */

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->serial < b->serial;
}

static void heap_put(struct loop *l, size_t place, struct loop_timer *t)
{
	l->heap[place] = t;
	t->place = place;
}

/* Puts t at the free `place` or above it: parents that are due later move down. */
static void heap_rise(struct loop *l, size_t place, struct loop_timer *t)
{
	for (; place > 1 && is_before(t, l->heap[place / 2]); place /= 2)
		heap_put(l, place, l->heap[place / 2]);
	heap_put(l, place, t);
}

/* Puts t at the free `place` or below it: of two children, the one that is due sooner moves up. */
static void heap_sink(struct loop *l, size_t place, struct loop_timer *t)
{
	for (size_t child; (child = 2 * place) <= l->timers; place = child) {
		if (child < l->timers && is_before(l->heap[child + 1], l->heap[child]))
			child++;
		if (!is_before(l->heap[child], t))
			break;
		heap_put(l, place, l->heap[child]);
	}
	heap_put(l, place, t);
}

static void heap_settle(struct loop *l, size_t place, struct loop_timer *t)
{
	if (place > 1 && is_before(t, l->heap[place / 2]))
		heap_rise(l, place, t);
	else
		heap_sink(l, place, t);
}

static size_t heap_grow(struct loop *l)
{
	if (l->timers + 1 >= l->heap_size) {
		l->heap_size = l->heap_size ? 2 * l->heap_size : TIMERS;
		l->heap = alloc_again(l->heap, l->heap_size * sizeof(struct loop_timer *));
	}
	return ++l->timers;
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	if (!t->place)
		return;
	struct loop_timer *last = l->heap[l->timers--];
	if (last != t)
		heap_settle(l, t->place, last);
	t->place = 0;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t delay_ms)
{
	t->due_ms = clock_mono_ms() + delay_ms;
	t->serial = l->serial++;
	if (t->place)
		heap_settle(l, t->place, t);
	else
		heap_rise(l, heap_grow(l), t);
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
	int64_t wait = l->heap[1]->due_ms - clock_mono_ms();
	if (wait < 0)
		wait = 0;
	return max_wait_ms < 0 || wait < max_wait_ms ? (int)wait : max_wait_ms;
}

static void run_timers(struct loop *l)
{
	int64_t now = clock_mono_ms();
	while (l->timers && l->heap[1]->due_ms <= now) {
		struct loop_timer *t = l->heap[1];
		loop_timer_cancel(l, t);
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
