/* flaw.h - what is wrong with stored files: which of them are damaged or missing, and whose they are. */
#ifndef ANCHORD_INDEX_FLAW_H
#define ANCHORD_INDEX_FLAW_H

#include "index/values/rows.h"

struct session;

struct flaw {                    /* an image or a model whose file is not as it was stored */
    bool missing;                /* the file is gone; false: it is damaged */
    char collection[ID_MAX + 1]; /* "": a model */
    char id[ID_MAX + 1];
    char sha256[HASH_HEX]; /* of an image's file */
};
struct flaws {
    struct flaw *items; /* the first of them; owned */
    size_t n;
    int64_t files; /* how many files are meant, all counted */
};

void flaws_clear(struct flaws *f);
/* Whether an error is about one file alone: it is damaged, cannot be read or is gone. */
bool is_flaw(const struct err *why);

enum { FLAWS_MAX = 1000 }; /* that are kept; all are counted */

/* Keeps one more if there is room. */
void flaws_add(struct flaws *f, const struct flaw *one);
/* One file that is not whole, for each of the images that name it; `why` is blobs_check()'s error. */
MUST_CHECK bool flaws_add_file(struct flaws *f, struct session *s, const char *sha256, const struct err *why,
                               struct err *e);
/* One model whose file is not. */
void flaws_add_model(struct flaws *f, const char *id, const struct err *why);

#endif
