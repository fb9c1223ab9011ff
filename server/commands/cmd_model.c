/* cmd_model.c - `anchord model new|info|import|export|compact`: model files, without a server. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "engine/arch_family.h"
#include "engine/encoder.h"
#include "server/commands/command.h"

enum { FLAGS_MAX = 48 };
struct options {
    const char *arch, *projection, *size, *seed, *like, *fit;
    const char *set[FLAGS_MAX]; /* by arch_any_setting() */
    bool force;
};

/* What the flag of a setting says; NULL: it was not given. */
static const char *given(const struct options *o, const char *name)
{
    const struct setting *s;
    for (size_t i = 0; (s = arch_any_setting(i)); i++)
        if (o->set[i] && strcmp(s->name, name) == 0)
            return o->set[i];
    return NULL;
}

/* Whether a setting was given, other than this one. */
static bool gives_more(const struct options *o, const char *than)
{
    const struct setting *s;
    for (size_t i = 0; (s = arch_any_setting(i)); i++)
        if (o->set[i] && !(than && strcmp(s->name, than) == 0))
            return true;
    return false;
}

static bool may_write(const char *path, bool force, struct err *e)
{
    return force || access(path, F_OK) != 0 ||
           err_set(e, ERR_CONFLICT, "%s is there already: choose another name, or overwrite it with --force", path);
}

/* ---- new ---- */

/* No setting of another family was given. */
static bool fits_family(const struct options *o, const struct arch *a, struct err *e)
{
    size_t n;
    const struct setting *own = arch_settings(a, &n), *s;
    for (size_t i = 0; (s = arch_any_setting(i)); i++)
        if (o->set[i] && !setting_find(own, n, s->name))
            return err_set(e, ERR_BAD_INPUT, "%s has no --%s", arch_name(a), s->name);
    return true;
}

/* Numbers that are not given stay those of `before`. */
static bool read_settings(const struct options *o, const struct arch *before, struct arch *a, struct err *e)
{
    size_t n;
    const struct setting *s = arch_settings(a, &n);
    for (size_t i = 0; i < n; i++) {
        const char *text = given(o, s[i].name);
        uint64_t number = before->family == a->family ? before->set[i] : a->set[i];
        if (s[i].kind == SETTING_CHOICE) {
            if (text && !arch_choose(a, i, text, e))
                return false;
            continue;
        }
        if (!flag_number(s[i].name, text, (uint64_t)s[i].lo, (uint64_t)s[i].hi, &number, e))
            return false;
        a->set[i] = (uint32_t)number;
    }
    return true;
}

static bool shape_of(const struct options *o, struct arch *a, struct preprocess *p, struct err *e)
{
    const struct arch before = *a;
    uint64_t projection = a->projection, size = p->size;
    enum fit fit = p->fit;
    if ((o->arch && !arch_parse(o->arch, a, e)) || !fits_family(o, a, e) || !read_settings(o, &before, a, e) ||
        !flag_number("projection", o->projection, 0, ARCH_PROJECTION_MAX, &projection, e))
        return false;
    if (!size)
        size = model_preprocess(a, 0).size;
    if (!flag_number("size", o->size, 8, 1024, &size, e))
        return false;
    a->projection = (uint32_t)projection;
    if (o->size || (arch_unsaid(a) && given(o, arch_unsaid(a))) || !p->size)
        *p = model_preprocess(a, (uint32_t)size);
    if (o->fit && !fit_parse(o->fit, &fit, e))
        return false;
    *p = model_fit(p, a, fit);
    return arch_check(a, e) && preprocess_check(p, e);
}

static bool shape_like(const char *path, struct arch *a, struct preprocess *p, struct err *e)
{
    struct model *m = model_load(path, NULL, e);
    if (!m)
        return false;
    *a = m->arch;
    *p = m->pre;
    model_free(m);
    return true;
}

