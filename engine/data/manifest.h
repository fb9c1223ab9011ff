/* manifest.h - the list of images that a run trains on, and its split into training and held-out parts.
 *
 * An item is a file, its content hash and its label.  A folder of folders gives labels (the first folder's
 * name); a flat folder gives none.  The same folder always gives the same order (by path).
 *
 * The held-out part is stratified: about `fraction` of each label, at least two.  Labels with fewer than four different
 * contents are all trained on.  Files of equal content always lie on one side, so that nothing that is judged was
 * trained on.
 */
#ifndef ANCHORD_ENGINE_DATA_MANIFEST_H
#define ANCHORD_ENGINE_DATA_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/rng.h"

enum { NO_LABEL = -1 };

struct manifest_item {
    char *path; /* owned */
    char sha256[HASH_HEX];
    int32_t label; /* index into labels, or NO_LABEL */
    bool held_out;
};

struct manifest {
    struct manifest_item *items; /* owned */
    size_t n, room;
    char **labels; /* names, sorted; owned */
    size_t n_labels;
};

/* Reads a folder; image files are told by their ending (.jpg .jpeg .png .webp, any case).  ERR_NOT_FOUND when
 * there is none.  Files that cannot be read are left out and logged. */
MUST_CHECK bool manifest_read_folder(struct manifest *m, const char *dir, struct err *e);
/* A file with one JSON object a line, {"path", "sha256", "label"}; paths are relative to its own folder unless they begin with
 * "/".  Reading: ERR_BAD_INPUT for a line that is no such object, ERR_NOT_FOUND when there is none.  Writing is durable. */
MUST_CHECK bool manifest_read(struct manifest *m, const char *path, struct err *e);
MUST_CHECK bool manifest_write(const struct manifest *m, const char *path, struct err *e);
/* Adds one item: copied. */
void manifest_add(struct manifest *m, const char *path, const char sha256[HASH_HEX], const char *label);
/* Sorts labels and items; after the last manifest_add(). */
void manifest_seal(struct manifest *m);
/* Every item is one without a label from now on. */
void manifest_forget_labels(struct manifest *m);
void manifest_clear(struct manifest *m);

/* Marks the held-out items: the same for the same seed and content. */
void manifest_split(struct manifest *m, double fraction, uint64_t seed);

/* Takes out the items whose content is in `learned` too: a model that is judged by what it learned from is judged by
 * its memory.  Gives how many. */
size_t manifest_leave_out(struct manifest *m, const struct manifest *learned);

/* Held-out items whose content is in `learned` are held out no more.  Gives how many. */
size_t manifest_give_back(struct manifest *m, const struct manifest *learned);
/* Adds the items of `from` that are trained on, without their labels. */
void manifest_add_trained(struct manifest *m, const struct manifest *from);

/* How many of a label's contents that holds out: none of fewer than four. */
size_t manifest_spared(size_t contents, double fraction);

/* Random numbers of an item's content: the same for the same seed and content, whatever else is in the manifest. */
struct rng manifest_rng(const struct manifest_item *item, uint64_t seed);

/* SHA-256 of what is trained on and what is not: contents, labels and sides, in order; not the paths. */
void manifest_digest(const struct manifest *m, char out[HASH_HEX]);

/* Indices of the items on one side; *n of them; the caller's to free. */
size_t *manifest_side(const struct manifest *m, bool held_out, size_t *n);

#endif
