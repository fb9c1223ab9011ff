/* apply.h - one write as changes of the catalogue inside the writer's transaction, and what follows from it. */
#ifndef ANCHORD_INDEX_APPLY_H
#define ANCHORD_INDEX_APPLY_H

#include "index/store_parts.h"

enum effect_kind {
    EFFECT_IMAGE,           /* an image was added or replaced: write->put, write->image */
    EFFECT_RELABEL,         /* write->image has a new label, revision or metadata */
    EFFECT_RELABEL_MANY,    /* the same of write->changed[number] */
    EFFECT_IMAGE_GONE,      /* `collection`, `number` */
    EFFECT_FILE_FREED,      /* `sha256`: perhaps no image names it any more */
    EFFECT_COLLECTION,      /* write->row_collection was made */
    EFFECT_COLLECTION_GONE, /* `collection` */
    EFFECT_MODEL_GONE,      /* write->row_model */
    EFFECT_NEXT_BEGUN,      /* `collection`: a generation of it is being completed */
    EFFECT_NEXT_LOAD,       /* write->row_generation: some more vectors into the index to be */
    EFFECT_NEXT_VECTOR,     /* ... the one of the image `number` of `collection` */
    EFFECT_VECTOR,          /* the same in the active generation of write->row_generation */
    EFFECT_NEXT_GONE,       /* `collection`: its next generation is given up */
    EFFECT_SWITCH,          /* `collection`: write->row_collection says what is active */
    EFFECT_GENERATION_GONE  /* `number`: nothing of it is left in the catalogue */
};

struct effect { /* what is to be done once the transaction is committed */
    enum effect_kind kind;
    struct write *write;
    int64_t collection, number;
    char sha256[HASH_HEX];
};

struct group { /* the writes of one transaction */
    struct store *store;
    struct session *session;
    uint64_t spare; /* bytes that may still be stored before the disk counts as full */
    struct effect *effects;
    size_t n_effects, room;
    int64_t hold; /* a collection whose puts had better wait until the next try of a switch; 0: none */
    char hold_name[ID_MAX + 1];
};

/* Changes the catalogue and stages the image's file.  On failure the caller takes back all three to where they
 * were: the transaction, the staged files, the number of effects. */
MUST_CHECK bool apply_write(struct group *g, struct write *w, struct err *e);

/* ---- shared by apply*.c ---- */

MUST_CHECK bool apply_generation_write(struct group *g, struct write *w, struct err *e);
MUST_CHECK bool apply_to_many(struct group *g, struct write *w, struct err *e);
/* Finds the collection and the image; old->number is 0 when there is none. */
MUST_CHECK bool apply_find(struct group *g, const struct write *w, const char *id, struct collection_row *c,
                           struct image_row *old, struct err *e);
/* Changes the row as the patch says, in memory alone. */
MUST_CHECK bool apply_patch(struct image_row *row, const struct image_patch *p, struct err *e);
/* Removes one image; counts it in w->count. */
MUST_CHECK bool apply_removal(struct group *g, struct write *w, int64_t collection, int64_t number, struct err *e);
struct effect *add_effect(struct group *g, enum effect_kind kind, struct write *w);
/* The model may have been deleted, or made anew, since its encoder was loaded: ERR_STALE. */
MUST_CHECK bool check_model(struct group *g, const char *id, const char *fingerprint, struct err *e);
/* Of unit length and finite: anything else would poison the searches that meet it. */
MUST_CHECK bool check_vector(const float *v, size_t n, struct err *e);

#endif
