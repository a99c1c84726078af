/*
 * An event loop: descriptors (epoll, as their owner asks), timers, and hooks that
 * run at the end of every turn. Signals that the process blocks are let in
 * only while a turn waits.
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

struct loop_timer {
	int64_t due_ms; /* clock_mono_ms; set by loop_timer_set */
	void (*fn)(struct loop_timer *t);
	struct loop_timer *next;
};

struct loop_hook {
	void (*fn)(struct loop_hook *h);
	struct loop_hook *next;
};

struct loop *loop_new(void);
void loop_free(struct loop *l);

/* 0, or -1 with errno. The io stays the caller's and must outlive its membership. */
int loop_add(struct loop *l, struct loop_io *io, uint32_t events);
int loop_change(struct loop *l, struct loop_io *io, uint32_t events);
/* Events already waiting for this io in the running turn are dropped. */
void loop_remove(struct loop *l, struct loop_io *io);
/* The same for a descriptor that was closed already, which takes itself out of the loop. */
void loop_forget(struct loop *l, const struct loop_io *io);

/* Due once, in delay_ms; setting it again moves it. */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t delay_ms);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

/* Runs at the end of every turn, until removed. */
void loop_hook_add(struct loop *l, struct loop_hook *h);
void loop_hook_remove(struct loop *l, struct loop_hook *h);

/* Signals let in while waiting; NULL leaves the mask alone. */
void loop_signals(struct loop *l, const sigset_t *while_waiting);

/* Waits at most max_wait_ms (-1: until something happens) and handles what came. */
void loop_turn(struct loop *l, int max_wait_ms);

#endif
