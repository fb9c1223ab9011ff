/* write.h - one change of what is stored, as a message to the store's writer, and what became of it.
 *
 *     struct write w = {.kind = WRITE_IMAGE_DELETE, .collection = "default", .image.id = "cat"};
 *     if (store_write(s, &w, e)) ...
 *
 * A kind reads the fields common to all and those of its own group in the union, no others.
 */
#ifndef ANCHORD_INDEX_VALUES_WRITE_H
#define ANCHORD_INDEX_VALUES_WRITE_H

#include "index/values/rows.h"

struct json;

enum write_kind {
    /* one image: `collection`, `image` */
    WRITE_IMAGE_PUT,    /* put */
    WRITE_IMAGE_PATCH,  /* id, patch */
    WRITE_IMAGE_DELETE, /* id; ERR_NOT_FOUND */
    /* many images, in one transaction: `collection`, `images` */
    WRITE_IMAGES_DELETE, /* `count`: how many went */
    WRITE_IMAGES_PATCH,  /* the same with patch; ERR_TOO_LARGE beyond PATCH_MANY_MAX */

    WRITE_COLLECTION_CREATE, /* `created` false: one of that name is there, and new_collection is it.  ERR_STALE: the
                              * model is gone, or another by now */
    WRITE_COLLECTION_DELETE, /* `collection`; ERR_CONFLICT for `default` */

    WRITE_MODEL_ADD, /* `model`: row, file.  `created` false: the same model is kept under the id.  ERR_CONFLICT: another
                         * one is */
    WRITE_MODEL_DELETE, /* `model`: id; ERR_CONFLICT while a generation uses it; fills row but for what is to be freed;
                         * unlinks the file after the commit */
    WRITE_KEY_ADD,      /* `key`: row */
    WRITE_KEY_REVOKE,   /* `key`: id.  Both: ERR_CONFLICT when there would be keys and none with the role admin, unless
                         * admin_elsewhere: nobody could manage them over HTTP */

    /* a generation: `generation`, whose row is filled by all of them */
    WRITE_GENERATION_START,  /* `collection`; row: model, fingerprint, precision, dimensions, skip_unreadable.
                              * `created` false: the same is being built already.  ERR_CONFLICT: the model is
                              * active already, or another generation is being built.  ERR_STALE as above */
    WRITE_GENERATION_RETURN, /* `collection`; row.number: a retired one, 0: the one retired last; `created` as above */
    WRITE_GENERATION_CANCEL, /* `collection`; ERR_NOT_FOUND: nothing is being built */
    /* by row.number; ERR_NOT_FOUND when it is not being built (any more) */
    WRITE_GENERATION_FAIL,    /* row.error */
    WRITE_GENERATION_VECTORS, /* vectors; `count`: how many were not stale */
    WRITE_GENERATION_LOAD,    /* the next vectors into the index to be; `count`: how many, 0: all are there, -1: it
                               * could not be done and begins anew */
    WRITE_GENERATION_SWITCH,  /* demands completeness: else ERR_BUSY with `count` missing vectors; when these are few,
                               * puts into the collection wait a little for the next try.  ERR_UNDECODABLE: there
                               * are unreadable images and they may not be skipped */
    WRITE_GENERATION_SWEEP,   /* some vectors of a dropped generation; `count`: what is left of it */

    WRITE_BACKUP /* fills `backup`: the name of a folder below DIR/backups, made by the server */
};

struct precondition {         /* HTTP's If-Match and If-None-Match */
    int64_t match_revision;   /* > 0: the image must exist with this revision ... */
    const char *match_sha256; /* ... and this content; else ERR_PRECONDITION */
    bool must_exist;          /* If-Match: * */
    bool must_be_new;         /* If-None-Match: * */
};

struct image_put {
    const char *id;
    const void *bytes; /* the file as it came */
    size_t len;
    char sha256[HASH_HEX];
    const char *media_type;
    uint32_t width, height;
    const char *label;    /* NULL or "": none */
    const char *metadata; /* compact JSON object; NULL: none */
    const float *vector;  /* [dimensions], unit length, finite */
    int64_t generation;   /* that `vector` belongs to; ERR_STALE when it is no longer the active one */
};

struct image_patch {
    bool set_label;
    const char *label;           /* NULL or "" clears */
    const struct json *metadata; /* RFC 7396 patch; NULL leaves it; a JSON null value clears all */
    bool clear_metadata;         /* before `metadata` is merged */
};

enum { PATCH_MANY_MAX = 10000 };

struct generation_vector {   /* what an encoder made of one image */
    int64_t image, revision; /* that it was made of: dropped when the image has another by now */
    const float *value;      /* [dimensions]; NULL: this revision cannot be embedded */
};

struct write {
    enum write_kind kind;
    bool needed; /* to serve at all: also on a nearly full disk */
    const char *collection;

    union {
        struct {
            const char *id; /* of PATCH and DELETE */
            struct precondition pre;
            struct image_put put;
            struct image_patch patch;
            struct image_row row; /* out: after PUT and PATCH; cleared by write_clear() */
        } image;
        struct {
            const char *const *ids; /* NULL: by filter */
            size_t n_ids;
            const struct filter *filter; /* NULL: all */
            struct image_patch patch;
            struct image_row *changed; /* out: after PATCH; cleared by write_clear() */
            size_t n_changed;
        } images;
        /* in: name, model, fingerprint, precision, index, dimensions; out: all of it */
        struct collection_row new_collection;
        struct {
            const char *id; /* of DELETE */
            /* Of ADD: complete and synced, below DIR/models (store_model_draft()), linked to store_model_path(); NULL: it
             * is there already. */
            const char *file;
            struct model_row row;
        } model;
        struct {
            const char *id; /* of REVOKE */
            struct key_row row;
            bool admin_elsewhere; /* the settings have a key with the role admin */
        } key;
        struct {
            struct generation_row row;
            const struct generation_vector *vectors;
            size_t n_vectors;
            struct collection_row active; /* out: of the collection after SWITCH */
        } generation;
        char backup[64];
    };

    /* out */
    bool created; /* PUT: new (true) or replaced; COLLECTION_CREATE; MODEL_ADD; GENERATION_START and _RETURN */
    int64_t count;
    struct err err;

    void (*done)(struct write *w); /* on the writer's thread; must be quick and must not submit-and-wait */
    void *user;
    struct write *next; /* the store's */
};

void write_clear(struct write *w); /* releases the out fields */

#endif
