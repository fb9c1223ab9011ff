/* upload.h - the way of one or many images into a collection: embed, write, and again when the
 * collection changed its model meanwhile.
 */
#ifndef ANCHORD_API_REQUESTS_UPLOAD_H
#define ANCHORD_API_REQUESTS_UPLOAD_H

#include "api/requests/stage.h"

struct upload_item {
    const char *id;               /* checked; borrowed from the call, like the others */
    const char *label, *metadata; /* NULL: none */
    struct upload_picture picture;
    const char *param; /* the field that the picture stands in; NULL: it is the body */
    struct precondition pre;
    struct err err;            /* set beforehand: the item is passed over; afterwards: how it ended */
    const struct write *write; /* afterwards, without an error: ->image.row and ->created */
    struct embed_item *embed;  /* upload.c's, as the next */
    bool stored;               /* its write is done */
};

struct upload {
    struct upload_item *items;
    size_t n;
    bool (*finish)(struct call *c); /* the stage after all; may run on the writer's thread */
    int64_t generation;             /* that the vectors belong to */
    unsigned tries;                 /* that met another generation than they were embedded for */
};

/* Starts it for collection c->params[0]; c->scratch must be the upload. */
bool upload_start(struct call *c);

#endif
