/* model_cache.c - loading model files into shared encoders. */
#include "api/services/model_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct loaded {
    struct loaded *next;
    char id[ID_MAX + 1];
    enum precision precision; /* asked for; never AUTO once it is known what that means here */
    struct encoder *encoder;  /* NULL while one thread loads it */
    struct golden golden;     /* the model's first */
    bool forgotten;           /* deleted while it was loaded */
};

struct model_cache {
    struct store *store;
    struct encoder_options options;
    pthread_mutex_t mu;     /* guards everything below */
    pthread_cond_t changed; /* an entry was loaded or given up */
    struct loaded *first;
    enum precision usual; /* what the options' precision means on this machine; AUTO: not known yet */
};

struct model_cache *model_cache_new(struct store *s, const struct encoder_options *o)
{
    struct model_cache *c = mem_new(1, sizeof *c);
    c->store = s;
    c->options = *o;
    c->usual = o->precision;
    pthread_mutex_init(&c->mu, NULL);
    pthread_cond_init(&c->changed, NULL);
    return c;
}

static void drop_locked(struct model_cache *c, struct loaded *entry)
{
    struct loaded **at = &c->first;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    encoder_release(entry->encoder);
    free(entry->golden.png);
    free(entry->golden.vector);
    free(entry);
}

void model_cache_free(struct model_cache *c)
{
    if (!c)
        return;
    while (c->first)
        drop_locked(c, c->first);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mu);
    free(c);
}

static struct loaded **find_locked(struct model_cache *c, const char *id, enum precision precision)
{
    if (precision == PRECISION_AUTO)
        precision = c->usual;
    struct loaded **at = &c->first;
    while (*at && ((*at)->forgotten || (*at)->precision != precision || strcmp((*at)->id, id) != 0))
        at = &(*at)->next;
    return at;
}

static struct encoder *make_encoder(struct model_cache *c, const struct model *m, const char *id,
                                    enum precision precision, struct err *e)
{
    struct encoder_options o = {.precision = precision, .backend = c->options.backend};
    struct err why = {0};
    struct encoder *enc = encoder_new(m, &o, &why);
    if (!enc && why.code == ERR_BAD_INPUT && precision == PRECISION_BF16 && c->options.precision != PRECISION_BF16) {
        log_warn("model", "id=%s its vectors were made in bf16, which this processor lacks; fp32 goes on", id);
        o.precision = PRECISION_FP32;
        why = (struct err){0};
        enc = encoder_new(m, &o, &why);
    }
    if (!enc)
        err_move(e, &why);
    return enc;
}

/* A stored file that cannot be read is damage, whatever the parser calls it. */
static struct model *read_model(struct model_cache *c, const char *id, struct err *e)
{
    struct model_row row;
    struct err why = {0};
    char path[4096];
    bool foreign;
    if (!store_model(c->store, id, &row, e))
        return NULL;
    store_model_path(c->store, id, path, sizeof path);
    struct model *m = model_load(path, &foreign, &why);
    if (!m)
        err_set(e, why.code == ERR_IO ? ERR_IO : ERR_CORRUPT, "model %s: %s", id, why.text);
    else if (strcmp(m->fingerprint, row.fingerprint) != 0)
        err_set(e, ERR_CORRUPT, "model %s: the file is not the one that was stored", id);
    if (m && e->code) {
        model_free(m);
        m = NULL;
    }
    model_row_clear(&row);
    return m;
}

/* Takes over the first golden, which then is the entry's. */
static void keep_golden(struct model *m, struct loaded *entry)
{
    if (m->n_goldens == 0)
        return;
    entry->golden = m->goldens[0];
    m->goldens[0] = (struct golden){0};
}

