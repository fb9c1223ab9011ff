/* checkpoint.c - saves and loads. */
#include "engine/training/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/safetensors.h"

enum { FORMAT = 1, NAME_MAX_BYTES = 112 };
static const char metadata_key[] = "checkpoint";

/* ---- the tensors, the same list for both directions ---- */

struct piece {
    char name[NAME_MAX_BYTES];
    float *data;
    size_t count;
    uint32_t rank, shape[4];
};

struct pieces {
    struct piece *items; /* owned */
    size_t n;
};

static struct piece *add_piece(struct pieces *p, const char *kind, const char *name, float *data, size_t count)
{
    struct piece *to = &p->items[p->n++];
    snprintf(to->name, sizeof to->name, "%s.%s", kind, name);
    to->data = data;
    to->count = count;
    to->rank = 1;
    to->shape[0] = (uint32_t)count;
    return to;
}

static struct pieces pieces_of(struct train_step *s)
{
    size_t n;
    const struct weight *t = learner_weights(train_step_learner(s), &n);
    struct optimizer *o = train_step_optimizer(s);
    size_t states = optimizer_state_count(o);
    size_t followers = 0, own;
    const struct weight *target = train_step_target(s) ? learner_weights(train_step_target(s), &followers) : NULL;
    const struct loss_tensor *l = loss_tensors(train_step_loss(s), &own);
    struct pieces p = {.items = mem_new(2 * n + followers + own + states, sizeof *p.items)};

    for (size_t i = 0; i < n; i++) {
        struct piece *whole = add_piece(&p, "network", t[i].name, t[i].data, t[i].count);
        whole->rank = t[i].rank;
        memcpy(whole->shape, t[i].shape, sizeof whole->shape);
        if (train_step_average(s, i))
            add_piece(&p, "average", t[i].name, train_step_average(s, i), t[i].count);
    }
    for (size_t i = 0; i < followers; i++)
        add_piece(&p, "target", target[i].name, target[i].data, target[i].count);
    for (size_t i = 0; i < own; i++)
        add_piece(&p, "objective", l[i].name, l[i].data, l[i].count);
    for (size_t i = 0; i < states; i++) {
        char number[24];
        size_t count;
        float *data = optimizer_state(o, i, &count);
        snprintf(number, sizeof number, "%zu", i);
        add_piece(&p, "optimizer", number, data, count);
    }
    return p;
}

/* ---- saving ---- */

static void write_metadata(const struct run_state *st, const struct train_config *config, const struct run_ground *g,
                           struct train_step *s, struct buf *out)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    jw_int(&w, "format", FORMAT);
    jw_int(&w, "step", (int64_t)st->step);
    jw_real(&w, "seconds", st->seconds);
    jw_int(&w, "best_step", (int64_t)st->best_step);
    jw_real(&w, "best_score", st->best_score);
    jw_int(&w, "optimizer_steps", (int64_t)*optimizer_steps(train_step_optimizer(s)));
    jw_int(&w, "threads", (int64_t)g->threads);
    jw_text(&w, "precision", g->precision);
    jw_text(&w, "backend", g->backend);
    jw_text(&w, "processor", g->processor);
    jw_text(&w, "pictures", g->pictures);
    jw_raw(&w, "picks", learner_picks(train_step_learner(s)));
    jw_raw(&w, "config", config->text);
    jw_end(&w);
}

bool checkpoint_save(const char *path, const struct run_state *state, const struct train_config *config,
                     const struct run_ground *ground, struct train_step *s, struct err *e)
{
    struct pieces p = pieces_of(s);
    struct safetensor_out *out = mem_new(p.n, sizeof *out);
    struct buf metadata = {0};

    for (size_t i = 0; i < p.n; i++)
        out[i] = (struct safetensor_out){p.items[i].name, p.items[i].rank,  p.items[i].shape,
                                         p.items[i].data, p.items[i].count, false};
    write_metadata(state, config, ground, s, &metadata);
    bool ok = safetensors_write(path, out, p.n, metadata_key, metadata.data, e);
    buf_clear(&metadata);
    free(out);
    free(p.items);
    return ok;
}

/* ---- opening ---- */

struct checkpoint {
    struct safetensors *file;
    struct json *doc;
    struct run_state state;
    struct run_ground ground;
    int64_t optimizer_steps;
    struct buf picks;
};

static bool get_count(const struct json *doc, const char *key, uint64_t *out, struct err *e)
{
    int64_t value = -1;
    if (!json_get_int(doc, key, 0, INT64_MAX, &value, e) || value < 0)
        return err_set(e, ERR_CORRUPT, "`%s` is missing", key);
    *out = (uint64_t)value;
    return true;
}

