/* effect.h - a group of writes, and what is to be done once its transaction is committed. */
#ifndef ANCHORD_INDEX_EFFECT_H
#define ANCHORD_INDEX_EFFECT_H

#include "index/store_parts.h"

enum effect_kind {
    EFFECT_IMAGE,           /* an image was added or replaced: write->image */
    EFFECT_RELABEL,         /* write->image.row has a new label, revision or metadata */
    EFFECT_RELABEL_MANY,    /* the same of write->images.changed[number] */
    EFFECT_IMAGE_GONE,      /* `collection`, `number` */
    EFFECT_FILE_FREED,      /* `sha256`: perhaps no image names it any more */
    EFFECT_COLLECTION,      /* write->new_collection was made */
    EFFECT_COLLECTION_GONE, /* `collection` */
    EFFECT_MODEL_GONE,      /* write->model.row */
    EFFECT_NEXT_BEGUN,      /* `collection`: a generation of it is being completed */
    EFFECT_NEXT_LOAD,       /* write->generation.row: some more vectors into the index to be */
    EFFECT_NEXT_VECTOR,     /* ... the one of the image `number` of `collection` */
    EFFECT_VECTOR,          /* the same in the active generation of write->generation.row */
    EFFECT_NEXT_GONE,       /* `collection`: its next generation is given up */
    EFFECT_SWITCH,          /* `collection`: write->generation.active says what is active */
    EFFECT_GENERATION_GONE  /* `number`: nothing of it is left in the catalogue */
};

struct effect {
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

struct effect *add_effect(struct group *g, enum effect_kind kind, struct write *w);
void add_freed_file(struct group *g, const char *sha256);

#endif
