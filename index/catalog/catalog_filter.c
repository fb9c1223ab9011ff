/* catalog_filter.c - the images that a filter keeps.
 *
 * Each row of an index that a condition needs is looked at once, however many conditions need it: the values that the
 * conditions of one key name divide all values into pieces, and within a piece all values meet the same conditions.
 * So one seek for each piece gives images and the bits that they meet; the filter is decided at the end, by the bits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/work_limit.h"
#include "index/catalog/catalog_parts.h"
#include "index/catalog/pieces.h"

/* ---- columns: what an index orders ---- */

enum column { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_FLAG, COLUMN_LABEL, COLUMN_ID, COLUMNS };

/* [lower: none, >, >=][upper: none, <, <=] */
#define SEEK(from, any, column)                                                                                        \
    {                                                                                                                  \
        {from any, from " AND " column " < ?4" any, from " AND " column " <= ?4" any},                                 \
            {from " AND " column " > ?3", from " AND " column " > ?3 AND " column " < ?4",                             \
             from " AND " column " > ?3 AND " column " <= ?4"},                                                        \
        {                                                                                                              \
            from " AND " column " >= ?3", from " AND " column " >= ?3 AND " column " < ?4",                            \
                from " AND " column " >= ?3 AND " column " <= ?4"                                                      \
        }                                                                                                              \
    }
#define ATTRIBUTE "SELECT image FROM attribute INDEXED BY attribute_by_value WHERE collection = ?1 AND key = ?2"
#define LABELLED                                                                                                       \
    "SELECT number FROM image INDEXED BY image_by_label WHERE collection = ?1 AND label > ''" /* "" is none */
#define NAMED "SELECT number FROM image WHERE collection = ?1"

static const char *const seeks[COLUMNS][3][3] = {
    [COLUMN_TEXT] = SEEK(ATTRIBUTE, " AND text IS NOT NULL", "text"),
    [COLUMN_NUMBER] = SEEK(ATTRIBUTE " AND text IS NULL", " AND number IS NOT NULL", "number"),
    [COLUMN_FLAG] = SEEK(ATTRIBUTE " AND text IS NULL AND number IS NULL", " AND flag IS NOT NULL", "flag"),
    [COLUMN_LABEL] = SEEK(LABELLED, "", "label"),
    [COLUMN_ID] = SEEK(NAMED, "", "id"),
};

static enum scalar_kind kind_of(enum column c)
{
    return c == COLUMN_NUMBER ? SCALAR_NUMBER : c == COLUMN_FLAG ? SCALAR_FLAG : SCALAR_TEXT;
}

struct seeker {
    struct session *s;
    struct selection *found;
    const struct filter *f;
    int64_t collection, last; /* the largest number of all images */
    struct err *e;
};

/* The bits of the leaves of the same key as `first`. */
static uint64_t same_key(const struct filter *f, const struct filter_leaf *first)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < f->n_leaves; i++)
        if (f->leaves[i]->subject == first->subject && strcmp(f->leaves[i]->key, first->key) == 0)
            bits |= f->leaves[i]->bit;
    return bits;
}

/* ---- seeking ---- */

/* Every image that the statement gives meets `bits`. */
static bool take_rows(struct seeker *k, struct query *r, uint64_t bits)
{
    while (sql_row(r))
        selection_add(k->found, sql_get_int(r, 0), bits);
    return sql_end(r, k->e);
}

/* The pieces from `first` to `last`, in one go. */
static bool seek_pieces(struct seeker *k, enum column c, const char *key, const struct pieces *d, size_t first,
                        size_t last)
{
    size_t lower = first == 0 ? 0 : first % 2 ? 2 : 1, upper = last == 2 * d->n ? 0 : last % 2 ? 2 : 1;
    struct sql_value v[4] = {sql_int(k->collection), sql_text(key)};
    bool has_key = c <= COLUMN_FLAG;
    if (lower)
        v[2] = scalar_sql(&d->at[lower == 2 ? first / 2 : first / 2 - 1]);
    if (upper)
        v[3] = scalar_sql(&d->at[last / 2]);
    size_t n = upper ? 4 : lower ? 3 : has_key ? 2 : 1;
    return take_rows(k, sql_begin(k->s->q, seeks[c][lower][upper], v, n, k->e), d->met[first]);
}

