/* op.h - an operation of a network: one file here, and one row in ops.def.
 *
 * A network is a list of nodes (graph.h); each is one operation on the outputs of nodes before it.  Plan, learner and
 * graph ask the operation's row for everything.  It has the shape it gives, the weights it wants, what it absorbs, what
 * it keeps for the way back, and how it runs.  None of them knows an operation by its name.
 *
 *     serving    pack (once, shared), open and bind (for each plan), infer or forward
 *     training   kept, train_scratch, back_reads (when the memory is laid out), forward, backward
 *
 * A hook that may be NULL says so.  All rows are constant.
 */
#ifndef ANCHORD_ENGINE_OPS_OP_H
#define ANCHORD_ENGINE_OPS_OP_H

#include "base/err.h"
#include "base/mem.h"
#include "engine/kernels/backend.h"
#include "engine/kernels/tensor.h"

struct op;
struct conv_pick;

enum { OP_INPUTS_MAX = 4, OP_ABSORBED_MAX = 4, OP_WEIGHTS_MAX = 8, OP_GRADIENTS_MAX = 2 };

/* ---- weights ---- */

enum weight_kind {
    WEIGHT_LEARNED,
    WEIGHT_STATISTIC, /* moves with each forward of training, by no gradient */
    WEIGHT_VARIANCE   /* a statistic that is never negative */
};
enum { STAGE_HEAD = 1000 }; /* weights that only training uses: no part of the model, never frozen */

struct weight { /* one named tensor, fp32 */
    const char *name;
    uint32_t rank, shape[4]; /* in models filters are [out, in, height, width]; matrices [out, in] */
    size_t count;            /* product of the shape */
    enum weight_kind kind;
    uint32_t stage;  /* 1 for the first that can be frozen, then up; or STAGE_HEAD */
    float start;     /* first value, */
    double variance; /* and that of the normal numbers around it */
    float *data;     /* NULL in a graph; borrowed */
};

static inline bool weight_is_statistic(const struct weight *w)
{
    return w->kind != WEIGHT_LEARNED;
}

static inline bool weight_is_head(const struct weight *w)
{
    return w->stage == STAGE_HEAD;
}

/* ---- nodes ---- */

struct op_settings { /* each operation reads its own */
    size_t channels; /* conv, linear: of the output */
    size_t window, stride, pad;
    float epsilon; /* norms */
    bool bias;     /* linear */
};

struct applied { /* an operation with its settings and weights, wherever it stands */
    const struct op *op;
    struct op_settings set;
    size_t weight, n_weights; /* the first one in graph.weights, and how many follow each other */
};

struct node {
    struct applied does;
    struct applied then[OP_ABSORBED_MAX]; /* operations that it has absorbed, in their order */
    size_t n_then;
    size_t n_own;                   /* inputs of its own */
    size_t n_in, in[OP_INPUTS_MAX]; /* nodes before it: its own, then the second inputs of what it has absorbed */
    size_t rows, h, w, c;           /* of the output */
    bool fp32;                      /* whatever the network computes in */
    bool lent;                      /* its output is wanted as it is: no other operation may be absorbed */
};

struct graph {
    struct node *nodes; /* the last one gives the result; owned */
    size_t n;
    struct weight *weights; /* owned */
    size_t n_weights;
    struct arena names; /* of the weights */
    uint32_t stage;     /* of weights that are declared now */
};

/* Whether the node has absorbed this operation. */
bool node_absorbed(const struct node *n, const struct op *op);
/* Its output for `batch` times its rows, where the network computes in `dtype`; data NULL. */
struct tensor node_tensor(const struct node *n, size_t batch, enum dtype dtype);
/* h and w of a window that slides over node x. */
void node_slide(struct node *n, const struct node *x);

/* ---- where a node runs ---- */

struct site { /* all borrowed but `own` */
    const struct node *node;
    struct tensor x[OP_INPUTS_MAX], y;
    void *scratch; /* as much as any node wants; aligned, and whatever runs may write on it */

    /* Serving. */
    const void *packed;  /* what pack() made */
    void *own;           /* what open() made */
    size_t scratch_size; /* that it wants */

    /* Training. */
    const struct weight *weights; /* [n_weights] */
    float **gradients;            /* [n_weights]; NULL: that weight does not learn */
    bool frozen;                  /* its weights stay, and its statistics are used as they are */
    bool accumulate;              /* gradients of weights are added to what is there */
    void *kept;                   /* kept() bytes, from forward to backward; aligned */
    float *spare;                 /* room for the gradient of one weight */
    const struct conv_pick *pick; /* with conv_trial() */
    void *dy[OP_GRADIENTS_MAX];   /* gradients of y that are to be added; [1] may be NULL */
    void *dx[OP_INPUTS_MAX];      /* of each input; NULL: not wanted; may be dy[0] of an operation that is in_place */
};

/* The gradient of weight k goes where it is wanted, or is added there. */
void train_deliver(const struct site *s, size_t k, const float *gradient);

/* ---- the row ---- */

enum graph_mode { GRAPH_SERVES, GRAPH_TRAINS };
enum { BACK_READS_X = 1, BACK_READS_Y = 2 };

struct op {
    const char *name;
    bool fp32;        /* its output is fp32 even where its input is not */
    bool in_place;    /* the last input that wants a gradient gets it in the place of dy[0] */
    size_t gradients; /* how many gradients of y it adds up itself, in one go; 0 is 1 */

    /* Fills h, w, c, which are those of the first input before.  NULL: they stay. */
    void (*shape)(struct node *n, const struct graph *g);
    /* Fills `out` with the weights for an input of c channels, named by what follows ".".  NULL: none. */
    size_t (*weights)(const struct op_settings *s, size_t c, struct weight out[OP_WEIGHTS_MAX]);
    /* Whether node n can do `next` right after what it has absorbed.  When serving, a second input is given in the
     * place of the output.  NULL: never. */
    bool (*absorbs)(const struct node *n, const struct op *next, enum graph_mode mode);
    /* In serving y[k] = scale x[k] + shift; what may be folded into weights before it.  NULL: it is no such thing. */
    void (*affine)(const struct applied *s, const struct weight *weights, size_t k, double *scale, double *shift);

    /* What all plans share, from all weights of the model.  The site is that of one row, without data.  NULL on
     * failure. pack, unpack, open, bind and close may be NULL. */
    void *(*pack)(const struct site *s, const struct weight *weights, enum backend b, struct err *e);
    void (*unpack)(void *packed);
    /* s->own and s->scratch_size, before there is data; then, with data and scratch in place, bind. */
    bool (*open)(struct site *s, struct err *e);
    bool (*bind)(struct site *s, struct err *e);
    void (*close)(struct site *s);                /* also after a failed open */
    bool (*infer)(struct site *s, struct err *e); /* NULL: what forward does, without weights, is all */

    /* The site has shapes, weights and what is wanted, no data.  NULL: 0. */
    size_t (*kept)(const struct site *s);
    size_t (*train_scratch)(const struct site *s);
    unsigned (*back_reads)(const struct site *s); /* BACK_READS_* */
    /* The convolution whose kernels are to be measured (conv_picks.h); data is in place.  NULL: it is none. */
    void (*conv_trial)(const struct site *s, struct conv_pick *out);
    bool (*forward)(struct site *s);  /* false: a library refused */
    bool (*backward)(struct site *s); /* the gradients that are wanted */
};

#define OP(name) extern const struct op op_##name;
#include "engine/ops/ops.def"
#undef OP
/* All of them; NULL at the end. */
extern const struct op *const all_ops[];

#endif
