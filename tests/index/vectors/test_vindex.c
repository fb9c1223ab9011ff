/* test_vindex.c - the vector index against a brute-force oracle, and under threads. */
#include "tests/t.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/rng.h"
#include "index/vectors/scan.h"
#include "index/vectors/segment.h"
#include "index/vectors/vindex_parts.h"
#include "tests/lib/vectors.h"

enum { D = 24 };

static struct vindex *make(const struct vindex_options *o)
{
    struct err e = {0};
    struct vindex *x = vindex_new(o, &e);
    assert_ok(x, e);
    return x;
}

static void add(struct vindex *x, int64_t number, int64_t revision, const char *id, const char *label, const float *v)
{
    struct err e = {0};
    struct entry entry = {.number = number, .revision = revision, .id = id, .label = label};
    assert_ok(vindex_add(x, &entry, v, &e), e);
}

static void search(struct vindex *x, const struct search *q, struct hits *out)
{
    struct err e = {0};
    *out = (struct hits){0};
    assert_ok(vindex_search(x, q, NULL, 0, out, &e), e);
}

/* ---- the oracle: every image in an array, every question answered by looking at all ---- */

enum { IMAGES = 1600 };

struct oracle {
    struct {
        bool alive;
        char label[8];
        int64_t revision;
        float v[D];
    } image[IMAGES];
    size_t living;
};

