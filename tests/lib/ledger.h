/* ledger.h - clients that write down what they were promised, and the check after a crash that it holds.
 *
 * Each writer owns some ids and puts, replaces, patches and deletes them, one request at a time.  For each id the
 * ledger knows the state that was acknowledged last, and the state that a request without an answer would have made.
 * After a crash the id must be in one or the other, whole.  The check asks the server in every way it can be asked:
 *
 *     lost       an acknowledged state is not there
 *     phantom    something is there that nobody wrote
 *     half       parts of two states: the label of one, the bytes of another
 *     unfound    a search by the stored picture does not give the id
 *     stale      a search by another picture gives the id with a score of 1
 *     orphans    image files that no id names
 *
 * The check runs as soon as the server listens: what it would repair later counts as broken.
 */
#ifndef ANCHORD_TESTS_LIB_LEDGER_H
#define ANCHORD_TESTS_LIB_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "tests/lib/process.h"

struct ledger;

struct ledger_report {
    size_t acks;      /* requests acknowledged, all in all */
    size_t in_flight; /* requests that were out when the last kill came */
    size_t refused;   /* 5xx: nothing may have happened */
    size_t present;   /* ids that are there */
    size_t lost, phantom, half, unfound, stale, orphans;
    char first[300]; /* the first thing that was wrong */
};

struct ledger *ledger_new(size_t writers, uint64_t seed);
void ledger_free(struct ledger *l);

/* Sets the writers to work; they stop when the server is gone or ledger_stop() is called. */
void ledger_start(struct ledger *l, uint16_t port);
/* Call right before the kill: requests that are out then are in flight. */
void ledger_mark(struct ledger *l);
void ledger_stop(struct ledger *l); /* joins the writers */
/* Asks the server for everything and settles the ledger to what it says.  True when nothing is wrong. */
bool ledger_check(struct ledger *l, const struct server *s);
/* Forgets everything: for a data folder that begins anew. */
void ledger_clear(struct ledger *l);
const struct ledger_report *ledger_report(const struct ledger *l);

#endif
