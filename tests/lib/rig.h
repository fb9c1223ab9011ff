/* rig.h - an app on a scratch folder with a tiny model, and requests to it without a socket. */
#ifndef ANCHORD_TESTS_LIB_RIG_H
#define ANCHORD_TESTS_LIB_RIG_H

#include "api/requests/call.h"
#include "api/services/app.h"
#include "api/services/plan_cache.h"
#include "base/json.h"

enum { RIG_DIMENSIONS = 64 }; /* of the tiny model: ResNet-18, width 8, small stem, 32 pixels */

struct rig {
    char *dir;
    struct app *app;
    struct plan_cache *plans;
};

struct rig *rig_open(void); /* fails the test when it cannot */
void rig_close(struct rig *r);
void rig_reopen(struct rig *r); /* as after a restart */
void rig_shut(struct rig *r);   /* the first half of it, and ... */
void rig_start(struct rig *r);  /* ... the second: the folder is nobody's in between */

/* A fixture: opens `rig`, which is the whole program's, and closes it. */
extern struct rig *rig;
int rig_set_up(void **state);
int rig_tear_down(void **state);

/* Another model of the same shape, with random weights of this seed. */
void rig_add_model(struct rig *r, const char *id, uint64_t seed);
/* Waits until the collection has no generation under way; fails the test when that takes more than 20 s. */
void rig_settle(struct rig *r, const char *collection);

struct outcome {
    int status;
    struct buf body;   /* owned */
    struct json *json; /* NULL when it is none; owned */
    struct header headers[RESPONSE_HEADERS];
    size_t n_headers;
};
void outcome_clear(struct outcome *r);
const char *outcome_header(const struct outcome *r, const char *name); /* NULL when absent */
/* Walks members and places, "data.0.id"; NULL when there is none. */
const struct json *outcome_at(const struct outcome *r, const char *path);
const char *outcome_text(const struct outcome *r, const char *path);
double outcome_number(const struct outcome *r, const char *path); /* NaN when absent */

/* The parts of a request beyond its first line; all optional. */
struct extra {
    const char *type;
    const void *body;
    size_t len; /* 0: strlen(body) */
    const char *if_match, *if_none_match, *pin;
    bool admin;     /* on the admin listener */
    enum role role; /* ROLE_NONE: admin, unless `anonymous` */
    bool anonymous;
};

/* Runs "PUT /v1/...?a=b".  The query is split at & and =, and percent-decoded. */
struct outcome rig_ask(struct rig *r, const char *line, const struct extra *x);
/* On a lane cache of the caller's, for threads of their own. */
struct outcome rig_ask_with(struct rig *r, struct plan_cache *plans, const char *line, const struct extra *x);

/* The same in steps, so that a test says what happens between what a call looks up and what it writes. */
struct rig_call {
    char *line;
    struct pair pairs[32];
    struct request request;
    struct call call;
    struct plan_cache *plans;
};
struct rig_call *rig_call_new(struct rig *r, struct plan_cache *plans, const char *line,
                              const struct extra *x); /* what `x` points to must stay */
/* Up to where it hands its writes to the store; fails the test when it comes to its end without. */
struct rig_call *rig_until_write(struct rig *r, const char *line, const struct extra *x);
void rig_call_step(struct rig_call *k);          /* to its next writes, or to its end */
struct outcome rig_call_end(struct rig_call *k); /* frees it */

/* Runs it with a JSON body. */
struct outcome rig_json(struct rig *r, const char *line, const char *json);
/* The same, and fails the test unless this is the status. */
struct outcome rig_expect(struct rig *r, int status, const char *line, const struct extra *x);
/* PUTs picture `seed` of `kind` as `id` into `default` with `label`; 201 or 200. */
void rig_put(struct rig *r, const char *id, unsigned kind, unsigned seed, const char *label);

/* The same into another collection. */
void rig_put_in(struct rig *r, const char *collection, const char *id, unsigned kind, unsigned seed, const char *label);

/* Pictures 0, 1, ... of kinds 0, 1, ... as "p0-0", "p0-1", ... with labels "kind0", ... */
void rig_fill(struct rig *r, unsigned kinds, unsigned each);

/* A drawn picture as a file. */
struct buf rig_picture(unsigned kind, unsigned seed);
/* The same as base64. */
struct buf rig_base64(unsigned kind, unsigned seed);

#endif
