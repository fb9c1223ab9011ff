/* history.h - what each id was and when, as its writer saw it, and whether a search's answer may be true.
 *
 * An id has one writer, who asks one thing at a time: a change happens at some moment between its request and its
 * answer.  So at any moment an id is in one of at most two states.  An answer is true when, at some moment between its
 * request and its arrival, an exact search of possible states gives it.
 *
 * States are told apart by the stamp that the label carries, pictures by their number.
 *
 * Threads: any.
 */
#ifndef ANCHORD_TESTS_LIB_HISTORY_H
#define ANCHORD_TESTS_LIB_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTORY_ABSENT = -1, HISTORY_PICTURES = 48 };

struct history;
struct history *history_new(size_t ids); /* all absent */
void history_free(struct history *h);

/* Right before a request that makes this of the id, and right after its answer.  `refused`: it did nothing. */
void history_begin(struct history *h, size_t id, int picture, int64_t stamp);
void history_end(struct history *h, size_t id, bool refused);
/* By the id's writer, between two requests. */
int history_picture(struct history *h, size_t id);
int64_t history_stamp(struct history *h, size_t id);

struct history_hit {
    size_t id;
    int64_t stamp;
    double score;
};

struct history_answer {
    double from, to;                /* clock_s() before the request and after the answer */
    int query;                      /* the picture that was asked by; -1: query_id */
    size_t query_id;                /* asked by this id, which is left out of the answer */
    const struct history_hit *hits; /* NULL: there is no such id (404) */
    size_t n, limit;
    const double *scores; /* [HISTORY_PICTURES, HISTORY_PICTURES]: of the model that the answer names */
    double tolerance;
    const struct history_hit **by_id; /* the history's */
};
/* Puts into `why` what is wrong at the likeliest moment. */
bool history_allows(struct history *h, struct history_answer *a, char *why, size_t size);

#endif