static bool seek_column(struct seeker *k, enum column c, const char *key, uint64_t leaves)
{
    struct pieces d;
    bool ok = true;
    pieces_make(&d, k->f, leaves, kind_of(c));
    for (size_t first = 0, last; ok && first <= 2 * d.n; first = last + 1) {
        for (last = first; last < 2 * d.n && d.met[last + 1] == d.met[first];)
            last++;
        ok = !d.met[first] || seek_pieces(k, c, key, &d, first, last);
    }
    pieces_clear(&d);
    return ok;
}

/* ---- what is not of one value ---- */

/* The bits among `leaves` of those with this test. */
static uint64_t with_test(const struct filter *f, uint64_t leaves, enum filter_test test)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < f->n_leaves; i++)
        if (f->leaves[i]->test == test)
            bits |= f->leaves[i]->bit & leaves;
    return bits;
}

/* An object has values where one below it has: "a.b" for "a". */
static bool seek_below(struct seeker *k, const char *key, uint64_t bits)
{
    struct buf from = {0}, to = {0};
    buf_print(&from, "%s.", key);
    buf_print(&to, "%s/", key); /* the character behind the dot */
    bool ok = take_rows(k,
                        sql_begin(k->s->q,
                                  "SELECT image FROM attribute INDEXED BY attribute_by_value"
                                  " WHERE collection = ?1 AND key >= ?2 AND key < ?3",
                                  VALUES(sql_int(k->collection), sql_text(from.data), sql_text(to.data)), k->e),
                        bits);
    buf_clear(&from);
    buf_clear(&to);
    return ok;
}

/* The bits of those of `leaves` that the value passes. */
static uint64_t passed(const struct filter *f, uint64_t leaves, const struct scalar *value)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < f->n_leaves; i++)
        if ((f->leaves[i]->bit & leaves) && filter_leaf_passes(f->leaves[i], value))
            bits |= f->leaves[i]->bit;
    return bits;
}

static bool seek_dates(struct seeker *k, const char *key, uint64_t leaves)
{
    struct query *r = sql_begin(k->s->q,
                                "SELECT image, text FROM attribute INDEXED BY attribute_by_value"
                                " WHERE collection = ?1 AND key = ?2 AND text IS NOT NULL",
                                VALUES(sql_int(k->collection), sql_text(key)), k->e);
    while (sql_row(r)) {
        struct scalar value = {.kind = SCALAR_TEXT, .text = sql_get_text(r, 1)};
        uint64_t bits = passed(k->f, leaves, &value);
        if (bits)
            selection_add(k->found, sql_get_int(r, 0), bits);
    }
    return sql_end(r, k->e);
}

/* The bits of those of `leaves` whose bounds so many values keep; where no value keeps them too, the other way round. */
static uint64_t counted(const struct filter *f, uint64_t leaves, uint64_t n)
{
    struct scalar count = {.kind = SCALAR_NUMBER, .i = (int64_t)n};
    uint64_t bits = 0;
    for (size_t i = 0; i < f->n_leaves; i++) {
        const struct filter_leaf *leaf = f->leaves[i];
        bool negated = (leaf->bit & f->negated) != 0;
        if ((leaf->bit & leaves) && filter_in_bounds(leaf, &count) != negated)
            bits |= leaf->bit;
    }
    return bits;
}

static void take_counts(struct seeker *k, const struct selection *counts, uint64_t leaves)
{
    for (size_t i = 0; i < counts->n_pages; i++) {
        const struct page *p = counts->pages[i];
        for (uint64_t left = p ? p->present : 0; left; left &= left - 1) {
            size_t in = (size_t)__builtin_ctzll(left);
            uint64_t bits = counted(k->f, leaves, p->bits[in]);
            if (bits)
                selection_add(k->found, (int64_t)(i * PAGE + in), bits);
        }
    }
}

