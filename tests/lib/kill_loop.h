/* kill_loop.h - a server that is killed again and again on the same data, with a ledger of what it promised.
 *
 * There are three ways to die.  The process is killed and the page cache lives.  Power is lost and nothing survives
 * that was not synced.  Power is lost and a random beginning of it survives.
 */
#ifndef ANCHORD_TESTS_LIB_KILL_LOOP_H
#define ANCHORD_TESTS_LIB_KILL_LOOP_H

#include "base/rng.h"
#include "tests/lib/ledger.h"
#include "tests/lib/process.h"

enum death { KILLED, POWER_LOST, POWER_LOST_PARTLY };

struct kill_loop {
    enum death death;
    const char *nosync; /* syncs that only pretend; "" when all are real */
    size_t kills;
    char scratch[200], data[256], journal[256], sentinel[256];
    struct rng rng; /* from $SEED, or the time */
    struct ledger *ledger;
    struct server server;
    size_t landed, acks, lost_writes;
    double slowest_start;
    bool broken;    /* something that was promised was not there */
    char what[400]; /* ... the first */
};

void kill_loop_begin(struct kill_loop *t, enum death death, const char *nosync, size_t kills, size_t writers);
void kill_loop_end(struct kill_loop *t);
bool kill_loop_start(struct kill_loop *t, struct err *e);
void kill_loop_die(struct kill_loop *t); /* the kill itself, and what the disk forgets */
/* The next `times` calls of that name on paths with that part fail (tests/faults/preload.c); 0: until kill_loop_mend(). */
void kill_loop_break(struct kill_loop *t, const char *call, int number, const char *part, int times);
void kill_loop_mend(struct kill_loop *t);
void kill_loop_broke(struct kill_loop *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The server has just started: is all there that the ledger was promised? */
void kill_loop_check(struct kill_loop *t);

#endif
