/* test_store_threads.c - many writers and readers at once; meant for ThreadSanitizer, too. */
#include "tests/t.h"

#include <math.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rng.h"
#include "index/store.h"
#include "tests/lib/stores.h"

enum { WRITERS = 4, READERS = 3, STEPS = 150, IDS = 12 };

struct shared {
    struct store *s;
    bool stop;
    unsigned errors; /* what may not happen; atomic */
    unsigned searches;
};

struct worker {
    struct shared *shared;
    unsigned number;
    pthread_t thread;
    unsigned content[IDS]; /* of the ids of this writer, 0: none */
};

static void complain(struct shared *x, const char *what, const struct err *e)
{
    __atomic_fetch_add(&x->errors, 1, __ATOMIC_SEQ_CST);
    print_message("%s: %s\n", what, e ? e->text : "");
}

static bool patch(struct store *s, const char *id, struct err *e)
{
    struct write w = {.kind = WRITE_IMAGE_PATCH,
                      .collection = "default",
                      .image.id = id,
                      .image.patch = {.set_label = true, .label = "patched"}};
    bool ok = store_write(s, &w, e);
    write_clear(&w);
    return ok;
}

/* Each writer has ids of its own, so it knows what must be there. */
static void *write_on(void *arg)
{
    struct worker *w = arg;
    struct rng r = rng_for(3, w->number, 0);
    for (unsigned step = 0; step < STEPS; step++) {
        struct err e = {0};
        char id[24];
        size_t k = rng_below(&r, IDS);
        unsigned what = (unsigned)rng_below(&r, 4), content = w->number * 1000 + step + 1;
        snprintf(id, sizeof id, "w%u-%zu", w->number, k);
        bool ok = true;
        if (what == 0 && w->content[k]) {
            ok = stores_delete(w->shared->s, id, &e);
            w->content[k] = 0;
        } else if (what == 1 && w->content[k]) {
            ok = patch(w->shared->s, id, &e);
        } else {
            ok = stores_put(
                w->shared->s,
                &(struct stores_image){.id = id, .content = content, .label = "new", .metadata = "{\"n\":1}"}, NULL,
                &e);
            w->content[k] = content;
        }
        if (!ok)
            complain(w->shared, id, &e);
        if (w->content[k] && !stores_finds(w->shared->s, w->content[k], id)) /* at once, by whoever wrote it */
            complain(w->shared, "not found after its answer", NULL);
    }
    return NULL;
}

static void search_once(struct shared *x, const struct filter *f, unsigned content)
{
    struct err e = {0};
    struct hits hits = {0};
    float q[STORES_DIMENSIONS];
    stores_vector(content, q);
    struct view *v = store_view(x->s, "default", 0, &e);
    if (!v || !view_search(v, &(struct search){.vector = q, .limit = 5, .filter = f}, &hits, &e))
        complain(x, "search", &e);
    for (size_t i = 1; i < hits.n; i++)
        if (!(hits.items[i - 1].score >= hits.items[i].score))
            complain(x, "out of order", NULL);
    hits_clear(&hits);
    view_release(v);
}

static void list_once(struct shared *x)
{
    struct err e = {0};
    struct image_row *rows = NULL;
    size_t n = 0;
    bool more;
    if (!store_images(x->s, "default", &(struct image_page){.limit = 20}, &rows, &n, &more, &e))
        complain(x, "list", &e);
    for (size_t i = 0; i < n; i++)
        image_row_clear(&rows[i]);
    free(rows);
}

static void *read_on(void *arg)
{
    struct worker *w = arg;
    struct shared *x = w->shared;
    struct err e = {0};
    struct store_stats stats;
    static const char text[] = "{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"new\"}}]}";
    struct json *doc = json_parse(text, sizeof text - 1, 0, &e);
    struct filter *f = filter_parse(doc, "filter", &e);
    for (unsigned i = 0; !__atomic_load_n(&x->stop, __ATOMIC_SEQ_CST); i++) {
        search_once(x, i % 2 ? f : NULL, i);
        list_once(x);
        store_get_stats(x->s, &stats);
        __atomic_fetch_add(&x->searches, 1, __ATOMIC_SEQ_CST);
    }
    filter_free(f);
    json_free(doc);
    return NULL;
}