/* In a set of its own, whose bits are the number of values. */
static bool seek_counts(struct seeker *k, const char *key, uint64_t leaves)
{
    struct selection *counts = selection_new(k->found->n_pages, k->e);
    if (!counts)
        return false;
    struct query *r = sql_begin(k->s->q, ATTRIBUTE, VALUES(sql_int(k->collection), sql_text(key)), k->e);
    while (sql_row(r)) {
        int64_t number = sql_get_int(r, 0);
        selection_add(counts, number, 0);
        if (selection_has(counts, number))
            counts->pages[number / PAGE]->bits[number % PAGE]++;
    }
    bool ok = sql_end(r, k->e);
    if (ok)
        take_counts(k, counts, leaves);
    selection_free(counts);
    return ok;
}

static bool seek_metadata(struct seeker *k, const char *key, uint64_t leaves)
{
    uint64_t exists = with_test(k->f, leaves, TEST_EXISTS), dates = with_test(k->f, leaves, TEST_PERIOD),
             counts = with_test(k->f, leaves, TEST_COUNT);
    for (enum column c = COLUMN_TEXT; c <= COLUMN_FLAG; c++)
        if (!seek_column(k, c, key, leaves))
            return false;
    return (!exists || seek_below(k, key, exists)) && (!dates || seek_dates(k, key, dates)) &&
           (!counts || seek_counts(k, key, counts));
}

/* By the index of hashes, which is of all collections. */
static bool seek_hashes(struct seeker *k, const struct filter_leaf *leaf)
{
    bool ok = true;
    for (size_t i = 0; ok && i < leaf->n_values; i++)
        if (leaf->values[i].kind == SCALAR_TEXT)
            ok = take_rows(k,
                           sql_begin(k->s->q,
                                     "SELECT number FROM image INDEXED BY image_by_hash"
                                     " WHERE sha256 = ?2 AND collection = ?1",
                                     VALUES(sql_int(k->collection), sql_text(leaf->values[i].text)), k->e),
                           leaf->bit);
    return ok;
}

/* ---- facts of the image that no index has: one pass over the rows ---- */

static bool is_fact(const struct filter_leaf *leaf)
{
    return leaf->subject >= SUBJECT_WIDTH || leaf->subject == SUBJECT_MEDIA_TYPE ||
           (leaf->subject == SUBJECT_SHA256 && leaf->test != TEST_ANY);
}

static struct scalar fact_of(struct query *r, enum filter_subject subject)
{
    static const int columns[] = {
        [SUBJECT_WIDTH] = 1,      [SUBJECT_HEIGHT] = 2,     [SUBJECT_BYTES] = 3, [SUBJECT_CREATED_AT] = 4,
        [SUBJECT_UPDATED_AT] = 5, [SUBJECT_MEDIA_TYPE] = 6, [SUBJECT_SHA256] = 7};
    return subject >= SUBJECT_WIDTH ? (struct scalar){.kind = SCALAR_NUMBER, .i = sql_get_int(r, columns[subject])}
                                    : (struct scalar){.kind = SCALAR_TEXT, .text = sql_get_text(r, columns[subject])};
}

/* Row after row where most of the table is of this collection; otherwise by the index, which jumps. */
static struct query *begin_pass(struct seeker *k)
{
#define FACTS "SELECT number, width, height, bytes, created_at, updated_at, media_type, sha256 FROM image"
    int64_t images;
    if (!sql_number(k->s->q, "SELECT images FROM collection WHERE number = ?1", VALUES(sql_int(k->collection)), 0,
                    &images, k->e))
        return NULL;
    const char *text =
        images > k->last / 2 ? FACTS " NOT INDEXED WHERE collection = ?1" : FACTS " WHERE collection = ?1";
    return sql_begin(k->s->q, text, VALUES(sql_int(k->collection)), k->e);
}

