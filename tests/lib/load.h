/* load.h - many keep-alive connections driven from one thread, and how long their answers took.
 *
 * Closed loop: each connection sends its next request when its answer is there.  Open loop (`rate` > 0): requests are
 * planned at even distances and their time counts from the planned moment.  So a slow server cannot slow down the clock
 * that it is measured by.
 *
 *     struct load_result r;
 *     load_run(&(struct load){.port = port, .connections = 8, .seconds = 5, .requests = list, .n = 200}, &r, e);
 */
#ifndef ANCHORD_TESTS_LIB_LOAD_H
#define ANCHORD_TESTS_LIB_LOAD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct load {
    uint16_t port;
    size_t connections;
    double seconds;             /* 0: until `total` answers are there */
    size_t total;               /* 0: as many as fit into `seconds` */
    double rate;                /* requests a second; 0: closed loop */
    const struct buf *requests; /* whole requests as bytes (ask_bytes()), taken in turn */
    size_t n;
    size_t first;            /* where to begin among them */
    const atomic_bool *stop; /* ends the run early; may be NULL */
};

struct load_result {
    size_t ok;      /* 2xx */
    size_t refused; /* 429 and 503 */
    size_t failed;  /* any other status */
    size_t broken;  /* the connection ended instead of an answer */
    size_t unsent;  /* open loop: planned and never sent */
    double seconds;
    double rate;               /* 2xx a second */
    double p50, p90, p99, max; /* seconds, of the 2xx */
    double refused_p99;        /* seconds, of the refused */
    int odd_status;            /* one of the failed, to look at */
};

/* Fails when it cannot connect, or when nothing is answered for 60 s. */
MUST_CHECK bool load_run(const struct load *l, struct load_result *out, struct err *e);

/* The q-th part (0 to 1) of n values, which are sorted by the call; 0 when n is 0. */
double quantile(double *values, size_t n, double q);

#endif
