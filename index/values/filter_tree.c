/* filter_tree.c - deciding a filter by the bits of its conditions, and a condition by a value. */
#include "index/values/filter_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/datetime.h"

/* ---- values ---- */

static int order(double a, double b)
{
    return (a > b) - (a < b);
}

/* Exactly: not every int64 is a double. */
static int compare_int_to_real(int64_t i, double real)
{
    if (real >= 0x1p63)
        return -1;
    if (real < -0x1p63)
        return 1;
    int64_t whole = (int64_t)real; /* towards zero */
    return i != whole ? (i > whole) - (i < whole) : order(0, real - (double)whole);
}

/* Integers first; what is above them is real. */
static void set_code(struct scalar *s, bool real, uint64_t bits)
{
    *s = (struct scalar){.kind = SCALAR_NUMBER, .is_huge = true, .code = {real}};
    for (size_t i = 0; i < 8; i++)
        s->code[1 + i] = (unsigned char)(bits >> (56 - 8 * i));
}

struct scalar scalar_real(double real)
{
    struct scalar s = {.kind = SCALAR_NUMBER, .is_real = true, .real = real};
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits); /* of positive doubles in their order */
    if (real >= 0x1p64)
        set_code(&s, true, bits);
    else if (real >= 0x1p63)
        set_code(&s, false, (uint64_t)real);
    return s;
}

bool scalar_number(const struct json *v, struct scalar *out)
{
    uint64_t large;
    double real;
    *out = (struct scalar){.kind = SCALAR_NUMBER};
    if (json_as_int(v, &out->i))
        return true;
    if (json_as_large(v, &large)) {
        set_code(out, false, large);
        return true;
    }
    if (!json_as_number(v, &real))
        return false;
    *out = scalar_real(real);
    return true;
}

int scalar_compare(const struct scalar *a, const struct scalar *b)
{
    if (a->kind != b->kind)
        return (a->kind > b->kind) - (a->kind < b->kind);
    if (a->kind == SCALAR_TEXT)
        return strcmp(a->text, b->text);
    if (a->is_huge || b->is_huge)
        return a->is_huge && b->is_huge ? memcmp(a->code, b->code, sizeof a->code) : a->is_huge - b->is_huge;
    if (a->is_real && b->is_real)
        return order(a->real, b->real);
    if (a->is_real)
        return -compare_int_to_real(b->i, a->real);
    return b->is_real ? compare_int_to_real(a->i, b->real) : (a->i > b->i) - (a->i < b->i);
}

static int by_value(const void *a, const void *b)
{
    return scalar_compare(a, b);
}

bool filter_in_bounds(const struct filter_leaf *leaf, const struct scalar *value)
{
    for (size_t i = 0; i < leaf->n_bounds; i++) {
        const struct bound *b = &leaf->bounds[i];
        int c = scalar_compare(value, &b->value);
        if (value->kind != b->value.kind || (b->below ? c > 0 : c < 0) || (b->strict && c == 0))
            return false;
    }
    return true;
}

bool filter_leaf_passes(const struct filter_leaf *leaf, const struct scalar *value)
{
    struct scalar moment = {.kind = SCALAR_NUMBER};
    bool listed = leaf->n_values > 0 && bsearch(value, leaf->values, leaf->n_values, sizeof *leaf->values, by_value);
    switch (leaf->test) {
    case TEST_ANY: return listed;
    case TEST_EXCEPT: return !listed;
    case TEST_RANGE: return filter_in_bounds(leaf, value);
    case TEST_PERIOD:
        return value->kind == SCALAR_TEXT && datetime_parse(value->text, &moment.i) && filter_in_bounds(leaf, &moment);
    case TEST_EXISTS: return true;
    case TEST_COUNT:
    default: return false;
    }
}

/* ---- the tree ---- */

static int64_t count_bits(uint64_t bits)
{
    return __builtin_popcountll(bits);
}

/* With the conditions `yes` that hold, as must and should see them, and `no` as must_not does. */
static bool holds(const struct filter_group *g, uint64_t yes, uint64_t no)
{
    return (g->must & ~yes) == 0 && (!g->should || (g->should & yes)) && !(g->must_not & no) &&
           (!g->has_some || count_bits(g->some & yes) >= g->some_min);
}

bool filter_decide(const struct filter *f, uint64_t met)
{
    uint64_t bits = met ^ f->negated;
    bool kept = false;
    for (size_t i = 0; i < f->n_groups; i++) {
        kept = holds(f->groups[i], bits, bits);
        bits |= kept ? f->groups[i]->bit : 0;
    }
    return kept;
}

/* In three values: of a leaf nothing is known, but that one without values holds nowhere. */
bool filter_keeps_all(const struct filter *f)
{
    uint64_t surely = 0, maybe = 0;
    bool kept = false;
    for (size_t i = 0; i < f->n_leaves; i++) {
        const struct filter_leaf *leaf = f->leaves[i];
        bool nowhere = leaf->test == TEST_ANY && leaf->n_values == 0;
        maybe |= nowhere ? 0 : leaf->bit;
    }
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct filter_group *g = f->groups[i];
        kept = holds(g, surely, maybe);
        surely |= kept ? g->bit : 0;
        maybe |= holds(g, maybe, surely) ? g->bit : 0;
    }
    return kept;
}
