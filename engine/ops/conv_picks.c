/* conv_picks.c - measures the implementations of convolutions, and remembers which was the fastest. */
#include "engine/ops/conv_picks.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"

enum { RUNS = 3 }; /* timed ones, after one that is not */

static const char *const pass_names[CONV_PASSES] = {"forward", "back_data", "back_weights"};

/* Ends with NULL. */
static const struct train_kernel *const *kernels_of(enum backend b)
{
    static const struct train_kernel *const blas[] = {&train_winograd, &train_patches, NULL};
#if ANCHORD_ONEDNN
    static const struct train_kernel *const dnnl[] = {&train_dnnl, &train_winograd, &train_patches, NULL};
    if (b == BACKEND_DNNL)
        return dnnl;
#else
    UNUSED(b);
#endif
    return blas;
}

/* The best of a few runs, in seconds; negative when the kernel fails.  One run is enough to see that it is far from
 * `least` (the best of the kernels before; negative: none). */
static double time_of(const struct train_kernel *m, const struct conv_spec *s, enum conv_pass pass,
                      struct train_operands o, double least)
{
    double best = -1;
    struct train_conv *j = m->open(s, pass, NULL);
    if (!j)
        return best;
    void *own = mem_aligned(m->scratch(j) + 1, 1);
    o.scratch = own;
    for (int i = 0; i <= RUNS; i++) {
        double start = clock_s();
        if (!m->run(j, &o)) {
            best = -1;
            break;
        }
        double seconds = clock_s() - start;
        bool far = least >= 0 && seconds > 2 * least;
        if ((i > 0 || far) && (best < 0 || seconds < best))
            best = seconds;
        if (far)
            break;
    }
    m->close(j);
    free(own);
    return best;
}

static const struct train_kernel *fastest(const struct conv_spec *s, enum conv_pass pass, enum backend backend,
                                          const struct train_operands *o)
{
    const struct train_kernel *const *kernels = kernels_of(backend), *able[4];
    const struct train_kernel *best = NULL;
    double least = -1;
    size_t n = 0;

    for (; *kernels; kernels++)
        if ((*kernels)->supports(s, pass))
            able[n++] = *kernels;
    if (n == 1) /* nothing to measure */
        return able[0];
    for (size_t i = 0; i < n; i++) {
        double seconds = time_of(able[i], s, pass, *o, least);
        if (seconds >= 0 && (least < 0 || seconds < least)) {
            best = able[i];
            least = seconds;
        }
    }
    return best;
}

/* What an earlier convolution of the same shape got; NULL when there is none. */
static const struct train_kernel *pick_before(const struct conv_pick *picks, size_t i, enum conv_pass pass)
{
    const struct conv_spec *a = &picks[i].spec;
    for (size_t k = 0; k < i; k++) {
        const struct conv_spec *b = &picks[k].spec;
        if (picks[k].kernels[pass] && a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c && a->k == b->k &&
            a->window == b->window && a->stride == b->stride)
            return picks[k].kernels[pass];
    }
    return NULL;
}

bool conv_picks_measure(struct conv_pick *picks, size_t n, enum backend backend, struct err *e)
{
    for (size_t i = 0; i < n * CONV_PASSES; i++) {
        struct conv_pick *p = &picks[i / CONV_PASSES];
        enum conv_pass pass = (enum conv_pass)(i % CONV_PASSES);
        if (!p->wanted[pass])
            continue;
        p->kernels[pass] = pick_before(picks, i / CONV_PASSES, pass);
        if (!p->kernels[pass])
            p->kernels[pass] = fastest(&p->spec, pass, backend, &p->trial);
        if (!p->kernels[pass])
            return err_set(e, ERR_INTERNAL, "nothing here computes %s", p->name);
    }
    return true;
}

static bool find_kernel(struct conv_pick *p, enum conv_pass pass, enum backend backend, const char *name, struct err *e)
{
    for (const struct train_kernel *const *m = kernels_of(backend); *m; m++)
        if (strcmp((*m)->name, name) == 0 && (*m)->supports(&p->spec, pass)) {
            p->kernels[pass] = *m;
            return true;
        }
    err_field(e, "picks", "%s: the kernel `%s` cannot be had here", p->name, name);
    if (e)
        e->code = ERR_CONFLICT;
    return false;
}

static bool read_one(struct conv_pick *p, const struct json *v, enum backend backend, struct err *e)
{
    const char *name = json_as_text(json_member(v, "name"), NULL);

    if (!name || strcmp(name, p->name) != 0)
        return err_field(e, "picks", "`%s` was expected", p->name);
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        const char *kernel = json_as_text(json_member(v, pass_names[pass]), NULL);
        if (!p->wanted[pass])
            continue;
        if (!kernel)
            return err_field(e, "picks", "%s has no `%s`", p->name, pass_names[pass]);
        if (!find_kernel(p, (enum conv_pass)pass, backend, kernel, e))
            return false;
    }
    return true;
}

bool conv_picks_read(struct conv_pick *picks, size_t n, enum backend backend, const char *text, struct err *e)
{
    struct json *doc = json_parse(text, strlen(text), 0, e);
    const struct json *list = json_member(doc, "convolutions");
    size_t told = json_count(list);
    bool ok =
        doc && (n == 0 || (told > 0 && told % n == 0) || err_field(e, "picks", "%zu convolutions were expected", n));

    for (size_t i = 0; ok && i < n; i++)
        ok = read_one(&picks[i], json_item(list, i), backend, e);
    json_free(doc);
    return ok;
}

void conv_picks_write(const struct conv_pick *picks, size_t n, struct buf *out)
{
    struct json_writer w = jw_to(out);

    jw_object(&w, NULL);
    jw_array(&w, "convolutions");
    for (size_t i = 0; i < n; i++) {
        jw_object(&w, NULL);
        jw_text(&w, "name", picks[i].name);
        for (int pass = 0; pass < CONV_PASSES; pass++)
            jw_text(&w, pass_names[pass], picks[i].kernels[pass] ? picks[i].kernels[pass]->name : NULL);
        jw_end(&w);
    }
    jw_end(&w);
    jw_end(&w);
}

bool conv_picks_open(struct conv_pick *picks, size_t n, size_t *scratch, struct err *e)
{
    *scratch = 0;
    for (size_t i = 0; i < n * CONV_PASSES; i++) {
        struct conv_pick *p = &picks[i / CONV_PASSES];
        enum conv_pass pass = (enum conv_pass)(i % CONV_PASSES);
        const struct train_kernel *m = p->kernels[pass];
        if (!m)
            continue;
        p->jobs[pass] = m->open(&p->spec, pass, e);
        if (!p->jobs[pass])
            return false;
        *scratch = max_size(*scratch, m->scratch(p->jobs[pass]));
    }
    return true;
}

void conv_picks_close(struct conv_pick *picks, size_t n)
{
    for (size_t i = 0; i < n * CONV_PASSES; i++) {
        struct conv_pick *p = &picks[i / CONV_PASSES];
        if (p->jobs[i % CONV_PASSES])
            p->kernels[i % CONV_PASSES]->close(p->jobs[i % CONV_PASSES]);
        p->jobs[i % CONV_PASSES] = NULL;
    }
}
