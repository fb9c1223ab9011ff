/* model_read.c - models from files: ours, and those that others have saved. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/arch_family.h"
#include "engine/model_parts.h"
#include "engine/safetensors.h"

/* ---- which tensors ---- */

static bool is_wanted(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_weights; i++)
        if (strcmp(g->weights[i].name, name) == 0)
            return true;
    return false;
}

static bool check_strangers(const struct safetensors *s, const struct graph *w, const struct arch *a, bool foreign,
                            struct err *e)
{
    size_t n;
    const struct safetensor *list = safetensors_list(s, &n);
    char quoted[64];
    for (size_t i = 0; i < n; i++)
        if (!is_wanted(w, list[i].name) && !(foreign && arch_family(a)->ignores(list[i].name)))
            return err_set(e, ERR_BAD_INPUT, "tensor %s has no place in a %s",
                           log_quote(list[i].name, quoted, sizeof quoted), arch_name(a));
    return true;
}

static bool check_shape(const struct safetensors *s, const struct weight *spec, const struct arch *a, struct err *e)
{
    const struct safetensor *t = safetensors_find(s, spec->name);
    if (!t)
        return err_set(e, ERR_BAD_INPUT, "tensor %s is missing", spec->name);
    if (t->rank != spec->rank || memcmp(t->shape, spec->shape, t->rank * sizeof *t->shape) != 0)
        return err_set(e, ERR_BAD_INPUT, "tensor %s has the wrong shape for a %s", spec->name,
                       arch_text(a, ARCH_TEXT_PHRASE).text);
    return true;
}

/* All names and shapes before any value: a file that lies costs no memory. */
static bool check_tensors(const struct safetensors *s, const struct arch *a, bool foreign, struct err *e)
{
    struct graph g = {0};
    arch_build(a, 1, ANY_SIZE, &g);
    bool ok = check_strangers(s, &g, a, foreign, e);
    for (size_t i = 0; ok && i < g.n_weights; i++)
        ok = check_shape(s, &g.weights[i], a, e);
    graph_clear(&g);
    return ok;
}

/* ---- their values ---- */

/* On the bit patterns, so that no compiler option can take the test away. */
HOT_LOOP static bool all_finite(const float *v, size_t n)
{
    uint32_t bad = 0, bits;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, &v[i], sizeof bits);
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    return bad == 0;
}

static bool check_values(const struct weight *w, struct err *e)
{
    if (!all_finite(w->data, w->count))
        return err_set(e, ERR_BAD_INPUT, "tensor %s holds numbers that are not finite", w->name);
    for (size_t i = 0; w->kind == WEIGHT_VARIANCE && i < w->count; i++)
        if (w->data[i] < 0)
            return err_set(e, ERR_BAD_INPUT, "tensor %s holds a negative variance", w->name);
    return true;
}

static bool read_weights(const struct safetensors *s, struct model *m, struct err *e)
{
    for (size_t i = 0; i < m->n_weights; i++) {
        struct weight *w = &m->weights[i];
        const struct safetensor *t = safetensors_find(s, w->name);
        if (!safetensors_read(s, t, w->data, e) || !check_values(w, e))
            return false;
        m->compact |= t->type == TENSOR_BF16 && w->rank > 1;
    }
    return true;
}

/* ---- the whole ---- */

static bool fill(const struct safetensors *s, const char *metadata, size_t metadata_len, struct model *m, struct err *e)
{
    char claimed[HASH_HEX];
    if (!read_weights(s, m, e) || (metadata && !model_meta_rest(metadata, metadata_len, m, e)))
        return false;
    memcpy(claimed, m->fingerprint, sizeof claimed);
    model_seal(m);
    if (metadata && strcmp(claimed, m->fingerprint) != 0)
        return err_set(e, ERR_BAD_INPUT, "the weights do not match the file's fingerprint: it is damaged");
    return true;
}

static struct model *read_model(const struct safetensors *s, bool *foreign, struct err *e)
{
    size_t len = 0;
    const char *metadata = safetensors_metadata(s, MODEL_METADATA_KEY, &len);
    struct preprocess pre;
    struct arch arch;

    bool ok = metadata ? model_meta_arch(metadata, len, &arch, &pre, e) : arch_guess(s, &arch, e);
    if (!ok || !check_tensors(s, &arch, !metadata, e))
        return NULL;
    struct model *m = model_new_empty(&arch, e);
    if (!m)
        return NULL;
    m->pre = metadata ? pre : model_preprocess(&arch, 0);
    m->trained = !metadata; /* nobody saves random weights elsewhere; ours say it themselves */
    m->created_at = clock_unix();
    if (!fill(s, metadata, len, m, e)) {
        model_free(m);
        return NULL;
    }
    if (foreign)
        *foreign = !metadata;
    return m;
}

struct model *model_load(const char *path, bool *foreign, struct err *e)
{
    struct safetensors *s = safetensors_open(path, e);
    struct model *m = s ? read_model(s, foreign, e) : NULL;
    if (s && !m)
        err_wrap(e, "reading %s", path);
    safetensors_close(s);
    return m;
}

struct model *model_parse(const void *bytes, size_t len, bool *foreign, struct err *e)
{
    struct safetensors *s = safetensors_over(bytes, len, e);
    struct model *m = s ? read_model(s, foreign, e) : NULL;
    safetensors_close(s);
    return m;
}