static int model_new(const struct options *o, char **files)
{
    struct arch a = arch_usual();
    struct preprocess p = {0};
    struct err e = {0};
    uint64_t seed = 1;

    if (o->like && !shape_like(o->like, &a, &p, &e))
        return command_failed(&e);
    if (!shape_of(o, &a, &p, &e) || !flag_number("seed", o->seed, 0, INT64_MAX, &seed, &e))
        return command_misused("model", &e);
    if (!may_write(files[0], o->force, &e))
        return command_failed(&e);
    struct model *m = model_new_random(&a, &p, seed, &e);
    bool ok = m && encoder_make_goldens(m, &e) && model_save(m, files[0], &e);
    if (ok)
        printf("%s: untrained %s, %u dimensions, fingerprint %.12s\n", files[0], arch_name(&a), arch_dimensions(&a),
               m->fingerprint);
    model_free(m);
    return ok ? EXIT_DONE : command_failed(&e);
}

/* ---- info ---- */

static void print_time(const char *key, int64_t unix_s)
{
    char text[40] = "?";
    time_t t = (time_t)unix_s;
    struct tm parts;
    if (gmtime_r(&t, &parts))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    printf("%-13s %s\n", key, text);
}

static void print_facts(const struct model *m, bool foreign)
{
    size_t parameters = 0;
    for (size_t i = 0; i < m->n_weights; i++)
        if (!weight_is_statistic(&m->weights[i]))
            parameters += m->weights[i].count;
    printf("%-13s %s\n", "architecture", arch_text(&m->arch, ARCH_TEXT_FACTS).text);
    printf("%-13s %u%s\n", "dimensions", arch_dimensions(&m->arch), m->arch.projection ? " (projected)" : "");
    printf("%-13s %zu\n", "parameters", parameters);
    if (m->pre.fit == FIT_CROP)
        printf("%-13s %u x %u, cut from a shorter side of %u\n", "input", m->pre.size, m->pre.size, m->pre.resize);
    else
        printf("%-13s %u x %u, fit %s\n", "input", m->pre.size, m->pre.size, fit_names[m->pre.fit]);
    printf("%-13s %s\n", "stored in", m->compact ? "bf16" : "fp32");
    printf("%-13s %s\n", "trained", m->trained ? "yes" : "no: random weights");
    printf("%-13s %s\n", "fingerprint", m->fingerprint);
    if (foreign) {
        printf("%-13s no: `anchord model import` makes it one of ours\n", "ours");
        return;
    }
    printf("%-13s %llu\n", "seed", (unsigned long long)m->seed);
    print_time("created", m->created_at);
    printf("%-13s %s\n", "parent", m->parent[0] ? m->parent : "none");
    printf("%-13s %s\n", "lineage", m->lineage ? make_printable(m->lineage) : "none");
}

/* Embeds the goldens here and tells how far the vectors are off; that is the real test of the file. */
static bool print_goldens(const struct model *m, struct err *e)
{
    double worst = 0;
    struct encoder *enc = encoder_new(m, &(struct encoder_options){.precision = PRECISION_FP32}, e);
    bool ok = enc && encoder_check(enc, m, &worst, e);
    if (ok)
        printf("%-13s %zu, embedded here with a relative error of %.1e\n", "goldens", m->n_goldens, worst);
    encoder_release(enc);
    return ok;
}

static int model_info(const struct options *o, char **files)
{
    struct err e = {0};
    bool foreign = false;
    UNUSED(o);
    struct model *m = model_load(files[0], &foreign, &e);
    if (!m)
        return command_failed(&e);
    print_facts(m, foreign);
    bool ok = foreign || print_goldens(m, &e);
    model_free(m);
    return ok ? EXIT_DONE : command_failed(&e);
}

/* ---- import and export ---- */

