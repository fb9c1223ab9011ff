/* arch.c - what all families of networks have in common: settings by name, texts, the projection. */
#include "engine/arch.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "engine/arch_family.h"

#define FAMILY(NAME, name) [ARCH_##NAME] = &family_##name,
static const struct family *const families[] = {
#include "engine/families.def"
};
#undef FAMILY

_Static_assert(COUNT(families) > 1, "ARCH_NONE and at least one family");

/* NULL of nonsense. */
static const struct family *find_family(const struct arch *a)
{
    return a->family > ARCH_NONE && (size_t)a->family < COUNT(families) ? families[a->family] : NULL;
}

const struct family *arch_family(const struct arch *a)
{
    const struct family *f = find_family(a);
    assert(f);
    return f;
}

static size_t length_of(const char *const *list)
{
    size_t n = 0;
    while (list[n])
        n++;
    return n;
}

/* ---- names and bounds ---- */

static struct arch usual_of(enum arch_family family, size_t variant)
{
    struct arch a = {.family = family, .variant = (uint32_t)variant};
    for (size_t i = 0; i < families[family]->n_settings; i++)
        a.set[i] = families[family]->usual[i];
    return a;
}

struct arch arch_usual(void)
{
    return usual_of(ARCH_NONE + 1, 0);
}

/* "a, b or c" */
static void add_choices(struct buf *out, const char *const *list, bool last)
{
    for (size_t i = 0; list[i]; i++)
        buf_print(out, "%s%s", out->len == 0 ? "" : list[i + 1] || !last ? ", " : " or ", list[i]);
}

bool arch_parse(const char *name, struct arch *out, struct err *e)
{
    struct buf all = {0};

    for (size_t f = ARCH_NONE + 1; f < COUNT(families); f++) {
        for (size_t i = 0; families[f]->names[i]; i++)
            if (strcmp(name, families[f]->names[i]) == 0) {
                *out = usual_of((enum arch_family)f, i);
                buf_clear(&all);
                return true;
            }
        add_choices(&all, families[f]->names, f + 1 == COUNT(families));
    }
    err_field(e, "arch", "the architecture must be %s", all.data);
    buf_clear(&all);
    return false;
}

const char *arch_name(const struct arch *a)
{
    const struct family *f = find_family(a);
    return f && a->variant < length_of(f->names) ? f->names[a->variant] : "unknown";
}

static bool refuse_choice(const struct setting *s, struct err *e)
{
    struct buf all = {0};
    add_choices(&all, s->choices, true);
    err_field(e, s->name, "the %s must be %s", s->name, all.data);
    buf_clear(&all);
    return false;
}

static bool check_setting(const struct setting *s, uint32_t value, struct err *e)
{
    if (s->kind == SETTING_CHOICE)
        return value < length_of(s->choices) || refuse_choice(s, e);
    return ((double)value >= s->lo && (double)value <= s->hi) ||
           err_field(e, s->name, "the %s must be from %g to %g, not %u", s->name, s->lo, s->hi, value);
}

bool arch_check(const struct arch *a, struct err *e)
{
    const struct family *f = find_family(a);

    if (!f || a->variant >= length_of(f->names))
        return err_field(e, "arch", "the architecture is not known");
    if (!f->check(a, e))
        return false;
    for (size_t i = 0; i < f->n_settings; i++)
        if (!check_setting(&f->settings[i], a->set[i], e))
            return false;
    return a->projection <= ARCH_PROJECTION_MAX ||
           err_field(e, "projection", "the projection must have at most %d dimensions, not %u", ARCH_PROJECTION_MAX,
                     a->projection);
}

/* ---- settings ---- */

const struct setting *arch_settings(const struct arch *a, size_t *n)
{
    *n = arch_family(a)->n_settings;
    return arch_family(a)->settings;
}

const struct setting *arch_any_setting(size_t i)
{
    for (size_t f = ARCH_NONE + 1; f < COUNT(families); f++) {
        if (i < families[f]->n_settings)
            return &families[f]->settings[i];
        i -= families[f]->n_settings;
    }
    return NULL;
}

const char *arch_unsaid(const struct arch *a)
{
    return arch_family(a)->unsaid;
}

