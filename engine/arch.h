/* arch.h - what an encoder is made of: a family of networks, which one of them, and its settings.
 *
 * A family is one file (arch_resnet.c) and one row in families.def (arch_family.h says what it must tell).  Model
 * files, commands and configurations read and write settings by their names, and know none themselves:
 *
 *     struct arch a;
 *     arch_parse("resnet18", &a, e);             its other settings are the usual ones
 *     settings = arch_settings(&a, &n);          a.set[i] is the value of settings[i]
 *     x = arch_build(&a, 1, 224, &graph);
 *
 * Behind the network of each family stands a projection, where there is one.
 *
 * Everything here but the graph is a value or static; nothing needs release.  Threads: all functions are pure.
 */
#ifndef ANCHORD_ENGINE_ARCH_H
#define ANCHORD_ENGINE_ARCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/setting.h"
#include "engine/ops/graph.h"

#define FAMILY(NAME, name) ARCH_##NAME,
enum arch_family {
    ARCH_NONE,
#include "engine/families.def"
};
#undef FAMILY

enum { ARCH_SETTINGS_MAX = 24, ARCH_PROJECTION_MAX = 4096, ARCH_TEXT_MAX = 256 };

struct arch {
    enum arch_family family;
    uint32_t variant;                /* which of the family's names */
    uint32_t projection;             /* output dimensions of a linear layer at the end; 0: none */
    uint32_t set[ARCH_SETTINGS_MAX]; /* numbers, and indices of choices */
};

/* "resnet18" with the usual settings and no projection.  ERR_BAD_INPUT for a name that no family has. */
MUST_CHECK bool arch_parse(const char *name, struct arch *out, struct err *e);
struct arch arch_usual(void);                /* where nobody says anything: a ResNet-18 */
const char *arch_name(const struct arch *a); /* "resnet18"; static; "unknown" of nonsense */
/* Refuses settings out of their bounds: ERR_BAD_INPUT naming the field. */
MUST_CHECK bool arch_check(const struct arch *a, struct err *e);

/* Of its family: their owner is a struct arch.  Numbers and choices alone. */
const struct setting *arch_settings(const struct arch *a, size_t *n);
/* The i-th setting of all families, one after the other; NULL behind the last. */
const struct setting *arch_any_setting(size_t i);
/* The setting that no shape in a foreign file tells, and that somebody must say; NULL: none. */
const char *arch_unsaid(const struct arch *a);
/* a->set[i] becomes the choice of this name.  ERR_BAD_INPUT naming the field. */
MUST_CHECK bool arch_choose(struct arch *a, size_t i, const char *choice, struct err *e);

enum arch_text {
    ARCH_TEXT_TITLE,  /* "resnet18 small2" */
    ARCH_TEXT_PHRASE, /* "resnet18 of width 64" */
    ARCH_TEXT_FACTS,  /* "resnet18, stem small2, width 64" */
    ARCH_TEXT_LABEL,  /* "resnet18", or "resnet18-small2-w64" where a setting is not the usual one */
    ARCH_TEXT_VALUES  /* "resnet18 small2 64" */
};
struct arch_line {
    char text[ARCH_TEXT_MAX];
};
struct arch_line arch_text(const struct arch *a, enum arch_text how);

/* Made for small pictures. */
bool arch_is_small(const struct arch *a);
bool arch_label_is_small(const char *label); /* false of what is no label */

uint32_t arch_features(const struct arch *a);   /* what the family's network gives, before the projection */
uint32_t arch_dimensions(const struct arch *a); /* of the vector */

/* Appends the network for `rows` square pictures of size x size pixels, its weights declared in the order of model
 * files.  Gives the node that gives the vectors, not of unit length yet.  `a` must have passed arch_check().  Weights
 * of a network that is there already are shared.  Weights do not depend on the size. */
size_t arch_build(const struct arch *a, size_t rows, size_t size, struct graph *g);

#endif
