/* store_parts.h - the inside of a store, shared by store.c, writer.c, apply.c, backup.c and view.c. */
#ifndef ANCHORD_INDEX_STORE_PARTS_H
#define ANCHORD_INDEX_STORE_PARTS_H

#include <stdatomic.h>

#include "base/file_cache.h"
#include "index/blob.h"
#include "index/catalog/catalog.h"
#include "index/refused.h"
#include "index/reserve.h"
#include "index/shelf.h"
#include "index/store.h"

struct writer;

struct store {
    char *dir; /* owned */
    struct store_options options;
    int lock_fd;
    struct catalog *catalog;
    struct blobs *blobs;
    struct file_cache *thumbnails;
    struct shelf *shelf;
    struct reserve *reserve;
    struct refused *refused;
    struct writer *writer;
    char *pinned; /* where models go that are deleted while a backup is made; NULL: none is; the writer's thread's */
    atomic_bool degraded;  /* for good.  A restart clears it, for it writes once more what may not have got to the disk
                            * (catalog_open()) before anything new is acknowledged.  A read proves nothing: the page
                            * cache outlives the process */
    bool unchecked;        /* some vectors have no checksum yet; the writer's thread's, as the next */
    int64_t unchecked_row; /* where the writer goes on to give them theirs */
    atomic_llong blobs_written, groups, writes, commit_ns;
};

/* No write succeeds from now on. */
void store_degrade(struct store *s, const struct err *why);

/* Puts image files away that no row names, and fetches back those that one does (orphans.h).  Removes unfinished
 * backups and model files, and segments of generations that are gone.  Reports image files that are missing. */
MUST_CHECK bool store_sweep(struct store *s, struct err *e);

/* An empty index for the active generation of a collection, whose files live below DIR/segments. */
struct vindex *store_make_index(struct store *s, const struct collection_row *row, struct err *e);
void store_remove_segments(struct store *s, int64_t generation);

/* Whether the file at `path` is this model: there, readable, and what its fingerprint says. */
MUST_CHECK bool store_check_model(struct store *s, const struct model_row *row, const char *path, struct err *e);

#endif