bool arch_choose(struct arch *a, size_t i, const char *choice, struct err *e)
{
    const struct setting *s = &arch_family(a)->settings[i];
    return setting_parse(s, a, choice) || refuse_choice(s, e);
}

/* ---- texts ---- */

/* Of a choice and of a number: N is the setting's name, n its first letter, V its value. */
static const char *const forms[][2] = {
    [ARCH_TEXT_TITLE] = {" V", ""},    [ARCH_TEXT_PHRASE] = {"", " of N V"}, [ARCH_TEXT_FACTS] = {", N V", ", N V"},
    [ARCH_TEXT_LABEL] = {"-V", "-nV"}, [ARCH_TEXT_VALUES] = {" V", " V"},
};

static void print_setting(const struct setting *s, uint32_t value, const char *form, struct buf *out)
{
    for (; *form; form++) {
        if (*form == 'N')
            buf_text(out, s->name);
        else if (*form == 'V' && s->kind == SETTING_CHOICE)
            buf_text(out, s->choices[value]);
        else if (*form == 'V')
            buf_print(out, "%u", value);
        else
            buf_add(out, *form == 'n' ? s->name : form, 1);
    }
}

struct arch_line arch_text(const struct arch *a, enum arch_text how)
{
    const struct family *f = arch_family(a);
    struct arch_line line = {{0}};
    struct buf text = {0};
    bool usual = true;

    for (size_t i = 0; i < f->n_settings; i++)
        usual &= a->set[i] == f->usual[i];
    buf_text(&text, arch_name(a));
    for (size_t i = 0; i < f->n_settings && !(usual && how == ARCH_TEXT_LABEL); i++)
        print_setting(&f->settings[i], a->set[i], forms[how][f->settings[i].kind != SETTING_CHOICE], &text);
    snprintf(line.text, sizeof line.text, "%s", text.data);
    buf_clear(&text);
    return line;
}

/* Choices of a label; numbers are passed over. */
static void read_choices(const char *at, struct arch *a)
{
    const struct family *f = arch_family(a);
    for (size_t i = 0; *at == '-' && i < f->n_settings; i++) {
        char word[ARCH_TEXT_MAX];
        size_t n = strcspn(at + 1, "-");
        snprintf(word, sizeof word, "%.*s", to_int(min_size(n, sizeof word)), at + 1);
        if (f->settings[i].kind == SETTING_CHOICE && !setting_parse(&f->settings[i], a, word))
            return;
        at += 1 + n;
    }
}

bool arch_label_is_small(const char *label)
{
    char name[ARCH_TEXT_MAX];
    struct arch a;
    size_t n = strcspn(label, "-");

    snprintf(name, sizeof name, "%.*s", to_int(min_size(n, sizeof name)), label);
    if (!arch_parse(name, &a, NULL))
        return false;
    read_choices(label + n, &a);
    return arch_is_small(&a);
}

/* ---- the network ---- */

bool arch_is_small(const struct arch *a)
{
    return arch_family(a)->is_small(a);
}

uint32_t arch_features(const struct arch *a)
{
    return arch_family(a)->features(a);
}

uint32_t arch_dimensions(const struct arch *a)
{
    return a->projection ? a->projection : arch_features(a);
}

size_t arch_build(const struct arch *a, size_t rows, size_t size, struct graph *g)
{
    size_t x = arch_family(a)->build(a, graph_input(g, rows, size, size, 3), g);
    return a->projection ? graph_then(g, &op_linear, (struct op_settings){.channels = a->projection}, "projection", x)
                         : x;
}

/* ---- files of others ---- */

bool arch_guess(const struct safetensors *s, struct arch *out, struct err *e)
{
    const struct safetensor *projection = safetensors_find(s, "projection.weight");
    struct buf all = {0};

    for (size_t f = ARCH_NONE + 1; f < COUNT(families); f++) {
        if (families[f]->recognises(s)) {
            buf_clear(&all);
            *out = usual_of((enum arch_family)f, 0);
            families[f]->guess(s, out);
            out->projection = projection ? projection->shape[0] : 0;
            return arch_check(out, e);
        }
        buf_print(&all, "%s%s", f > ARCH_NONE + 1 ? ", or " : "", families[f]->foreign);
    }
    err_set(e, ERR_BAD_INPUT, "not %s", all.data);
    buf_clear(&all);
    return false;
}
