/* judge_parts.h - what the judge's own files share (internal). */
#ifndef ANCHORD_ENGINE_JUDGING_JUDGE_PARTS_H
#define ANCHORD_ENGINE_JUDGING_JUDGE_PARTS_H

#include "engine/judging/judge.h"

struct choice {      /* some items of a manifest, in its order */
    size_t *items;   /* owned */
    int32_t *labels; /* owned */
    size_t n;
};

struct judge {
    struct judge_options o;
    const struct manifest *manifest; /* of what is judged */
    const struct dataset *dataset;
    struct choice judged, bank; /* bank.n 0: none */
    bool labelled;
};

/* judge_choice.c: one item of each content, from one side of the split or from both. */
enum choice_side { CHOOSE_TRAINED, CHOOSE_HELD_OUT, CHOOSE_ALL };
void choice_gather(const struct manifest *m, enum choice_side side, struct choice *out);
/* Leaves out what has no label. */
void choice_keep_labelled(struct choice *c);
/* Keeps at most `max`, of each label as large a part as of the others. */
void choice_limit(struct choice *c, const struct manifest *m, size_t max, uint64_t seed);
void choice_clear(struct choice *c);

#endif
