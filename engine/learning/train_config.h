/* train_config.h - what a training run is told, as JSON with every field checked.
 *
 *     {
 *       "data": "pictures/train",              folder of folders, or a flat one; or one of these two in its place:
 *       "manifest": "jobs/7/manifest.jsonl",   a list of files (manifest.h)
 *       "collection": "default",               what a data folder stores, which is "store": "data"
 *       "out": "runs/first",                   run folder: checkpoints, models, report
 *       "model": "base.safetensors",           (optional) start from it, with "size" for pictures of another side; otherwise "arch"
 *       "fit": "pad",                          (optional) crop, pad or squash; otherwise as the model has it
 *       "arch": {"name": "resnet18", "stem": "small1", "width": 64, "projection": 0, "size": 32},
 *       "method": {"type": "infonce", "infonce": {"temperature": 0.2, "positives": "views"}},
 *       "head": [{"outputs": 512, "norm": true, "relu": true}, {"outputs": 128}],
 *       "predictor": [...],                    for objectives with a target; [] for none
 *       "augmentation": "cifar",               a recipe, or {"recipe": "cifar", "crop_min": 0.2, ...}
 *       "crops": [{"count": 2, "size": 64, "crop_min": 0.3}, {"count": 6, "size": 32, "crop_max": 0.3}],   (optional) multi-crop
 *       "batch_size": 256, "per_label": 0,     per_label > 0: exact P x K batches
 *       "epochs": 5,                           or "steps"
 *       "picks": "runs/first/picks.json",      (optional) the kernels of another run: the same bits as there
 *       "optimizer": {"type": "sgd", "learning_rate": 0.12, "weight_decay": 0.0005, ...}
 *     }
 *
 * A field that is left out is as train_auto.h says.
 *
 * A field that is unknown or impossible is refused with its path ("optimizer.momentum").  The text is kept whole in
 * every checkpoint, so that a resumed run is told the same.
 */
#ifndef ANCHORD_ENGINE_LEARNING_TRAIN_CONFIG_H
#define ANCHORD_ENGINE_LEARNING_TRAIN_CONFIG_H

#include "base/setting.h"
#include "engine/data/crops.h"
#include "engine/learning/learner.h"
#include "engine/learning/optimizer.h"
#include "engine/objectives/objective.h"

struct train_config {
    char *data, *manifest, *collection; /* where the pictures are: one of them; owned; the others NULL */
    char *store;                        /* data folder of the collection; owned */
    char *out;                          /* owned */
    char *validation, *model, *picks;   /* paths; owned; NULL: not given */
    struct arch arch;                   /* without `model` */
    uint32_t size;                      /* input side; 0: the model's */
    int fit;                            /* enum fit; -1: the model's, or crop */
    const struct objective *objective;  /* static */
    struct objective_settings settings;
    char recipe[32];
    struct augmentation augment[2];
    struct crops crops; /* sizes not said are 0: crops_settle(); without "crops" one group of the views */
    size_t views; /* 2, or proxy 1; 1 also when positives are labels and "views" says so; all crops with "crops" */
    size_t batch, per_label, chunk; /* chunk: rows of one forward pass; 0: all (GradCache otherwise) */
    uint64_t epochs, steps;         /* one of them is 0 */
    double max_minutes;             /* 0: no limit */
    struct optimizer_settings optimizer;
    double learning_rate, head_rate; /* head_rate: times the learning rate, for the head */
    double warmup, end_rate;         /* parts of the run, and of the learning rate */
    double clip_norm;                /* 0: none */
    double ema;                      /* of the exported weights; 0: none */
    struct head_layer head[HEAD_LAYERS_MAX];
    size_t n_head;
    struct head_layer predictor[HEAD_LAYERS_MAX];
    size_t n_predictor;
    bool freeze_norm;
    uint32_t freeze_stages;
    double held_out;                           /* fraction of each label */
    uint64_t evaluate_every, checkpoint_every; /* steps; 0: at the end of each epoch */
    uint64_t seed;
    enum precision precision;
    enum backend backend;
    size_t threads;     /* 0: all cores */
    size_t cache_bytes; /* of decoded pictures; 0: 2 GB */
    char *text;         /* the JSON as it was given, but compact; owned */
};

/* Reads and checks.  c is to be cleared in either case. */
MUST_CHECK bool train_config_parse(struct train_config *c, const char *text, size_t len, struct err *e);
void train_config_clear(struct train_config *c);

#endif
