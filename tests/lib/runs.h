/* runs.h - whole training runs on a few drawn pictures, for tests: begun, stopped, gone on with, compared. */
#ifndef ANCHORD_TESTS_LIB_RUNS_H
#define ANCHORD_TESTS_LIB_RUNS_H

#include "engine/training/trainer.h"

enum { RUNS_KINDS = 3, RUNS_EACH = 12 };

struct runs {
    char *dir;           /* pictures/, and the runs */
    uint64_t stop_after; /* steps; 0: never */
    uint64_t steps;      /* seen */
    double lock_seconds; /* that a run waits for its folder */
};

/* Of a CMocka test: a folder with RUNS_EACH drawn pictures of each of RUNS_KINDS kinds. */
int runs_set_up(void **state);
int runs_tear_down(void **state);

struct run_told { /* how a run ended */
    bool ok;
    struct train_outcome out;
    struct err e;
};

/* A small network's run in DIR/name; more: what the configuration has beside the least (",\"steps\":2"); with "model" there the
 * network is not a fresh one. */
struct run_told runs_run(struct runs *f, const char *name, const char *more, bool resume, bool inexact);
/* Of DIR/run_name/file.safetensors; the caller's to free. */
char *runs_fingerprint(const struct runs *f, const char *run_name, const char *file);
/* Fails the test unless the last models of two runs are the same, or are not. */
void runs_assert_same(const struct runs *f, const char *a, const char *b, bool same);

#endif