/* What a foreign file cannot say: a stride that is in no shape, and the size of its pictures. */
static bool settle_foreign(struct model *m, const struct options *o, struct err *e)
{
    struct arch a = m->arch;
    struct preprocess p = m->pre;
    if (o->arch || gives_more(o, arch_unsaid(&a)) || o->projection || o->seed || o->like)
        return err_set(e, ERR_BAD_INPUT,
                       "import takes --stem, --size, --fit and --force only: the rest is in the file");
    if (!shape_of(o, &a, &p, e))
        return false;
    if (!arch_family(&a)->agrees(&m->arch, &a, e))
        return false;
    m->arch = a;
    m->pre = p;
    model_seal(m);
    return true;
}

static int model_import(const struct options *o, char **files)
{
    struct err e = {0};
    bool foreign = false, ok = false;
    struct model *m = model_load(files[0], &foreign, &e);
    if (!m)
        return command_failed(&e);
    if (!foreign)
        err_set(&e, ERR_BAD_INPUT, "%s is one of ours already: copy it, or give it to --model", files[0]);
    else
        ok = settle_foreign(m, o, &e) && may_write(files[1], o->force, &e) && encoder_make_goldens(m, &e) &&
             model_save(m, files[1], &e);
    if (ok)
        printf("%s: %s, %u dimensions, fingerprint %.12s\n", files[1], arch_name(&m->arch), arch_dimensions(&m->arch),
               m->fingerprint);
    model_free(m);
    return ok ? EXIT_DONE : command_failed(&e);
}

static int model_export_file(const struct options *o, char **files)
{
    struct err e = {0};
    struct model *m = model_load(files[0], NULL, &e);
    bool ok = m && may_write(files[1], o->force, &e) && model_export(m, files[1], &e);
    model_free(m);
    return ok ? EXIT_DONE : command_failed(&e);
}

/* ---- compact ---- */

static int model_compact_file(const struct options *o, char **files)
{
    struct err e = {0};
    struct model *m = model_load(files[0], NULL, &e);
    if (m)
        model_compact(m);
    bool ok = m && may_write(files[1], o->force, &e) && encoder_make_goldens(m, &e) && model_save(m, files[1], &e);
    if (ok)
        printf("%s: weights in bf16, fingerprint %.12s\n", files[1], m->fingerprint);
    model_free(m);
    return ok ? EXIT_DONE : command_failed(&e);
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int files;
    int (*run)(const struct options *o, char **files);
} actions[] = {
    {"new", 1, model_new},
    {"info", 1, model_info},
    {"import", 2, model_import},
    {"export", 2, model_export_file},
    {"compact", 2, model_compact_file},
};

int cmd_model(int argc, char **argv)
{
    struct options o = {0};
    struct flag flags[7 + FLAGS_MAX] = {
        {.name = "arch", .text = &o.arch}, {.name = "projection", .text = &o.projection},
        {.name = "size", .text = &o.size}, {.name = "seed", .text = &o.seed},
        {.name = "like", .text = &o.like}, {.name = "fit", .text = &o.fit},
        {.name = "force", .on = &o.force},
    };
    const struct setting *s;
    size_t n = 7;
    struct err e = {0};
    for (size_t i = 0; i < FLAGS_MAX && (s = arch_any_setting(i)); i++)
        flags[n++] = (struct flag){.name = s->name, .text = &o.set[i]};
    if (!flags_take(&argc, argv, flags, n, &e))
        return command_misused("model", &e);
    for (size_t i = 0; argc > 0 && i < COUNT(actions); i++) {
        if (strcmp(argv[0], actions[i].name) != 0)
            continue;
        if (argc - 1 == actions[i].files)
            return actions[i].run(&o, argv + 1);
        err_set(&e, ERR_BAD_INPUT, "model %s takes %d file name%s", argv[0], actions[i].files,
                actions[i].files > 1 ? "s" : "");
        return command_misused("model", &e);
    }
    err_set(&e, ERR_BAD_INPUT, "model must be followed by new, info, import, export or compact");
    return command_misused("model", &e);
}
