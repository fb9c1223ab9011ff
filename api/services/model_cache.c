/* model_cache.c - loading model files into shared encoders. */
#include "api/services/model_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/services/models.h"
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
