/* arch_family.h - what a family of networks tells of itself: the row that its file fills in.
 *
 * All functions but check get an arch of the family that has passed arch_check().
 */
#ifndef ANCHORD_ENGINE_ARCH_FAMILY_H
#define ANCHORD_ENGINE_ARCH_FAMILY_H

#include "engine/arch.h"
#include "engine/pictures/preprocess.h"
#include "engine/safetensors.h"

struct family {
    const char *const *names;       /* by arch.variant; NULL at the end */
    const struct setting *settings; /* their owner is a struct arch, whose set[i] is that of settings[i] */
    size_t n_settings;
    const uint32_t *usual; /* of each setting */
    /* Checks what bounds and choices do not say, before those are looked at.  The variant is known. */
    bool (*check)(const struct arch *a, struct err *e);

    /* From the pixels in node x to the features.  Stages that can be frozen are numbered from 1 (g->stage); what comes
     * behind the last is frozen with it. */
    size_t (*build)(const struct arch *a, size_t x, struct graph *g);
    uint32_t (*features)(const struct arch *a); /* that build() gives */
    bool (*is_small)(const struct arch *a);     /* made for small pictures */
    /* The preprocessing of a new model.  size 0: the usual one. */
    struct preprocess (*preprocess)(const struct arch *a, uint32_t size);

    /* Files that others have written. */
    const char *foreign; /* what they are: "a ResNet with ..." */
    bool (*recognises)(const struct safetensors *s);
    void (*guess)(const struct safetensors *s, struct arch *out); /* from names and shapes; `out` is not checked yet */
    const char *unsaid;                                           /* the setting that is in no shape; NULL: none */
    bool (*ignores)(const char *tensor);                          /* a tensor that no encoder needs */
    /* Whether a guess can be `told` instead. */
    bool (*agrees)(const struct arch *guess, const struct arch *told, struct err *e);
    const char *classifier; /* what a projection is called there: NAME.weight, NAME.bias; NULL: its own name, no bias */
};

#define FAMILY(NAME, name) extern const struct family family_##name;
#include "engine/families.def"
#undef FAMILY

const struct family *arch_family(const struct arch *a);
/* Of a file that is not ours.  ERR_BAD_INPUT when no family recognises it. */
MUST_CHECK bool arch_guess(const struct safetensors *s, struct arch *out, struct err *e);

#endif
