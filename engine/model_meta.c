/* model_meta.c - everything of a model but its weights, as the JSON text in __metadata__["anchord"]. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/model_parts.h"

enum { META_FORMAT = 1, LINEAGE_MAX = 64 * 1024, SIDE_MAX = 65536 };

static const char *const filters[] = {[RESIZE_BILINEAR] = "bilinear", [RESIZE_BICUBIC] = "bicubic"};

/* ---- writing ---- */

static void write_floats(struct json_writer *w, const char *key, const float v[3])
{
    jw_array(w, key);
    for (size_t i = 0; i < 3; i++)
        jw_float(w, NULL, v[i]);
    jw_end(w);
}

static void write_base64(struct json_writer *w, const char *key, const void *data, size_t len)
{
    struct buf text = {0};
    base64_encode(data, len, &text);
    jw_text(w, key, text.data);
    buf_clear(&text);
}

static void write_arch(struct json_writer *w, const struct arch *a)
{
    size_t n;
    const struct setting *settings = arch_settings(a, &n);

    jw_object(w, "arch");
    jw_text(w, "name", arch_name(a));
    for (size_t i = 0; i < n; i++)
        setting_write(&settings[i], a, w);
    jw_int(w, "projection", a->projection);
    jw_end(w);
}

static void write_settings(struct json_writer *w, const struct model *m)
{
    write_arch(w, &m->arch);
    jw_object(w, "preprocess");
    jw_int(w, "resize", m->pre.resize);
    jw_int(w, "size", m->pre.size);
    jw_text(w, "filter", filters[m->pre.filter]);
    if (m->pre.fit != FIT_CROP) /* what a file without it means */
        jw_text(w, "fit", fit_names[m->pre.fit]);
    write_floats(w, "mean", m->pre.mean);
    write_floats(w, "std", m->pre.std);
    jw_end(w);
}

void model_meta_write(const struct model *m, struct buf *out)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    jw_int(&w, "format", META_FORMAT);
    write_settings(&w, m);
    jw_text(&w, "fingerprint", m->fingerprint);
    jw_bool(&w, "trained", m->trained);
    jw_int(&w, "seed", (int64_t)m->seed); /* the same 64 bits */
    jw_int(&w, "created_at", m->created_at);
    jw_text(&w, "parent", m->parent[0] ? m->parent : NULL);
    jw_raw(&w, "lineage", m->lineage);
    jw_array(&w, "goldens");
    for (size_t i = 0; i < m->n_goldens; i++) {
        jw_object(&w, NULL);
        write_base64(&w, "png", m->goldens[i].png, m->goldens[i].png_len);
        write_base64(&w, "vector", m->goldens[i].vector, arch_dimensions(&m->arch) * sizeof(float));
        jw_end(&w);
    }
    jw_end(&w);
    jw_end(&w);
}

/* ---- reading ---- */

static bool missing(const char *key, struct err *e)
{
    return err_set(e, ERR_BAD_INPUT, "%s is missing", key);
}

static bool need_text(const struct json *o, const char *key, size_t max, const char **out, struct err *e)
{
    *out = NULL;
    return json_get_text(o, key, max, out, e) && (*out || missing(key, e));
}

static bool need_size(const struct json *o, const char *key, uint32_t *out, struct err *e)
{
    int64_t v = -1;
    if (!json_get_int(o, key, 0, SIDE_MAX, &v, e))
        return false;
    *out = (uint32_t)v;
    return v >= 0 || missing(key, e);
}

static bool need_object(const struct json *o, const char *key, const char *const *known, size_t n,
                        const struct json **out, struct err *e)
{
    char where[32];
    *out = NULL;
    snprintf(where, sizeof where, "%s.", key);
    return json_get_object(o, key, out, e) && (*out || missing(key, e)) && json_only(*out, where, known, n, e);
}