static void check_all(struct shared *x, const struct worker *writers)
{
    for (size_t i = 0; i < WRITERS; i++)
        for (size_t k = 0; k < IDS; k++) {
            struct image_row row;
            char id[24];
            snprintf(id, sizeof id, "w%zu-%zu", i, k);
            bool there = store_image(x->s, "default", id, &row, NULL);
            if (there)
                image_row_clear(&row);
            unsigned content = writers[i].content[k];
            assert_int_equal(there, content != 0);
            assert_true(!there || stores_finds(x->s, content, id));
        }
}

static void writers_and_readers_at_once_see_whole_images_and_lose_none(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct err e = {0};
    struct shared x = {.s = stores_open(dir, &e)};
    struct worker writers[WRITERS] = {0}, readers[READERS] = {0};
    struct write backup = {.kind = WRITE_BACKUP};
    assert_ok(x.s && stores_create(x.s, "default", &e), e);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct worker){.shared = &x, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct worker){.shared = &x, .number = i};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    assert_ok(store_write(x.s, &backup, &e), e);
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    __atomic_store_n(&x.stop, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    assert_int_equal(x.errors, 0);
    assert_true(x.searches > READERS);
    check_all(&x, writers);
    assert_ok(stores_check(x.s, dir, &e), e);
    store_close(x.s);
    x.s = stores_open(dir, &e);
    assert_non_null(x.s);
    check_all(&x, writers);
    store_close(x.s);
    t_remove_dir(dir);
}

static void writes_that_wait_together_share_their_commits(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct err e = {0};
    struct store_stats stats;
    struct shared x = {.s = stores_open(dir, &e)};
    struct worker writers[WRITERS] = {0};
    assert_ok(x.s && stores_create(x.s, "default", &e), e);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct worker){.shared = &x, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    store_get_stats(x.s, &stats);
    print_message("%lld writes in %lld groups\n", (long long)stats.writes, (long long)stats.groups);
    assert_int_equal(stats.writes, WRITERS * STEPS + 2); /* and a model with a collection */
    assert_true(stats.groups * 4 < stats.writes * 3);
    store_close(x.s);
    t_remove_dir(dir);
}

static void the_log_of_the_catalogue_stays_small_while_much_is_written(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct err e = {0};
    struct store_stats stats;
    struct store *s = stores_open(dir, &e);
    int64_t most = 0;
    assert_ok(s && stores_create(s, "default", &e), e);
    for (unsigned i = 0; i < 1500; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i);
        assert_ok(stores_put(s, &(struct stores_image){.id = id, .content = i}, NULL, &e), e);
        store_get_stats(s, &stats);
        most = stats.wal_bytes > most ? stats.wal_bytes : most;
    }
    assert_true(most > 16 << 20); /* or this shows nothing */
    assert_true(most < 40 << 20);
    assert_true(t_wait(2, (store_get_stats(s, &stats), stats.wal_bytes == 0))); /* a pause empties it */
    store_close(s);
    t_remove_dir(dir);
}

/* ---- one version ---- */

enum { CHANGES = 400, CHANGING = 4 };

