/* judge.h - how good a model is at this moment of a run: the same pictures asked each time, so that two moments compare.
 *
 *     struct judge *j = judge_new(&(struct judge_options){.manifest = &m, .dataset = d, .pool = pool, .seed = 1}, e);
 *     judge_run(j, model, &before, e);                 step 0
 *     ... training ...
 *     judge_run(j, model, &after, e);
 *     struct interval gain = judge_gain(&before, &after);
 *
 * It judges the held-out pictures, each searched for among the others; or, where there is one, a whole validation
 * folder.  With labels (at least two of them, one with two pictures) the score is recall@1.  Without, it is
 * instance_recall@1: is a picture found by an augmented view of itself, the same view each time?  Of equal contents one
 * is judged, and where labels count, pictures without one are left out.
 *
 * All choices depend on the seed and the manifest alone.  So a resumed run that judges its first model again gets the
 * very same judgement, on the same machine and threads.
 */
#ifndef ANCHORD_ENGINE_JUDGING_JUDGE_H
#define ANCHORD_ENGINE_JUDGING_JUDGE_H

#include "engine/judging/evaluate.h"

enum { JUDGE_LEAST_QUERIES = 100, JUDGE_RESAMPLES = 1000, JUDGE_IMAGES = 5000, JUDGE_BANK = 2000 };

struct judge_options {               /* all borrowed as long as the judge lives */
    const struct manifest *manifest; /* split by manifest_split() */
    const struct dataset *dataset;
    const struct manifest *validation; /* (optional) judged instead, whole; its labels may be others, so no kNN */
    const struct dataset *validation_dataset;
    struct pool *pool; /* (optional) embeds on these threads */
    enum precision precision;
    enum backend backend;
    const struct augmentation *augment; /* (optional) of instance recall; NULL: SimCLR's recipe */
    size_t images_max;                  /* most pictures judged, a stratified choice; 0: JUDGE_IMAGES */
    size_t bank_max;                    /* most training pictures that kNN votes with, stratified; 0: JUDGE_BANK */
    uint64_t seed;
};

struct judgement { /* of one moment; released by judgement_clear() */
    struct evaluation figures;
    bool labelled;
    double score;   /* recall@1, or instance recall@1: what the best model is told by */
    size_t images;  /* judged */
    size_t queries; /* those of them that have something to find */
    int8_t *hits;   /* [images]: 1 found, 0 not, -1 no query; owned */
    float *vectors; /* [images, dimensions]; owned */
    uint32_t dimensions;
    double seconds;
};

struct judge;

/* NULL on failure: ERR_BAD_INPUT (e->param is a setting of a run) when there are not two pictures to judge. */
struct judge *judge_new(const struct judge_options *o, struct err *e);
void judge_free(struct judge *j);              /* NULL is fine */
bool judge_is_labelled(const struct judge *j); /* the score is recall@1 */

/* Fails where the model gives no direction to a picture (ERR_UNDECODABLE), which a network that collapsed to zero or
 * diverged does; out is then empty. */
MUST_CHECK bool judge_run(const struct judge *j, const struct model *m, struct judgement *out, struct err *e);
/* With linear probe (which needs labels and a bank) and few-shot episodes as well: for the end of a run. */
MUST_CHECK bool judge_run_thoroughly(const struct judge *j, const struct model *m, struct judgement *out,
                                     struct err *e);
void judgement_clear(struct judgement *out); /* an empty one is fine */

/* Of the score, paired by query: mean gain and its 95 % interval. */
struct interval judge_gain(const struct judgement *before, const struct judgement *after);
/* May `after` replace `before` without anybody looking?  False gives the reason (ERR_PRECONDITION): fewer than
 * JUDGE_LEAST_QUERIES queries, or a gain whose interval does not lie above zero. */
MUST_CHECK bool judge_may_promote(const struct judgement *before, const struct judgement *after, struct err *e);

/* As a JSON object: the members of evaluation_write(), "labelled", "score", "images", "seconds". */
void judgement_write(const struct judgement *v, struct json_writer *w, const char *key);

/* Appends a contact sheet to out, as PNG bytes, with one row for each of `rows` queries.  A row has the query (blue),
 * its five nearest pictures before, a gap, and its five nearest after.  Frames are green for the query's label and red
 * for others.  Half of the queries are some whose answer changed, if there are, and labels take turns. */
MUST_CHECK bool judge_sheet(const struct judge *j, const struct judgement *before, const struct judgement *after,
                            size_t rows, struct buf *out, struct err *e);

#endif
