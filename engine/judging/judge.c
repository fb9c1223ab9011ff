/* judge.c - judging a model with the same pictures each time. */
#include "engine/judging/judge.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/judging/judge_parts.h"

enum { PROBE_GRID = 9, EPISODES = 600 };

/* Two labels at least, one of them with two pictures: otherwise there is nothing to be told apart, or to be found. */
static bool labels_say_something(const struct choice *c, size_t n_labels)
{
    size_t *count = mem_new(n_labels, sizeof *count), seen = 0, most = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->labels[i] != NO_LABEL) {
            seen += count[c->labels[i]]++ == 0;
            most = max_size(most, count[c->labels[i]]);
        }
    free(count);
    return seen >= 2 && most >= 2;
}

static bool nothing_to_judge(const struct judge *j, struct err *e)
{
    if (j->o.validation)
        return err_field(e, "validation", "has fewer than two different pictures");
    return err_field(e, "held_out",
                     "leaves nothing to judge by: of %zu pictures with %zu labels none can be spared, for a label "
                     "needs at least 4 different ones; more pictures or a `validation` folder would do",
                     j->manifest->n, j->manifest->n_labels);
}

struct judge *judge_new(const struct judge_options *o, struct err *e)
{
    struct judge *j = mem_new(1, sizeof *j);
    j->o = *o;
    j->manifest = o->validation ? o->validation : o->manifest;
    j->dataset = o->validation ? o->validation_dataset : o->dataset;
    if (!o->augment)
        j->o.augment = recipe_find("simclr")->view;
    choice_gather(j->manifest, o->validation ? CHOOSE_ALL : CHOOSE_HELD_OUT, &j->judged);
    j->labelled = labels_say_something(&j->judged, j->manifest->n_labels);
    if (j->labelled)
        choice_keep_labelled(&j->judged);
    choice_limit(&j->judged, j->manifest, o->images_max ? o->images_max : JUDGE_IMAGES, o->seed);
    if (j->labelled && !o->validation) {
        choice_gather(o->manifest, CHOOSE_TRAINED, &j->bank);
        choice_keep_labelled(&j->bank);
        choice_limit(&j->bank, o->manifest, o->bank_max ? o->bank_max : JUDGE_BANK, o->seed);
    }
    if (j->judged.n >= 2)
        return j;
    nothing_to_judge(j, e);
    judge_free(j);
    return NULL;
}

void judge_free(struct judge *j)
{
    if (!j)
        return;
    choice_clear(&j->judged);
    choice_clear(&j->bank);
    free(j);
}

bool judge_is_labelled(const struct judge *j)
{
    return j->labelled;
}

/* *bank, *views: the caller's, NULL where there are none. */
static bool embed(const struct judge *j, struct encoder *enc, struct judgement *out, float **bank, float **views,
                  struct err *e)
{
    const size_t d = out->dimensions, n = j->judged.n;
    *bank = j->bank.n ? mem_aligned(j->bank.n * d, sizeof **bank) : NULL;
    *views = j->labelled ? NULL : mem_aligned(n * d, sizeof **views);
    return evaluate_embed(enc, j->dataset, j->judged.items, n, j->o.pool, out->vectors, e) &&
           (!*bank || evaluate_embed(enc, j->o.dataset, j->bank.items, j->bank.n, j->o.pool, *bank, e)) &&
           (!*views || evaluate_embed_views(enc, j->dataset, j->manifest, j->judged.items, n, j->o.augment, j->o.seed,
                                            j->o.pool, *views, e));
}

static void measure(const struct judge *j, bool thoroughly, const float *bank, const float *views,
                    struct judgement *out)
{
    out->figures = evaluate(&(struct evaluate_input){.x = out->vectors,
                                                     .labels = j->labelled ? j->judged.labels : NULL,
                                                     .views = views,
                                                     .hits = out->hits,
                                                     .n = j->judged.n,
                                                     .d = out->dimensions,
                                                     .classes = j->manifest->n_labels,
                                                     .bank = bank,
                                                     .bank_labels = j->bank.labels,
                                                     .n_bank = j->bank.n,
                                                     .probe_grid = thoroughly ? PROBE_GRID : 0,
                                                     .episodes = thoroughly ? EPISODES : 0,
                                                     .seed = j->o.seed});
    out->score = j->labelled ? out->figures.retrieval.recall_1 : out->figures.instance.recall_1;
    out->queries = j->labelled ? out->figures.retrieval.queries : out->figures.instance.queries;
}

static bool judge_by(const struct judge *j, const struct model *m, bool thoroughly, struct judgement *out,
                     struct err *e)
{
    const double start = clock_s();
    const struct encoder_options o = {.precision = j->o.precision, .backend = j->o.backend};
    float *bank = NULL, *views = NULL;
    struct encoder *enc = encoder_new(m, &o, e);
    *out = (struct judgement){.labelled = j->labelled, .images = j->judged.n};
    if (!enc)
        return false;
    out->dimensions = encoder_dimensions(enc);
    out->hits = mem_new(out->images, sizeof *out->hits);
    out->vectors = mem_aligned(out->images * out->dimensions, sizeof *out->vectors);
    const bool ok = embed(j, enc, out, &bank, &views, e);
    if (ok)
        measure(j, thoroughly, bank, views, out);
    else
        judgement_clear(out);
    out->seconds = clock_s() - start;
    free(bank);
    free(views);
    encoder_release(enc);
    return ok || err_wrap(e, "judging the model");
}

bool judge_run(const struct judge *j, const struct model *m, struct judgement *out, struct err *e)
{
    return judge_by(j, m, false, out, e);
}

bool judge_run_thoroughly(const struct judge *j, const struct model *m, struct judgement *out, struct err *e)
{
    return judge_by(j, m, true, out, e);
}

void judgement_clear(struct judgement *out)
{
    free(out->hits);
    free(out->vectors);
    *out = (struct judgement){0};
}

struct interval judge_gain(const struct judgement *before, const struct judgement *after)
{
    return paired_bootstrap(before->hits, after->hits, before->images, JUDGE_RESAMPLES, 1);
}

bool judge_may_promote(const struct judgement *before, const struct judgement *after, struct err *e)
{
    if (after->queries < JUDGE_LEAST_QUERIES)
        return err_set(e, ERR_PRECONDITION, "judged by %zu queries only: below %d nothing is promoted by itself",
                       after->queries, JUDGE_LEAST_QUERIES);
    struct interval gain = judge_gain(before, after);
    if (!(gain.low > 0))
        return err_set(e, ERR_PRECONDITION,
                       "no certain gain: %s went from %.3f to %.3f, and the gain's 95 %% interval is %+.3f to %+.3f",
                       after->labelled ? "recall@1" : "instance recall@1", before->score, after->score, gain.low,
                       gain.high);
    return true;
}

void judgement_write(const struct judgement *v, struct json_writer *w, const char *key)
{
    jw_object(w, key);
    evaluation_fields(&v->figures, w);
    jw_bool(w, "labelled", v->labelled);
    jw_real(w, "score", v->score);
    jw_int(w, "images", (int64_t)v->images);
    jw_real(w, "seconds", v->seconds);
    jw_end(w);
}