static double oracle_score(const struct oracle *o, size_t i, const float *q)
{
    double sum = 0;
    for (size_t k = 0; k < D; k++)
        sum += (double)o->image[i].v[k] * (double)q[k];
    return sum;
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

struct search_request {
    const float *q;
    size_t limit;
    const int64_t *numbers; /* NULL: all */
    size_t n_numbers;
    int64_t excluded; /* 0: none */
    bool exact;
};

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool asked_for(const struct oracle *o, const struct search_request *a, size_t i)
{
    int64_t number = (int64_t)i + 1;
    return o->image[i].alive && a->excluded != number &&
           (!a->numbers || bsearch(&number, a->numbers, a->n_numbers, sizeof number, by_number));
}

struct tally { /* over all questions: how many of the best were found */
    size_t wanted, found;
};

/* There are as many hits as there can be, each is alive, asked for, new and rightly scored.  An exact search
 * finds, rank by rank, the best scores there are; otherwise it is counted how many it finds. */
static void check(struct vindex *x, const struct oracle *o, const struct search_request *a, struct tally *tally)
{
    double best[IMAGES];
    size_t n = 0;
    for (size_t i = 0; i < IMAGES; i++)
        if (asked_for(o, a, i))
            best[n++] = oracle_score(o, i, a->q);
    qsort(best, n, sizeof *best, descending);

    struct err e = {0};
    struct hits hits = {0};
    char id[16];
    const char *excluded = id;
    snprintf(id, sizeof id, "i%lld", (long long)a->excluded);
    struct search q = {.vector = a->q,
                       .limit = a->limit,
                       .exclude = &excluded,
                       .n_exclude = a->excluded > 0,
                       .with_vector = true,
                       .exact = a->exact,
                       .ef = 10};
    assert_ok(vindex_search(x, &q, a->numbers, a->n_numbers, &hits, &e), e);
    assert_int_equal(hits.n, min_size(a->limit, n));
    bool seen[IMAGES] = {0};
    for (size_t r = 0; r < hits.n; r++) {
        const struct hit *h = &hits.items[r];
        size_t i = (size_t)h->number - 1;
        assert_true(asked_for(o, a, i));
        assert_false(seen[i]);
        seen[i] = true;
        assert_string_equal(h->label, o->image[i].label);
        assert_memory_equal(h->vector, o->image[i].v, sizeof o->image[i].v);
        assert_true(fabs((double)h->score - oracle_score(o, i, a->q)) < 1e-5);
        assert_true(!a->exact || fabs((double)h->score - best[r]) < 1e-5);
        tally->found += (double)h->score > best[hits.n - 1] - 1e-5;
    }
    tally->wanted += hits.n;
    hits_clear(&hits);
}

static void change(struct vindex *x, struct oracle *o, struct rng *r, int64_t revision)
{
    size_t i = rng_below(r, IMAGES);
    struct err e = {0};
    char id[16];
    snprintf(id, sizeof id, "i%zu", i + 1);
    uint64_t what = rng_below(r, 10);
    if (what < 6) { /* new, or replaced */
        vectors_near(rng_next(r), NULL, D, 1, o->image[i].v);
        snprintf(o->image[i].label, sizeof o->image[i].label, "l%d", (int)rng_below(r, 5));
        add(x, (int64_t)i + 1, revision, id, o->image[i].label, o->image[i].v);
        o->living += !o->image[i].alive;
        o->image[i].alive = true;
    } else if (what < 8) {
        vindex_remove(x, (int64_t)i + 1);
        o->living -= o->image[i].alive;
        o->image[i].alive = false;
    } else {
        struct entry entry = {.number = (int64_t)i + 1, .revision = revision, .id = id, .label = "new"};
        assert_int_equal(vindex_relabel(x, &entry, &e), o->image[i].alive);
        snprintf(o->image[i].label, sizeof o->image[i].label, "new");
    }
}

enum share { ALL, MOST, SOME };

/* Asks for all numbers, nine of ten, or one of ten. */
static void ask(struct vindex *x, const struct oracle *o, struct rng *r, enum share share, bool exact,
                struct tally *tally)
{
    float q[D];
    int64_t numbers[IMAGES];
    vectors_near(rng_next(r), NULL, D, 1, q);
    struct search_request a = {
        .q = q, .limit = 1 + rng_below(r, exact ? 30 : 6), .excluded = (int64_t)rng_below(r, 40), .exact = exact};
    if (share != ALL)
        a.numbers = numbers;
    for (int64_t number = 1; share != ALL && number <= IMAGES; number++)
        if ((rng_below(r, 10) == 0) == (share == SOME))
            numbers[a.n_numbers++] = number;
    check(x, o, &a, tally);
}

/* Many changes with searches between them; building, where there is any, happens at random moments too. */
static void random_life(const struct vindex_options *options, bool exact, int64_t steps)
{
    struct vindex *x = make(options);
    struct oracle *o = mem_new(1, sizeof *o);
    struct tally tally = {0};
    struct rng r = rng_new(11);
    struct err e = {0};
    size_t built = 0;
    for (int64_t step = 1; step <= steps; step++) {
        change(x, o, &r, step);
        assert_int_equal(vindex_living(x), o->living);
        if (step % 8 == 0)
            ask(x, o, &r, (enum share)(step / 8 % 3), exact, &tally);
        if (rng_below(&r, 100) == 0)
            built += vindex_build_step(x, &e);
    }
    assert_int_equal(e.code, ERR_NONE);
    if (options->kind != INDEX_FLAT)
        assert_true(built > 10);
    assert_true(tally.found >= tally.wanted * 95 / 100);
    struct vindex_stats stats;
    vindex_get_stats(x, &stats);
    assert_int_equal(stats.segments, options->kind != INDEX_FLAT);
    assert_true(stats.dead <= stats.living + 4 * CHUNK_SLOTS); /* what is dead does not pile up */
    free(o);
    vindex_release(x);
}

static void random_changes_and_searches_agree_with_brute_force(void **state)
{
    UNUSED(state);
    random_life(&(struct vindex_options){.dimensions = D, .kind = INDEX_FLAT}, true, 8000);
}

static void they_do_so_while_segments_are_built_and_chunks_are_dropped(void **state)
{
    UNUSED(state);
    random_life(&(struct vindex_options){.dimensions = D, .kind = INDEX_HNSW, .seal_at = 30}, true, 8000);
}

static void searches_through_the_graph_give_as_many_and_nearly_the_best(void **state)
{
    UNUSED(state);
    random_life(&(struct vindex_options){.dimensions = D, .kind = INDEX_AUTO, .hnsw_from = 100, .seal_at = 30}, false,
                8000);
}

static void what_was_just_added_is_found_first(void **state)
{
    UNUSED(state);
    struct vindex *x = make(&(struct vindex_options){.dimensions = D, .kind = INDEX_HNSW, .seal_at = 600});
    struct err e = {0};
    for (int64_t i = 1; i <= 3000; i++) {
        float v[D];
        char id[16];
        vectors_near((uint64_t)i, NULL, D, 1, v);
        snprintf(id, sizeof id, "%lld", (long long)i);
        add(x, i, i, id, NULL, v);
        if (i % 600 == 0)
            assert_ok(vindex_build_step(x, &e), e);
        if (i % 250)
            continue;
        struct hits hits;
        search(x, &(struct search){.vector = v, .limit = 1, .ef = 8}, &hits);
        assert_string_equal(hits.items[0].id, id);
        assert_null(hits.items[0].label);
        assert_true(hits.items[0].score > 0.9999F && hits.items[0].score <= 1);
        hits_clear(&hits);
    }
    vindex_release(x);
}

static void equal_scores_come_in_the_order_of_their_ids(void **state)
{
    UNUSED(state);
    struct vindex *x = make(&(struct vindex_options){.dimensions = D});
    static const char *const ids[] = {"m", "c", "z", "a", "k", "b", "y"};
    float v[D] = {0}, q[D] = {0};
    v[3] = 1;
    q[3] = 7; /* need not be of unit length */
    q[4] = 1;
    for (size_t i = 0; i < COUNT(ids); i++)
        add(x, (int64_t)i + 1, 1, ids[i], NULL, v);
    struct hits hits;
    search(x, &(struct search){.vector = q, .limit = 3}, &hits);
    assert_int_equal(hits.n, 3);
    assert_string_equal(hits.items[0].id, "a");
    assert_string_equal(hits.items[1].id, "b");
    assert_string_equal(hits.items[2].id, "c");
    assert_true(fabsf(hits.items[0].score - 7 / sqrtf(50)) < 1e-6F);
    hits_clear(&hits);
    search(x, &(struct search){.vector = q, .limit = 100, .has_threshold = true, .threshold = 0.9999F}, &hits);
    assert_int_equal(hits.n, 0);
    hits_clear(&hits);
    vindex_release(x);
}

/* The product in floats is off by some 1e-7 either way, so a threshold of 1 would miss one picture in five. */
static void the_very_vector_that_is_asked_by_scores_one(void **state)
{
    UNUSED(state);
    enum { ROWS = 300, WIDE = 512 };
    struct vindex *x = make(&(struct vindex_options){.dimensions = WIDE});
    float *all = vectors_clustered(17, ROWS, WIDE, 20, 0.6), *row = all;
    char id[16];
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(id, sizeof id, "i%zu", i);
        add(x, (int64_t)i + 1, 1, id, NULL, all + i * WIDE);
    }
    for (size_t i = 0; i < ROWS; i++, row += WIDE) {
        struct hits hits;
        for (size_t k = 0; i % 2 && k < WIDE; k++)
            row[k] *= 3; /* a query of another length */
        search(x, &(struct search){.vector = row, .limit = 5, .has_threshold = true, .threshold = 1}, &hits);
        snprintf(id, sizeof id, "i%zu", i);
        if (hits.n != 1 || hits.items[0].score != 1 || strcmp(hits.items[0].id, id) != 0)
            fail_msg("%s: %zu hits", id, hits.n);
        hits_clear(&hits);
    }
    free(all);
    vindex_release(x);
}

