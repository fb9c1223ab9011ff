/* stage.h - what handlers use to move a call forward.
 *
 * A handler is the first stage of a call.  Each stage ends in one of these (all give true), or gives false
 * with c->err set:
 *
 *     call_next(c, stage)            another stage, when a light thread is free
 *     call_next_heavy(c, stage)      ... a heavy thread, for what takes long
 *     call_next_lengthy(c, stage)    ... a thread for queries that take long
 *     call_load(c, model, precision, stage)   with that model's encoder in c->encoder
 *     call_embed(c, stage)           after c->images were embedded
 *     call_write(c, stage)           after c->writes were committed
 *     call_go_on(c, ready, stage)    after what is in the response's body was sent, and ready(c); stage adds what comes next
 *     call_done(c)                   the response is complete
 */
#ifndef ANCHORD_API_REQUESTS_STAGE_H
#define ANCHORD_API_REQUESTS_STAGE_H

#include "api/requests/answer.h"
#include "api/requests/call.h"
#include "api/services/app.h"
#include "index/view.h"

bool call_next(struct call *c, bool (*stage)(struct call *));
bool call_next_heavy(struct call *c, bool (*stage)(struct call *));
bool call_next_lengthy(struct call *c, bool (*stage)(struct call *));
bool call_load(struct call *c, const char *model, enum precision precision, bool (*stage)(struct call *));
bool call_embed(struct call *c, bool (*stage)(struct call *));
bool call_write(struct call *c, bool (*stage)(struct call *));
bool call_go_on(struct call *c, bool (*ready)(const struct call *), bool (*stage)(struct call *));
bool call_done(struct call *c);
/* Takes over an error; gives false. */
bool call_fail(struct call *c, const struct err *e);
/* c->writes[0] went well; else its error is the call's. */
MUST_CHECK bool call_wrote(struct call *c);
/* After a write that met another state than was looked up (ERR_STALE): `stage` looks again, a few times at most.  Any
 * other error is the call's. */
bool call_look_again(struct call *c, const struct err *e, bool (*stage)(struct call *));
/* A last stage after one write: 204. */
bool call_no_content(struct call *c);

/* Release with the call, last first.  Each gives what it was given, so that a look-up is one line;
 * NULL is fine. */
void *call_own(struct call *c, void *p, void (*release)(void *));
struct json *call_own_json(struct call *c, struct json *j);
struct filter *call_own_filter(struct call *c, struct filter *f);
struct view *call_own_view(struct call *c, struct view *v);

/* Memory of the call: zeroed, gone with it. */
void *call_new(struct call *c, size_t count, size_t size);

/* n empty jobs for c->encoder, with room for their vectors, as c->images. */
void call_new_images(struct call *c, size_t n);
/* n empty writes, as c->writes; the results that they hand out are released with the call. */
void call_new_writes(struct call *c, size_t n, enum write_kind kind, const char *collection);
/* The same for one. */
struct write *call_new_write(struct call *c, enum write_kind kind, const char *collection);
struct write *call_new_draft(struct call *c); /* one that a service fills */

#endif
