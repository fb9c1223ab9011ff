/* filter_tree.h - the inside of a filter, for those who ask it of stored images.
 *
 * There are at most 64 conditions, so what an image meets of them is a word of 64 bits.  Each leaf has a bit; each
 * nested filter has one too, which filter_decide() sets from those of its conditions.  So the catalogue looks for the
 * images that a leaf means, one leaf (or all of one key) at a time.  The filter is decided at the end, image by image.
 */
#ifndef ANCHORD_INDEX_FILTER_TREE_H
#define ANCHORD_INDEX_FILTER_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "index/values/filter.h"

enum scalar_kind { SCALAR_TEXT, SCALAR_NUMBER, SCALAR_FLAG, SCALAR_KINDS };

struct scalar {
    enum scalar_kind kind;
    bool is_real; /* a number: in `real`, otherwise in `i` */
    int64_t i;    /* also a flag, 0 or 1 */
    double real;
    const char *text;
    bool is_huge; /* a number from 2^63 on: in `code` alone, whatever it was written as */
    unsigned char
        code[9]; /* as memcmp() orders them; the catalogue stores such numbers so, for SQLite's integers end before */
};

enum filter_subject {
    SUBJECT_METADATA, /* the values at a key: any number of them */
    SUBJECT_LABEL,    /* a text or none */
    SUBJECT_ID,
    SUBJECT_MEDIA_TYPE,
    SUBJECT_SHA256, /* a text */
    SUBJECT_WIDTH,
    SUBJECT_HEIGHT,
    SUBJECT_BYTES, /* a number */
    SUBJECT_CREATED_AT,
    SUBJECT_UPDATED_AT /* seconds since 1970 */
};

enum filter_test {
    TEST_ANY,    /* a value is one of `values` */
    TEST_EXCEPT, /* a value is none of `values` */
    TEST_RANGE,  /* a number keeps the bounds */
    TEST_PERIOD, /* a text is a date and time that keeps the bounds, which are microseconds */
    TEST_COUNT,  /* the number of values, which is not zero, keeps the bounds */
    TEST_EXISTS  /* there is a value */
};

struct bound {
    bool below, strict; /* "<" and ">" are strict */
    struct scalar value;
};

struct filter_leaf {
    uint64_t bit;
    enum filter_subject subject;
    const char *key; /* of SUBJECT_METADATA, as the catalogue has it; otherwise "" */
    enum filter_test test;
    struct scalar *values; /* ascending */
    size_t n_values;
    struct bound bounds[4];
    size_t n_bounds;
};

struct filter_group {
    uint64_t bit; /* 0: the root */
    uint64_t must, should, must_not, some;
    bool has_some;
    int64_t some_min; /* of `some` must hold */
};

struct filter {
    struct filter_leaf *leaves[FILTER_CONDITIONS_MAX];
    struct filter_group *groups[FILTER_CONDITIONS_MAX + 1]; /* each after those that are in it; the root is the last */
    size_t n_leaves, n_groups;
    uint64_t negated;   /* leaves that hold where their test does not */
    struct arena arena; /* holds all of it */
};

/* Whether the filter keeps an image that meets these leaves' tests, and no others. */
bool filter_decide(const struct filter *f, uint64_t met);

/* False when the value is no number. */
bool scalar_number(const struct json *v, struct scalar *out);
struct scalar scalar_real(double real);
/* By kind, then by value: texts as memcmp() has them, numbers exactly. */
int scalar_compare(const struct scalar *a, const struct scalar *b);
/* Of TEST_ANY, TEST_EXCEPT, TEST_RANGE and TEST_PERIOD: whether this value passes. */
bool filter_leaf_passes(const struct filter_leaf *leaf, const struct scalar *value);
/* Whether a value of the bounds' kind keeps all of them. */
bool filter_in_bounds(const struct filter_leaf *leaf, const struct scalar *value);

#endif