static struct encoder *load(struct model_cache *c, struct loaded *entry, struct err *e)
{
    const char *id = entry->id;
    double start = clock_s(), worst = 0;
    struct model *m = read_model(c, id, e);
    struct encoder *enc = m ? make_encoder(c, m, id, entry->precision, e) : NULL;
    if (enc && !encoder_check(enc, m, &worst, e)) {
        e->code = ERR_CORRUPT;
        err_wrap(e, "model %s", id);
        encoder_release(enc);
        enc = NULL;
    }
    if (enc)
        keep_golden(m, entry);
    model_free(m);
    if (enc)
        log_info("model_loaded", "id=%s fingerprint=%.12s precision=%s golden_error=%.2g seconds=%.3f", id,
                 encoder_fingerprint(enc), precision_name(encoder_precision(enc)), worst, clock_s() - start);
    return enc;
}

/* Loads with the lock released; the entry, without an encoder, keeps others from doing it too. */
static struct encoder *load_locked(struct model_cache *c, const char *id, enum precision precision, struct err *e)
{
    struct loaded *entry = mem_new(1, sizeof *entry);
    snprintf(entry->id, sizeof entry->id, "%s", id);
    entry->precision = precision == PRECISION_AUTO ? c->usual : precision;
    entry->next = c->first;
    c->first = entry;
    pthread_mutex_unlock(&c->mu);
    struct encoder *enc = load(c, entry, e);
    pthread_mutex_lock(&c->mu);
    entry->encoder = enc;
    if (enc && entry->precision == PRECISION_AUTO)
        entry->precision = c->usual = encoder_precision(enc);
    struct encoder *out = enc ? encoder_share(enc) : NULL;
    if (!enc || entry->forgotten)
        drop_locked(c, entry);
    pthread_cond_broadcast(&c->changed);
    return out;
}

struct encoder *model_cache_get(struct model_cache *c, const char *id, enum precision precision, struct err *e)
{
    struct encoder *out = NULL;
    struct loaded *found;
    pthread_mutex_lock(&c->mu);
    while ((found = *find_locked(c, id, precision)) && !found->encoder)
        pthread_cond_wait(&c->changed, &c->mu);
    out = found ? encoder_share(found->encoder) : load_locked(c, id, precision, e);
    pthread_mutex_unlock(&c->mu);
    return out;
}

bool model_cache_verify(struct model_cache *c, const char *id, struct err *e)
{
    struct model *m = read_model(c, id, e);
    model_free(m);
    return m != NULL;
}

bool model_check_file(const char *path, const char *fingerprint, struct err *e)
{
    struct err why = {0};
    bool foreign;
    struct model *m = model_load(path, &foreign, &why);
    bool same = m && strcmp(m->fingerprint, fingerprint) == 0;
    model_free(m);
    if (!m && (why.code == ERR_BUSY || why.code == ERR_IO))
        return err_move(e, &why);
    return same || err_set(e, ERR_CORRUPT, "%s", m ? "the file is not the one that was stored" : why.text);
}

bool model_cache_has(struct model_cache *c, const char *id, enum precision precision)
{
    pthread_mutex_lock(&c->mu);
    const struct loaded *found = *find_locked(c, id, precision);
    bool ready = found && found->encoder;
    pthread_mutex_unlock(&c->mu);
    return ready;
}

bool model_cache_golden(struct model_cache *c, const char *id, struct golden *out)
{
    pthread_mutex_lock(&c->mu);
    const struct loaded *found = *find_locked(c, id, PRECISION_AUTO);
    bool ready = found && found->encoder && found->golden.png;
    if (ready)
        *out = found->golden;
    pthread_mutex_unlock(&c->mu);
    return ready;
}

void model_cache_forget(struct model_cache *c, const char *id)
{
    pthread_mutex_lock(&c->mu);
    for (struct loaded *entry = c->first, *next; entry; entry = next) {
        next = entry->next;
        if (strcmp(entry->id, id) != 0)
            continue;
        if (entry->encoder)
            drop_locked(c, entry);
        else
            entry->forgotten = true;
    }
    pthread_mutex_unlock(&c->mu);
}