static bool need_floats(const struct json *o, const char *key, float out[3], struct err *e)
{
    const struct json *list = NULL;
    if (!json_get_list(o, key, &list, e))
        return false;
    if (!list || json_count(list) != 3)
        return err_set(e, ERR_BAD_INPUT, "%s must be a list of 3 numbers", key);
    for (size_t i = 0; i < 3; i++) {
        double v;
        if (!json_as_number(json_item(list, i), &v))
            return err_set(e, ERR_BAD_INPUT, "%s must be a list of 3 numbers", key);
        out[i] = (float)v;
    }
    return true;
}

static bool read_setting(const struct json *o, const struct setting *s, struct arch *a, size_t i, struct err *e)
{
    const char *text;
    if (s->kind != SETTING_CHOICE)
        return need_size(o, s->name, &a->set[i], e);
    return need_text(o, s->name, 32, &text, e) && arch_choose(a, i, text, e);
}

/* What members there are, the name tells; without one that is known, any arch does until it is refused. */
static bool read_arch(const struct json *doc, struct arch *a, struct err *e)
{
    const char *known[ARCH_SETTINGS_MAX + 2] = {"name", "projection"}, *name;
    const struct json *o;
    size_t n;

    name = json_as_text(json_member(json_member(doc, "arch"), "name"), NULL);
    if (!name || !arch_parse(name, a, NULL))
        *a = arch_usual();
    const struct setting *settings = arch_settings(a, &n);
    for (size_t i = 0; i < n; i++)
        known[2 + i] = settings[i].name;
    if (!need_object(doc, "arch", known, 2 + n, &o, e) || !need_text(o, "name", 32, &name, e) ||
        !arch_parse(name, a, e))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!read_setting(o, &settings[i], a, i, e))
            return false;
    return need_size(o, "projection", &a->projection, e) && arch_check(a, e);
}

static bool filter_parse(const char *name, enum resize_filter *out, struct err *e)
{
    for (size_t i = 0; i < COUNT(filters); i++) {
        if (strcmp(name, filters[i]) != 0)
            continue;
        *out = (enum resize_filter)i;
        return true;
    }
    return err_set(e, ERR_BAD_INPUT, "filter must be bilinear or bicubic");
}

static bool read_fit(const struct json *o, enum fit *out, struct err *e)
{
    const char *name = NULL;
    *out = FIT_CROP;
    if (!json_get_text(o, "fit", 32, &name, e))
        return false;
    return !name || fit_parse(name, out, e);
}

static bool read_preprocess(const struct json *doc, struct preprocess *p, struct err *e)
{
    static const char *const known[] = {"resize", "size", "filter", "fit", "mean", "std"};
    const struct json *o;
    const char *filter;
    return need_object(doc, "preprocess", known, COUNT(known), &o, e) && need_size(o, "resize", &p->resize, e) &&
           need_size(o, "size", &p->size, e) && need_text(o, "filter", 32, &filter, e) &&
           filter_parse(filter, &p->filter, e) && read_fit(o, &p->fit, e) && need_floats(o, "mean", p->mean, e) &&
           need_floats(o, "std", p->std, e) && preprocess_check(p, e);
}

static struct json *parse_known(const char *text, size_t len, struct err *e)
{
    static const char *const known[] = {"format", "arch",       "preprocess", "fingerprint", "trained",
                                        "seed",   "created_at", "parent",     "lineage",     "goldens"};
    struct json *doc = json_parse(text, len, 0, e);
    int64_t format = 0;
    if (!doc)
        return NULL;
    if (json_get_int(doc, "format", 0, INT64_MAX, &format, e) && format != META_FORMAT)
        err_set(e, ERR_BAD_INPUT, "format %lld is not known to this version", (long long)format);
    if (format == META_FORMAT && json_only(doc, "", known, COUNT(known), e))
        return doc;
    json_free(doc);
    return NULL;
}