static bool get_text(const struct json *doc, const char *key, char *out, size_t room, struct err *e)
{
    const char *text = json_as_text(json_member(doc, key), NULL);
    if (!text || strlen(text) >= room)
        return err_set(e, ERR_CORRUPT, "`%s` is missing", key);
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool read_metadata(struct checkpoint *c, struct err *e)
{
    const struct json *d = c->doc;
    uint64_t format, threads;
    if (!get_count(d, "format", &format, e) || !get_count(d, "step", &c->state.step, e) ||
        !get_count(d, "best_step", &c->state.best_step, e) || !get_count(d, "threads", &threads, e) ||
        !get_text(d, "precision", c->ground.precision, sizeof c->ground.precision, e) ||
        !get_text(d, "backend", c->ground.backend, sizeof c->ground.backend, e) ||
        !get_text(d, "processor", c->ground.processor, sizeof c->ground.processor, e) ||
        !get_text(d, "pictures", c->ground.pictures, sizeof c->ground.pictures, e) ||
        !json_get_real(d, "seconds", 0, 1e12, &c->state.seconds, e) ||
        !json_get_real(d, "best_score", -1, 1e9, &c->state.best_score, e) ||
        !json_get_int(d, "optimizer_steps", 0, INT64_MAX, &c->optimizer_steps, e))
        return false;
    c->ground.threads = (size_t)threads;
    if (format != FORMAT)
        return err_set(e, ERR_CORRUPT, "its format is %llu, and %d is known here", (unsigned long long)format, FORMAT);
    if (!json_member(d, "picks") || !json_member(d, "config"))
        return err_set(e, ERR_CORRUPT, "`picks` or `config` is missing");
    json_dump(json_member(d, "picks"), &c->picks);
    return true;
}

static bool open_file(struct checkpoint *c, const char *path, struct err *e)
{
    size_t len;
    c->file = safetensors_open(path, e);
    if (!c->file)
        return false;
    const char *text = safetensors_metadata(c->file, metadata_key, &len);
    if (!text)
        return err_set(e, ERR_CORRUPT, "it is not a checkpoint");
    c->doc = json_parse(text, len, 0, e);
    return c->doc && read_metadata(c, e);
}

struct checkpoint *checkpoint_open(const char *path, struct err *e)
{
    struct checkpoint *c = mem_new(1, sizeof *c);
    struct err why = {0};
    if (open_file(c, path, &why))
        return c;
    checkpoint_close(c);
    err_unfield(&why);
    err_set(e, why.code == ERR_BAD_INPUT ? ERR_CORRUPT : why.code, "the checkpoint %s: %s", path, why.text);
    return NULL;
}

void checkpoint_close(struct checkpoint *c)
{
    if (!c)
        return;
    safetensors_close(c->file);
    json_free(c->doc);
    buf_clear(&c->picks);
    free(c);
}

const struct run_state *checkpoint_state(const struct checkpoint *c)
{
    return &c->state;
}

const char *checkpoint_picks(const struct checkpoint *c)
{
    return c->picks.data;
}

/* ---- is it this run? ---- */

static bool same_config(const struct checkpoint *c, const struct train_config *config)
{
    struct buf then = {0};
    json_dump(json_member(c->doc, "config"), &then);
    bool same = strcmp(then.data, config->text) == 0;
    buf_clear(&then);
    return same;
}

bool checkpoint_matches(const struct checkpoint *c, const struct train_config *config, const struct run_ground *ground,
                        bool inexact, struct err *e)
{
    const struct run_ground *then = &c->ground;
    const char *how = "; --allow-inexact goes on all the same, but not to the same bits";
    if (!same_config(c, config))
        return err_set(e, ERR_CONFLICT, "the configuration is not the one that this run was begun with");
    if (strcmp(then->pictures, ground->pictures) != 0)
        return err_set(e, ERR_CONFLICT, "the pictures are not those that this run was begun with");
    if (inexact)
        return true;
    if (then->threads != ground->threads)
        return err_set(e, ERR_CONFLICT, "this run was begun with %zu threads, and now there are %zu%s", then->threads,
                       ground->threads, how);
    if (strcmp(then->precision, ground->precision) != 0 || strcmp(then->backend, ground->backend) != 0)
        return err_set(e, ERR_CONFLICT, "this run was begun in %s with %s, and here it would be %s with %s%s",
                       then->precision, then->backend, ground->precision, ground->backend, how);
    if (strcmp(then->processor, ground->processor) != 0)
        return err_set(e, ERR_CONFLICT, "this run was begun on another processor (%s)%s", then->processor, how);
    return true;
}

bool checkpoint_load(const struct checkpoint *c, struct train_step *s, struct err *e)
{
    struct pieces p = pieces_of(s);
    bool ok = true;
    for (size_t i = 0; ok && i < p.n; i++) {
        const struct piece *to = &p.items[i];
        const struct safetensor *t = safetensors_find(c->file, to->name);
        ok = (t && t->count == to->count) || err_set(e, ERR_CORRUPT, "the checkpoint has no fitting `%s`", to->name);
        ok = ok && safetensors_read(c->file, t, to->data, e);
    }
    free(p.items);
    if (ok)
        *optimizer_steps(train_step_optimizer(s)) = (uint64_t)c->optimizer_steps;
    return ok;
}