void model_describe(const struct model *m, const char *id, int64_t bytes, struct model_row *row)
{
    *row = (struct model_row){
        .dimensions = arch_dimensions(&m->arch),
        .size = m->pre.size,
        .trained = m->trained,
        .created_at = m->created_at,
        .bytes = bytes,
        .lineage = mem_text(m->lineage),
    };
    snprintf(row->id, sizeof row->id, "%s", id);
    snprintf(row->fingerprint, sizeof row->fingerprint, "%s", m->fingerprint);
    snprintf(row->parent, sizeof row->parent, "%s", m->parent);
    if (m->arch.stem == STEM_IMAGENET && m->arch.width == 64)
        snprintf(row->arch, sizeof row->arch, "%s", arch_name(&m->arch));
    else
        snprintf(row->arch, sizeof row->arch, "%s-%s-w%u", arch_name(&m->arch), stem_name(m->arch.stem), m->arch.width);
}

bool model_is_small(const struct model_row *row)
{
    return strstr(row->arch, "-small") != NULL;
}

void collection_describe(const struct encoder *enc, const char *name, const char *model, struct collection_row *row)
{
    *row = (struct collection_row){.index = INDEX_AUTO, .dimensions = encoder_dimensions(enc)};
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->model, sizeof row->model, "%s", model);
    snprintf(row->fingerprint, sizeof row->fingerprint, "%s", encoder_fingerprint(enc));
    snprintf(row->precision, sizeof row->precision, "%s", precision_name(encoder_precision(enc)));
}

void generation_describe(const struct encoder *enc, const char *model, struct generation_row *row)
{
    *row = (struct generation_row){.dimensions = encoder_dimensions(enc)};
    snprintf(row->model, sizeof row->model, "%s", model);
    snprintf(row->fingerprint, sizeof row->fingerprint, "%s", encoder_fingerprint(enc));
    snprintf(row->precision, sizeof row->precision, "%s", precision_name(encoder_precision(enc)));
}

/* Trouble of ours stays what it is; whatever else is wrong is the model's fault, and nothing stored is damaged. */
static bool blame_model(const struct err *why, struct err *e)
{
    switch (why->code) {
    case ERR_BUSY:
    case ERR_FULL:
    case ERR_IO:
    case ERR_INTERNAL: return err_move(e, why);
    default: return err_set(e, ERR_BAD_INPUT, "the model fails its check: %s", why->text);
    }
}

bool model_prove(struct model *m, const struct encoder_options *o, struct err *e)
{
    double worst;
    struct err why = {0};
    if (m->n_goldens == 0 && !encoder_make_goldens(m, &why))
        return blame_model(&why, e);
    struct encoder *enc = encoder_new(m, o, &why);
    bool ok = enc && encoder_check(enc, m, &worst, &why);
    encoder_release(enc);
    return ok || blame_model(&why, e);
}

bool model_draft(struct store *s, const struct model *m, const char *id, char file[PATH_MAX], struct write *w,
                 struct err *e)
{
    struct stat st;
    store_model_draft(s, file, PATH_MAX);
    if (!model_save(m, file, e))
        return false;
    if (stat(file, &st) != 0) {
        err_sys(e, "looking at %s", file);
        unlink(file);
        return false;
    }
    w->model.file = file;
    model_describe(m, id, st.st_size, &w->model.row);
    return true;
}

bool model_keep(struct store *s, struct model *m, const char *id, const struct encoder_options *o, bool needed,
                struct err *e)
{
    char file[PATH_MAX];
    struct write w = {.kind = WRITE_MODEL_ADD, .needed = needed};
    if (!(needed || store_has_room(s, 0, e)) || !model_prove(m, o, e) || !model_draft(s, m, id, file, &w, e))
        return false;
    bool ok = store_write(s, &w, e);
    unlink(file);
    model_row_clear(&w.model.row);
    write_clear(&w);
    return ok;
}

const char *precision_name(enum precision p)
{
    return p == PRECISION_FP32 ? "fp32" : p == PRECISION_BF16 ? "bf16" : "auto";
}

enum precision precision_parse(const char *s)
{
    return strcmp(s, "fp32") == 0 ? PRECISION_FP32 : strcmp(s, "bf16") == 0 ? PRECISION_BF16 : PRECISION_AUTO;
}
