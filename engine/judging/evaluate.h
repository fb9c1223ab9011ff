/* evaluate.h - an encoder judged on pictures: embed them all, then the figures of retrieval.h and probe.h.
 *
 *     float *x = mem_aligned(n * encoder_dimensions(enc), sizeof *x);
 *     evaluate_embed(enc, dataset, items, n, pool, x, e);
 *     struct evaluation v = evaluate(&(struct evaluate_input){...});
 *
 * Queries and gallery are the same pictures, each query left out of its own answer.  The vectors are those that serving
 * gives: of unit length, with the model's own preprocessing.
 */
#ifndef ANCHORD_ENGINE_JUDGING_EVALUATE_H
#define ANCHORD_ENGINE_JUDGING_EVALUATE_H

#include "base/json_writer.h"
#include "engine/data/dataset.h"
#include "engine/encoder.h"
#include "engine/judging/probe.h"
#include "engine/judging/retrieval.h"
#include "engine/pictures/alter.h"
#include "engine/pictures/augment.h"

/* out [n, dimensions]: the vectors of items[0..n) of the dataset's manifest, on all threads of the pool (NULL: this
 * one). */
MUST_CHECK bool evaluate_embed(struct encoder *enc, const struct dataset *d, const size_t *items, size_t n,
                               struct pool *pool, float *out, struct err *e);
/* The same of a random view of each picture, which depends on (seed, the picture's content) alone. */
MUST_CHECK bool evaluate_embed_views(struct encoder *enc, const struct dataset *d, const struct manifest *m,
                                     const size_t *items, size_t n, const struct augmentation *a, uint64_t seed,
                                     struct pool *pool, float *out, struct err *e);

/* The same of each picture after this change (alter.h). */
MUST_CHECK bool evaluate_embed_altered(struct encoder *enc, const struct dataset *d, const size_t *items, size_t n,
                                       enum alteration a, struct pool *pool, float *out, struct err *e);

struct evaluate_input {    /* all borrowed */
    const float *x;        /* [n, d], unit rows: the pictures that are judged */
    const int32_t *labels; /* [n], 0 .. classes - 1; NULL: none, and `views` take their place */
    const float *views;    /* [n, d]: of a view of each picture; only without labels */
    int8_t *hits;          /* [n]: gets 1, 0 or -1 (no query) for recall@1 of each picture; NULL: not wanted */
    size_t n, d, classes;
    const float *bank; /* [n_bank, d]: for kNN and the linear probe; NULL: they are left out */
    const int32_t *bank_labels;
    size_t n_bank;
    double knn_temperature; /* of kNN's votes; 0: 0.07 */
    size_t probe_grid;      /* penalties tried by the linear probe; 0: none */
    size_t episodes;        /* of few-shot; 0: none */
    uint64_t seed;
};

struct evaluation {
    struct retrieval retrieval;          /* queries 0: not measured */
    struct instance instance;            /* the same */
    double knn_20, knn_200;              /* accuracy; negative: not measured */
    double linear;                       /* accuracy of the linear probe; negative: not measured */
    struct few_shot few_shot;            /* 5-way 5-shot; episodes 0: not measured */
    double alignment, uniformity;        /* of pairs of one label (or picture and view), and of all */
    double std, effective_rank, rank_me; /* signs of collapse */
};
struct evaluation evaluate(const struct evaluate_input *in);

/* Appends it as a JSON object, figures that were not measured as null. */
void evaluation_write(const struct evaluation *v, struct buf *out);
/* Only its members, into an object that is open. */
void evaluation_fields(const struct evaluation *v, struct json_writer *w);

#endif
