/* model.h - a model is one .safetensors file: weights, and in __metadata__ all that is needed to use them.
 *
 * Tensor names and shapes are torchvision's for ResNets ("layer1.0.conv1.weight" [64, 64, 3, 3]).  So a torchvision or
 * timm checkpoint is imported as it is (fc.* ignored), and ours loads there.  __metadata__["anchord"] is a JSON text
 * with the architecture, the preprocessing, the lineage and the golden images with their vectors.  The format, byte by
 * byte, is in docs/internals/model-file.md.
 *
 * The file is hostile until proven otherwise: sizes, shapes, overflow, overlap and finiteness are checked,
 * unknown or missing tensors are refused by name.  Golden vectors are compared by encoder_check().
 */
#ifndef ANCHORD_ENGINE_MODEL_H
#define ANCHORD_ENGINE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "engine/arch.h"
#include "engine/pictures/preprocess.h"

enum { MODEL_GOLDENS_MAX = 16 };

struct golden { /* a small picture that we drew, and the vector it must give in fp32 */
    void *png;  /* owned */
    size_t png_len;
    float *vector; /* [dimensions], unit length; owned */
};

struct model {
    struct arch arch;
    struct preprocess pre;
    struct weight *weights; /* in the order of the architecture, filters [out, in, height, width]; owned */
    size_t n_weights;
    struct arena names;     /* of the weights; owned */
    float *storage;         /* the data of all weights, in one piece; owned */
    struct golden *goldens; /* owned; none in a freshly imported foreign file until model_save() */
    size_t n_goldens;
    bool compact; /* its matrices and convolutions are stored in bf16; their values are such already */
    bool trained; /* false: random weights from `model new` */
    uint64_t seed;
    int64_t created_at;         /* Unix seconds */
    char parent[HASH_HEX];      /* fingerprint of the model it was trained from; empty: none */
    char *lineage;              /* JSON object: objective, data, metrics; NULL: none; owned */
    char fingerprint[HASH_HEX]; /* SHA-256 over the sorted tensors, arch and preprocessing; nothing else */
};

/* All give a model to be released by model_free(); NULL on failure. */

/* He et al.'s initialisation as torchvision has it.  Convolutions are normal with variance 2 / (out x height x width),
 * a projection with variance 1 / in.  Batch norms are at identity.  The same seed gives the same bits. */
struct model *model_new_random(const struct arch *a, const struct preprocess *p, uint64_t seed, struct err *e);
/* The preprocessing of a new model: as its family has it.  size 0: the usual one of such a network. */
struct preprocess model_preprocess(const struct arch *a, uint32_t size);
/* The same network for pictures of another side; its goldens are stale then. */
void model_resize(struct model *m, uint32_t size);
/* The preprocessing with another fit: nothing is cut but by `crop`, which cuts as a new model would. */
struct preprocess model_fit(const struct preprocess *p, const struct arch *a, enum fit fit);
/* Reads a file of ours, or a foreign ResNet (*foreign tells; it may be NULL).  A foreign architecture is told from its
 * shapes (a 3x3 stem is taken for small1).  Its `fc.*` and `*.num_batches_tracked` are ignored, and it gets
 * preprocess_imagenet (a small stem: 32 x 32).  Needs no memory beyond the weights' own.  ERR_BAD_INPUT for anything
 * wrong inside, naming the tensor or the member. */
struct model *model_load(const char *path, bool *foreign, struct err *e);
struct model *model_parse(const void *bytes, size_t len, bool *foreign, struct err *e);
/* Writes the file durably (file_replace's rules). */
MUST_CHECK bool model_save(const struct model *m, const char *path, struct err *e);
/* Writes a file that torchvision's ResNet loads: no metadata, and a projection becomes the classifier `fc`. */
MUST_CHECK bool model_export(const struct model *m, const char *path, struct err *e);
void model_free(struct model *m); /* NULL is fine */

/* Rounds matrices and convolutions to bf16, so that the file takes half the room, and seals; one-dimensional tensors
 * stay as they are.  The goldens were of other weights: they are dropped. */
void model_compact(struct model *m);

/* Computes m->fingerprint again after weights, arch or preprocessing have changed. */
void model_seal(struct model *m);

#endif