static void an_image_made_anew_under_its_id_takes_the_place_of_the_old_one(void **state)
{
    UNUSED(state);
    struct vindex *x = make(&(struct vindex_options){.dimensions = D});
    struct err e = {0};
    float v[D] = {1}, w[D] = {0, 1}, got[D];
    add(x, 1, 1, "cat", NULL, v);
    add(x, 2, 2, "cat", NULL, w);
    assert_int_equal(vindex_living(x), 1);
    vindex_remove(x, 1); /* comes late; must not touch the new one */
    assert_int_equal(vindex_living(x), 1);
    assert_ok(vindex_vector(x, "cat", got, &e), e);
    assert_memory_equal(got, w, sizeof w);
    vindex_remove(x, 2);
    assert_err(vindex_vector(x, "cat", got, &e), e, ERR_NOT_FOUND);
    struct hits hits;
    search(x, &(struct search){.vector = v, .limit = 5}, &hits);
    assert_int_equal(hits.n, 0);
    hits_clear(&hits);
    vindex_release(x);
}

static void bad_vectors_and_limits_are_refused(void **state)
{
    UNUSED(state);
    struct vindex *x = make(&(struct vindex_options){.dimensions = D});
    struct err e;
    struct hits hits = {0};
    float v[D] = {1}, zero[D] = {0}, nan[D] = {1, NAN}, inf[D] = {INFINITY};
    struct entry entry = {.number = 1, .id = "a"};
    assert_err(vindex_add(x, &entry, nan, &e), e, ERR_BAD_INPUT);
    assert_err(vindex_add(x, &entry, inf, &e), e, ERR_BAD_INPUT);
    assert_err(vindex_search(x, &(struct search){.vector = nan, .limit = 1}, NULL, 0, &hits, &e), e, ERR_BAD_INPUT);
    assert_err(vindex_search(x, &(struct search){.vector = inf, .limit = 1}, NULL, 0, &hits, &e), e, ERR_BAD_INPUT);
    assert_err(vindex_search(x, &(struct search){.vector = zero, .limit = 1}, NULL, 0, &hits, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "vector");
    assert_err(vindex_search(x, &(struct search){.vector = v, .limit = 0}, NULL, 0, &hits, &e), e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "limit");
    e = (struct err){0};
    assert_null(vindex_new(&(struct vindex_options){0}, &e));
    assert_int_equal(e.code, ERR_BAD_INPUT);
    vindex_release(x);
}

/* Equal vectors link to each other alone, and the graph has islands. */
static void hundreds_of_equal_images_hide_neither_themselves_nor_the_others(void **state)
{
    UNUSED(state);
    enum { EQUAL = 700, OTHERS = 1500, N = EQUAL + OTHERS };
    struct vindex *x = make(&(struct vindex_options){.dimensions = D, .kind = INDEX_HNSW, .seal_at = N});
    struct err e = {0};
    float v[D], equal[D];
    size_t found = 0;
    vectors_near(1, NULL, D, 1, equal);
    for (int64_t i = 1; i <= N; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%04lld", (long long)i);
        vectors_near((uint64_t)i, NULL, D, 1, v);
        add(x, i, 1, id, NULL, i <= EQUAL ? equal : v);
    }
    assert_ok(vindex_build_step(x, &e), e);
    struct hits hits;
    search(x, &(struct search){.vector = equal, .limit = 15, .ef = 16}, &hits);
    assert_int_equal(hits.n, 15);
    for (size_t i = 0; i < hits.n; i++)
        assert_true(hits.items[i].number <= EQUAL);
    hits_clear(&hits);
    for (int64_t i = 1; i <= EQUAL; i++)
        if (i % 100)
            vindex_remove(x, i);
    search(x, &(struct search){.vector = equal, .limit = 15, .ef = 16}, &hits);
    assert_int_equal(hits.n, 15);
    for (int64_t i = 0; i < 7; i++) /* those left, in the order of their ids; then others */
        assert_int_equal(hits.items[i].number, 100 * (i + 1));
    assert_true(hits.items[7].number > EQUAL);
    hits_clear(&hits);
    for (int64_t i = EQUAL + 1; i <= N; i += 10) {
        vectors_near((uint64_t)i, NULL, D, 1, v);
        search(x, &(struct search){.vector = v, .limit = 5, .ef = 16}, &hits);
        assert_int_equal(hits.n, 5);
        found += hits.items[0].number == i;
        hits_clear(&hits);
    }
    assert_true(found >= OTHERS / 10 * 98 / 100);
    vindex_release(x);
}

static void a_graph_with_many_dead_members_is_built_anew_without_them(void **state)
{
    UNUSED(state);
    enum { N = 2000 };
    struct vindex *x = make(&(struct vindex_options){.dimensions = D, .kind = INDEX_HNSW, .seal_at = N});
    struct err e = {0};
    float v[D];
    for (int64_t i = 1; i <= N; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%lld", (long long)i);
        vectors_near((uint64_t)i, NULL, D, 1, v);
        add(x, i, 1, id, NULL, v);
    }
    assert_ok(vindex_build_step(x, &e), e);
    for (int64_t i = 1; i <= N / 5; i++)
        vindex_remove(x, i * 5);
    assert_false(vindex_build_due(x));
    for (int64_t i = 1; i <= N / 10; i++)
        vindex_remove(x, i * 10 - 1);
    assert_ok(vindex_build_step(x, &e), e);
    assert_int_equal(segment_members(x->snapshot->sealed)->n, N - N / 5 - N / 10);
    assert_false(vindex_build_due(x));
    vindex_release(x);
}

/* ---- threads ---- */

enum { PAIRS = 64, OTHERS = 9000 };

struct shared {
    struct vindex *x;
    atomic_bool stop;
    atomic_size_t searches;
};

/* Searches while the writer replaces: image i is always there, once, as one of its versions.  The others, which
 * all lie on the other side, make each search take its time. */
static void one_side(uint64_t seed, float side, float v[D])
{
    const float axis[D] = {side};
    vectors_near(seed, axis, D, 0.3, v);
}

static void *searcher(void *arg)
{
    struct shared *s = arg;
    uint64_t seed = 0;
    while (!atomic_load(&s->stop)) {
        float q[D];
        bool seen[PAIRS] = {0};
        struct hits hits;
        one_side(++seed, 1, q);
        search(s->x, &(struct search){.vector = q, .limit = PAIRS}, &hits);
        assert_int_equal(hits.n, PAIRS);
        for (size_t i = 0; i < hits.n; i++) {
            size_t number = (size_t)hits.items[i].number;
            assert_in_range(number, 1, PAIRS);
            assert_false(seen[number - 1]);
            seen[number - 1] = true;
        }
        hits_clear(&hits);
        atomic_fetch_add(&s->searches, 1);
    }
    return NULL;
}

static void a_search_sees_a_replaced_image_once_and_never_not_at_all(void **state)
{
    UNUSED(state);
    struct vindex_options o = {.dimensions = D, .kind = INDEX_FLAT, .background = true}; /* moves slots, too */
    struct shared s = {.x = make(&o)};
    pthread_t threads[3];
    struct rng r = rng_new(5);
    float v[D];
    char id[16];
    for (int64_t i = 0; i < OTHERS; i++) {
        one_side(rng_next(&r), -1, v);
        snprintf(id, sizeof id, "other%lld", (long long)i);
        add(s.x, PAIRS + 1 + i, 0, id, NULL, v);
    }
    for (int64_t step = 0; step < PAIRS || atomic_load(&s.searches) < 300; step++) {
        int64_t number = step < PAIRS ? step + 1 : 1 + (int64_t)rng_below(&r, PAIRS);
        one_side(rng_next(&r), 1, v);
        snprintf(id, sizeof id, "i%lld", (long long)number);
        add(s.x, number, step, id, "label", v);
        struct err e = {0};
        struct entry entry = {.number = number, .revision = step, .id = id, .label = "another"};
        assert_ok(vindex_relabel(s.x, &entry, &e), e);
        for (size_t t = 0; step == PAIRS - 1 && t < COUNT(threads); t++)
            assert_int_equal(pthread_create(&threads[t], NULL, searcher, &s), 0);
    }
    atomic_store(&s.stop, true);
    for (size_t t = 0; t < COUNT(threads); t++)
        pthread_join(threads[t], NULL);
    vindex_release(s.x);
}

enum { STEADY = 300, CHURNED = 900 };

static void life_vector(int64_t number, int64_t version, float v[D])
{
    vectors_near((uint64_t)number << 32 | (uint64_t)version, NULL, D, 1, v);
}

/* Images up to STEADY never change: each is found, first, whatever the builder is doing.  The others come and
 * go; what is said about them fits together. */
static void *watcher(void *arg)
{
    struct shared *s = arg;
    struct rng r = rng_new((uint64_t)(uintptr_t)&r);
    while (!atomic_load(&s->stop)) {
        float q[D];
        int64_t number = 1 + (int64_t)rng_below(&r, STEADY);
        struct hits hits;
        life_vector(number, 0, q);
        search(s->x, &(struct search){.vector = q, .limit = 4, .ef = 8, .with_vector = true}, &hits);
        assert_int_equal(hits.n, 4);
        assert_int_equal(hits.items[0].number, number);
        for (size_t i = 0; i < hits.n; i++) {
            char id[16];
            const struct hit *h = &hits.items[i];
            snprintf(id, sizeof id, "i%lld", (long long)h->number);
            assert_string_equal(h->id, id);
            assert_string_equal(h->label, id);
            assert_true(fabsf(scan_product(h->vector, q, D) - h->score) < 1e-5F);
            assert_true(i == 0 || h->score <= hits.items[i - 1].score);
        }
        hits_clear(&hits);
        atomic_fetch_add(&s->searches, 1);
    }
    return NULL;
}

static void churn(struct vindex *x, int64_t number, int64_t version, bool gone)
{
    float v[D];
    char id[16];
    life_vector(number, version, v);
    snprintf(id, sizeof id, "i%lld", (long long)number);
    if (gone)
        vindex_remove(x, number);
    else
        add(x, number, version, id, id, v);
}

static void searches_go_on_undisturbed_while_the_background_builds(void **state)
{
    UNUSED(state);
    struct vindex_options o = {.dimensions = D, .kind = INDEX_HNSW, .seal_at = 50, .background = true};
    struct shared s = {.x = make(&o)};
    struct vindex_stats stats = {0};
    pthread_t threads[2];
    struct rng r = rng_new(6);
    for (int64_t number = 1; number <= STEADY; number++)
        churn(s.x, number, 0, false);
    for (size_t t = 0; t < COUNT(threads); t++)
        assert_int_equal(pthread_create(&threads[t], NULL, watcher, &s), 0);
    for (int64_t step = 0; step < 6000 || atomic_load(&s.searches) < 500 || !stats.segments; step++) {
        churn(s.x, 1 + STEADY + (int64_t)rng_below(&r, CHURNED), step, rng_below(&r, 3) == 0);
        vindex_get_stats(s.x, &stats);
    }
    atomic_store(&s.stop, true);
    for (size_t t = 0; t < COUNT(threads); t++)
        pthread_join(threads[t], NULL);
    vindex_release(s.x); /* in the midst of building */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_and_searches_agree_with_brute_force),
        cmocka_unit_test(they_do_so_while_segments_are_built_and_chunks_are_dropped),
        cmocka_unit_test(searches_through_the_graph_give_as_many_and_nearly_the_best),
        cmocka_unit_test(what_was_just_added_is_found_first),
        cmocka_unit_test(the_very_vector_that_is_asked_by_scores_one),
        cmocka_unit_test(equal_scores_come_in_the_order_of_their_ids),
        cmocka_unit_test(an_image_made_anew_under_its_id_takes_the_place_of_the_old_one),
        cmocka_unit_test(bad_vectors_and_limits_are_refused),
        cmocka_unit_test(hundreds_of_equal_images_hide_neither_themselves_nor_the_others),
        cmocka_unit_test(a_graph_with_many_dead_members_is_built_anew_without_them),
        cmocka_unit_test(a_search_sees_a_replaced_image_once_and_never_not_at_all),
        cmocka_unit_test(searches_go_on_undisturbed_while_the_background_builds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
