/* apply.h - one write as changes of the catalogue inside the writer's transaction, and what follows from it. */
#ifndef ANCHORD_INDEX_APPLY_H
#define ANCHORD_INDEX_APPLY_H

#include "index/store_impl.h"

enum effect_kind {
    EFFECT_IMAGE,           /* an image was added or replaced: write->put, write->image */
    EFFECT_RELABEL,         /* write->image has a new label, revision or metadata */
    EFFECT_IMAGE_GONE,      /* `collection`, `number` */
    EFFECT_FILE_FREED,      /* `sha256`: perhaps no image names it any more */
    EFFECT_COLLECTION,      /* write->row_collection was made */
    EFFECT_COLLECTION_GONE, /* `collection`, `number` is its generation */
    EFFECT_MODEL_GONE       /* write->id */
};

struct effect { /* what is to be done once the transaction is committed */
    enum effect_kind kind;
    const struct write *write;
    int64_t collection, number;
    char sha256[HASH_HEX];
};

struct group { /* the writes of one transaction */
    struct store *store;
    struct session *session;
    uint64_t spare; /* bytes that may still be stored before the disk counts as full */
    struct effect *effects;
    size_t n_effects, room;
};

/* Changes the catalogue and stages the image's file.  On failure the caller takes back all three to where they
 * were: the transaction, the staged files, the number of effects. */
MUST_CHECK bool apply_write(struct group *g, struct write *w, struct err *e);

#endif
