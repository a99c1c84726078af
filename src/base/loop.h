/*
 * An event loop, for one thread: descriptors (epoll, with the events that their owner names), timers, and hooks that
 * run at the end of every turn. The objects belong to the caller, and must exist until they are removed. Callbacks may
 * add, change and remove any object, also their own.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/str.h"

struct loop;

struct loop_io {
	int fd;
	void (*fn)(struct loop_io *io, uint32_t events); /* EPOLL* bits */
};

/* Zeroed before its first use, except fn. */
struct loop_timer {
	int64_t due_ms; /* by clock_mono_ms; set by loop_timer_set */
	void (*fn)(struct loop_timer *t);
	uint64_t serial; /* timers that are due in the same millisecond run in the order in which they were set */
	size_t place;    /* in the loop's heap, from 1; 0: not set */
};

struct loop_hook {
	void (*fn)(struct loop_hook *h);
	struct loop_hook *next;
};

/* Aborts if no descriptor is left. */
struct loop *loop_new(void);
void loop_free(struct loop *l);

/* 0, or -1 with errno. */
int loop_add(struct loop *l, struct loop_io *io, uint32_t events);
int loop_change(struct loop *l, struct loop_io *io, uint32_t events);
/* Also drops the io's events of the running turn that were not handled yet. */
void loop_remove(struct loop *l, struct loop_io *io);
/* As loop_remove, for a descriptor that is closed already, so that the kernel has removed it. */
void loop_forget(struct loop *l, const struct loop_io *io);

/* The timer runs once, in delay_ms; setting it again moves it. Setting and cancelling cost O(log n) of n timers. */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t delay_ms);
/* Does nothing if the timer is not set. */
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

/* The hook runs at the end of every turn until it is removed. */
void loop_hook_add(struct loop *l, struct loop_hook *h);
void loop_hook_remove(struct loop *l, struct loop_hook *h);

/* Sets the signal mask for the time in which a turn waits (see epoll_pwait(2)); NULL: the mask is not changed. */
void loop_signals(struct loop *l, const sigset_t *while_waiting);

/* Waits at most max_wait_ms (-1: without limit) for an event or a timer, then runs what is due: ios, timers, hooks. */
void loop_turn(struct loop *l, int max_wait_ms);

#endif