/* Label, metadata and content change together, sometimes by a patch: what a hit shows must be of one time. */
static void *change_on(void *arg)
{
    struct shared *x = arg;
    unsigned content[CHANGING] = {0};
    for (unsigned step = 0; step < CHANGES; step++) {
        struct err e = {0};
        unsigned k = step % CHANGING;
        const char *label = step / CHANGING % 2 ? "aa" : "bb";
        char id[16], metadata[64];
        bool puts = step < CHANGING || step % 3 == 0;
        content[k] = puts ? step : content[k];
        snprintf(id, sizeof id, "i%u", k);
        snprintf(metadata, sizeof metadata, "{\"l\":\"%s\",\"c\":%u}", label, content[k]);
        struct json *doc = json_parse(metadata, strlen(metadata), 0, &e);
        struct write w = {.kind = WRITE_IMAGE_PATCH,
                          .collection = "default",
                          .image.id = id,
                          .image.patch = {.set_label = true, .label = label, .metadata = doc}};
        if (!(puts ? stores_put(x->s,
                                &(struct stores_image){.id = id, .content = step, .label = label, .metadata = metadata},
                                NULL, &e)
                   : store_write(x->s, &w, &e)))
            complain(x, "change", &e);
        write_clear(&w);
        json_free(doc);
    }
    __atomic_store_n(&x->stop, true, __ATOMIC_SEQ_CST);
    return NULL;
}

static void check_version(struct shared *x, const struct hit *h, const float *q, const char *wanted)
{
    char label[8] = "";
    unsigned content = 0;
    float v[STORES_DIMENSIONS];
    double score = 0;
    if (sscanf(h->metadata ? h->metadata : "", "{\"l\":\"%2[ab]\",\"c\":%u}", label, &content) != 2 || !h->label ||
        strcmp(label, h->label) != 0)
        complain(x, "label and metadata are of two versions", NULL);
    if (wanted && strcmp(label, wanted) != 0)
        complain(x, "a hit does not match its filter", NULL);
    stores_vector(content, v);
    for (size_t i = 0; i < STORES_DIMENSIONS; i++)
        score += (double)q[i] * (double)v[i];
    if (fabs(score - (double)h->score) > 1e-5 || memcmp(h->vector, v, sizeof v) != 0)
        complain(x, "score and metadata are of two versions", NULL);
}

static void what_a_hit_shows_is_of_one_version_that_matches_the_filter(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct err e = {0};
    struct shared x = {.s = stores_open(dir, &e)};
    static const char text[] = "{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"aa\"}}]}";
    struct json *doc = json_parse(text, sizeof text - 1, 0, &e);
    struct filter *f = filter_parse(doc, "filter", &e);
    pthread_t changer;
    float q[STORES_DIMENSIONS];
    size_t hits_seen = 0;
    assert_ok(x.s && f && stores_create(x.s, "default", &e), e);
    assert_int_equal(pthread_create(&changer, NULL, change_on, &x), 0);
    for (unsigned i = 0; !__atomic_load_n(&x.stop, __ATOMIC_SEQ_CST); i++) {
        struct hits hits = {0};
        bool filtered = i % 2;
        struct view *v = store_view(x.s, "default", 0, &e);
        stores_vector(i, q);
        struct search s = {.vector = q, .limit = 10, .filter = filtered ? f : NULL, .with_vector = true};
        assert_ok(v && view_search(v, &s, &hits, &e), e);
        for (size_t k = 0; k < hits.n; k++)
            check_version(&x, &hits.items[k], q, filtered ? "aa" : NULL);
        hits_seen += hits.n;
        hits_clear(&hits);
        view_release(v);
    }
    pthread_join(changer, NULL);
    assert_true(hits_seen > 100);
    assert_int_equal(x.errors, 0);
    filter_free(f);
    json_free(doc);
    store_close(x.s);
    t_remove_dir(dir);
}

int main(void)
{
    json_init();
    log_set_level(LOG_WARN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_and_readers_at_once_see_whole_images_and_lose_none),
        cmocka_unit_test(what_a_hit_shows_is_of_one_version_that_matches_the_filter),
        cmocka_unit_test(writes_that_wait_together_share_their_commits),
        cmocka_unit_test(the_log_of_the_catalogue_stays_small_while_much_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