/* `all`: the images that meet none of the facts are wanted too. */
static bool pass_over_facts(struct seeker *k, bool all)
{
    struct query *r = begin_pass(k);
    while (sql_row(r)) {
        uint64_t bits = 0;
        for (size_t i = 0; i < k->f->n_leaves; i++) {
            const struct filter_leaf *leaf = k->f->leaves[i];
            if (!is_fact(leaf))
                continue;
            struct scalar fact = fact_of(r, leaf->subject);
            bits |= filter_leaf_passes(leaf, &fact) ? leaf->bit : 0;
        }
        if (bits || all)
            selection_add(k->found, sql_get_int(r, 0), bits);
    }
    return sql_end(r, k->e);
}

/* ---- all of it ---- */

static bool seek_leaf(struct seeker *k, const struct filter_leaf *leaf, uint64_t leaves)
{
    switch (leaf->subject) {
    case SUBJECT_METADATA: return seek_metadata(k, leaf->key, leaves);
    case SUBJECT_LABEL: return seek_column(k, COLUMN_LABEL, "", leaves);
    case SUBJECT_ID: return seek_column(k, COLUMN_ID, "", leaves);
    case SUBJECT_SHA256: return leaf->test != TEST_ANY || seek_hashes(k, leaf);
    case SUBJECT_MEDIA_TYPE:
    case SUBJECT_WIDTH:
    case SUBJECT_HEIGHT:
    case SUBJECT_BYTES:
    case SUBJECT_CREATED_AT:
    case SUBJECT_UPDATED_AT:
    default: return true; /* of the pass */
    }
}

/* Images that no leaf means are only looked at when the filter keeps such. */
static bool seek_all(struct seeker *k)
{
    bool all = filter_decide(k->f, 0), facts = false;
    uint64_t done = 0;
    for (size_t i = 0; i < k->f->n_leaves; i++) {
        const struct filter_leaf *leaf = k->f->leaves[i];
        uint64_t leaves = leaf->subject == SUBJECT_SHA256 ? leaf->bit : same_key(k->f, leaf);
        facts |= is_fact(leaf);
        if (!(done & leaf->bit) && !seek_leaf(k, leaf, leaves))
            return false;
        done |= leaves;
    }
    if (facts)
        return pass_over_facts(k, all);
    return !all || take_rows(k, sql_begin(k->s->q, NAMED, VALUES(sql_int(k->collection)), k->e), 0);
}

static bool decide_all(struct selection *x, const struct filter *f, struct err *e)
{
    for (size_t i = 0; i < x->n_pages; i++) {
        struct page *p = x->pages[i];
        if (i % 256 == 0 && !work_limit_holds())
            return work_limit_err(e);
        for (uint64_t left = p ? p->present : 0; left; left &= left - 1) {
            int in = __builtin_ctzll(left);
            if (!filter_decide(f, p->bits[in]))
                p->present &= ~((uint64_t)1 << in);
        }
    }
    return true;
}

static bool open_selection(struct seeker *k)
{
    if (!sql_number(k->s->q, "SELECT max(number) FROM image", NO_VALUES, 0, &k->last, k->e))
        return false;
    k->found = selection_new((size_t)k->last / PAGE + 1, k->e);
    return k->found != NULL;
}

struct selection *catalog_select(struct session *s, int64_t collection, const struct filter *f, struct err *e)
{
    struct err why = {0};
    bool begun = catalog_snapshot(s, &why);
    struct seeker k = {.s = s, .f = f, .collection = collection, .e = &why};
    bool ok = begun && open_selection(&k) && seek_all(&k) && decide_all(k.found, f, &why);
    if (begun)
        catalog_snapshot_end(s);
    if (ok)
        return k.found;
    selection_free(k.found);
    const struct work_limit *limit = work_limit_now();
    bool stopped = limit && limit->why != WORK_GOES_ON;
    if (stopped && e && e->code == ERR_NONE)
        snprintf(e->param, sizeof e->param, "filter");
    err_set(e, why.code, stopped ? "the filter is too expensive: %s" : "%s", why.text);
    return NULL;
}