bool model_meta_arch(const char *text, size_t len, struct arch *a, struct preprocess *p, struct err *e)
{
    struct json *doc = parse_known(text, len, e);
    bool ok = doc && read_arch(doc, a, e) && read_preprocess(doc, p, e);
    json_free(doc);
    return ok || err_unfield(e) || err_wrap(e, "the metadata");
}

static bool read_fingerprint(const struct json *doc, const char *key, char out[HASH_HEX], struct err *e)
{
    const char *text = NULL;
    if (!json_get_text(doc, key, HASH_HEX - 1, &text, e))
        return false;
    out[0] = 0;
    if (!text)
        return true;
    if (strlen(text) != HASH_HEX - 1 || strspn(text, "0123456789abcdef") != HASH_HEX - 1)
        return err_set(e, ERR_BAD_INPUT, "%s must be 64 hexadecimal digits", key);
    memcpy(out, text, HASH_HEX);
    return true;
}

static bool read_lineage(const struct json *doc, struct model *m, struct err *e)
{
    const struct json *o = NULL;
    struct buf text = {0};
    if (!json_get_object(doc, "lineage", &o, e))
        return false;
    if (!o)
        return true;
    json_dump(o, &text);
    if (text.len > LINEAGE_MAX) {
        buf_clear(&text);
        return err_set(e, ERR_BAD_INPUT, "lineage is longer than %d bytes", LINEAGE_MAX);
    }
    m->lineage = buf_take(&text, NULL);
    return true;
}

static bool is_unit(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return fabs(sum - 1) < 1e-3; /* false for NaN */
}

static bool need_bytes(const struct json *o, const char *key, void **out, size_t *len, struct err *e)
{
    const char *text;
    return need_text(o, key, SIZE_MAX, &text, e) && base64_decode(text, strlen(text), out, len, e);
}

static bool read_golden(const struct json *o, uint32_t dimensions, struct golden *g, struct err *e)
{
    static const char *const known[] = {"png", "vector"};
    void *vector = NULL;
    size_t len = 0;
    if (!json_only(o, "goldens.", known, COUNT(known), e) || !need_bytes(o, "png", &g->png, &g->png_len, e) ||
        !need_bytes(o, "vector", &vector, &len, e))
        return false;
    g->vector = vector; /* freed with the model, whatever it holds */
    if (len != dimensions * sizeof(float) || !is_unit(g->vector, dimensions))
        return err_set(e, ERR_BAD_INPUT, "a golden vector is not %u numbers of unit length", dimensions);
    return true;
}

static bool read_goldens(const struct json *doc, struct model *m, struct err *e)
{
    const struct json *list = NULL;
    if (!json_get_list(doc, "goldens", &list, e))
        return false;
    size_t n = list ? json_count(list) : 0;
    if (n > MODEL_GOLDENS_MAX)
        return err_set(e, ERR_BAD_INPUT, "%zu goldens, the limit is %d", n, MODEL_GOLDENS_MAX);
    m->goldens = mem_new(n, sizeof *m->goldens);
    for (size_t i = 0; i < n; i++) {
        struct golden *g = &m->goldens[m->n_goldens++];
        if (!read_golden(json_item(list, i), arch_dimensions(&m->arch), g, e))
            return false;
    }
    return true;
}

bool model_meta_rest(const char *text, size_t len, struct model *m, struct err *e)
{
    struct json *doc = parse_known(text, len, e);
    int64_t seed = 0;
    bool ok = doc && read_fingerprint(doc, "fingerprint", m->fingerprint, e) &&
              read_fingerprint(doc, "parent", m->parent, e) && json_get_bool(doc, "trained", &m->trained, e) &&
              json_get_int(doc, "seed", INT64_MIN, INT64_MAX, &seed, e) &&
              json_get_int(doc, "created_at", 0, INT64_MAX, &m->created_at, e) && read_lineage(doc, m, e) &&
              read_goldens(doc, m, e);
    m->seed = (uint64_t)seed;
    json_free(doc);
    return ok || err_unfield(e) || err_wrap(e, "the metadata");
}
