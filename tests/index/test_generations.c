/* test_generations.c - the change of a collection's generation in the store: complete or not, stale or not, there or back. */
#include "tests/t.h"

#include <stdatomic.h>
#include <sys/stat.h>

#include "base/log.h"
#include "tests/lib/generation_steps.h"
#include "tests/lib/stores.h"

struct fixture {
    char *dir;
    struct store *s;
};

static int open_store(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};
    log_set_level(LOG_ERROR);
    f->dir = t_make_dir();
    f->s = stores_open(f->dir, &e);
    *state = f;
    return f->s && generation_steps_model(f->s, "anchord-base", &e) && generation_steps_model(f->s, "b", &e) &&
                   generation_steps_model(f->s, "c", &e) && stores_create(f->s, "default", &e)
               ? 0
               : -1;
}

static int close_store(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    t_remove_dir(f->dir);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    struct err e = {0};
    store_close(f->s);
    f->s = stores_open(f->dir, &e);
    if (!f->s)
        fail_msg("reopening: %s", e.text);
}

static void put(struct fixture *f, const char *id, unsigned content)
{
    struct err e = {0};
    assert_ok(generation_steps_put(f->s, id, content, &e), e);
}

/* i0 ... with contents 1 ... */
static void put_many(struct fixture *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i);
        put(f, id, i + 1);
    }
}

static void delete (struct fixture *f, const char *id)
{
    struct err e = {0};
    assert_ok(stores_delete(f->s, id, &e), e);
}

static struct generation_row start(struct fixture *f, const char *model)
{
    struct generation_row row;
    struct err e = {0};
    assert_ok(generation_steps_start(f->s, model, &row, &e), e);
    return row;
}

static struct generation_row change_to(struct fixture *f, const char *model)
{
    struct generation_row row = start(f, model);
    struct err e = {0};
    assert_ok(generation_steps_complete(f->s, &row, &e), e);
    return row;
}

static int64_t active(struct fixture *f)
{
    struct collection_row c;
    struct err e = {0};
    assert_ok(store_collection(f->s, "default", &c, &e), e);
    return c.generation;
}

/* Of the generation with that number; -1: there is none. */
static int state_of(struct fixture *f, int64_t number, struct generation_row *out)
{
    struct generation_row *rows;
    struct err e = {0};
    size_t n;
    int state = -1;
    assert_ok(generation_list(f->s, "default", &rows, &n, &e), e);
    for (size_t i = 0; i < n; i++)
        if (rows[i].number == number) {
            state = (int)rows[i].state;
            if (out)
                *out = rows[i];
        }
    free(rows);
    return state;
}

static size_t embed(struct fixture *f, const struct generation_row *row, size_t limit)
{
    struct err e = {0};
    size_t made;
    assert_ok(generation_steps_embed(f->s, row, limit, &made, &e), e);
    return made;
}

static int64_t missing_at_switch(struct fixture *f, const struct generation_row *row)
{
    struct err e = {0};
    int64_t missing;
    assert_err(generation_steps_switch(f->s, row->number, &missing, &e), e, ERR_BUSY);
    return missing;
}

static void load(struct fixture *f, const struct generation_row *row)
{
    struct err e = {0};
    assert_ok(generation_steps_load(f->s, row, &e), e);
}

static void switch_to(struct fixture *f, const struct generation_row *row)
{
    struct err e = {0};
    int64_t missing;
    assert_ok(generation_steps_switch(f->s, row->number, &missing, &e), e);
}

static void assert_found(struct fixture *f, const char *id, unsigned content)
{
    if (!generation_steps_finds(f->s, content, id))
        fail_msg("%s is not found by content %u in generation %lld", id, content, (long long)active(f));
}

static void assert_all_found(struct fixture *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i);
        assert_found(f, id, i + 1);
    }
}

/* The image that the active generation finds by a content has this label. */
static void assert_label(struct fixture *f, unsigned content, const char *label)
{
    struct err e = {0};
    struct hits hits = {0};
    float q[STORES_DIMENSIONS];
    struct view *v = store_view(f->s, "default", 0, &e);
    stores_vector(generation_steps_number(active(f), content), q);
    assert_ok(v && view_search(v, &(struct search){.vector = q, .limit = 1}, &hits, &e), e);
    assert_string_equal(hits.items[0].label, label);
    hits_clear(&hits);
    view_release(v);
}

static bool has_segments(struct fixture *f, int generation)
{
    char path[400];
    struct stat st;
    snprintf(path, sizeof path, "%s/segments/%d", f->dir, generation);
    return stat(path, &st) == 0;
}

/* As when a graph of it has been saved, which so few vectors do not have. */
static void make_segments(struct fixture *f, int generation)
{
    char path[400];
    snprintf(path, sizeof path, "%s/segments/%d", f->dir, generation);
    assert_int_equal(mkdir(path, 0700), 0);
}

static size_t vectors_shown(struct fixture *f)
{
    struct err e = {0};
    struct view *v = store_view(f->s, "default", 0, &e);
    size_t n = v ? view_images(v) : 0;
    view_release(v);
    return n;
}

/* ---- the switch ---- */

static void a_switch_demands_that_every_image_has_its_vector(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    int64_t missing;
    put_many(f, 10);
    struct generation_row row = start(f, "b");
    assert_int_equal(row.number, 2);
    assert_err(generation_steps_switch(f->s, 2, &missing, &e), e, ERR_CONFLICT); /* its index is not loaded */
    load(f, &row);
    assert_int_equal(missing_at_switch(f, &row), 10);
    assert_int_equal(embed(f, &row, 9), 9);
    assert_int_equal(missing_at_switch(f, &row), 1);
    assert_int_equal(active(f), 1);
    assert_all_found(f, 10);
    assert_int_equal(state_of(f, 2, &row), GENERATION_BUILDING);
    assert_int_equal(row.done, 9);
    assert_int_equal(row.total, 10);
    assert_int_equal(embed(f, &row, 100), 1);
    switch_to(f, &row);
    assert_int_equal(active(f), 2);
    assert_all_found(f, 10);
    assert_int_equal(vectors_shown(f), 10);
    assert_int_equal(state_of(f, 1, NULL), GENERATION_RETIRED);
    assert_int_equal(state_of(f, 2, NULL), GENERATION_ACTIVE);
    reopen(f);
    assert_int_equal(active(f), 2);
    assert_all_found(f, 10);
    assert_ok(stores_check(f->s, f->dir, &e), e);
    put(f, "new", 77);
    assert_found(f, "new", 77);
}

static void the_collection_tells_the_new_model(void **state)
{
    struct fixture *f = *state;
    struct collection_row c;
    struct err e = {0};
    put_many(f, 3);
    assert_ok(store_collection(f->s, "default", &c, &e), e);
    assert_false(c.building);
    struct generation_row row = start(f, "b");
    assert_ok(store_collection(f->s, "default", &c, &e), e);
    assert_true(c.building);
    reopen(f);
    assert_ok(store_collection(f->s, "default", &c, &e), e);
    assert_true(c.building);
    assert_ok(generation_steps_complete(f->s, &row, &e), e);
    assert_ok(store_collection(f->s, "default", &c, &e), e);
    assert_false(c.building);
    assert_string_equal(c.model, "b");
    assert_string_equal(c.fingerprint, row.fingerprint);
    assert_int_equal(c.images, 3);
    assert_int_equal(c.generation, 2);
}

static void a_view_goes_on_in_the_generation_it_began_with(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct hits hits = {0};
    float q[STORES_DIMENSIONS];
    put_many(f, 5);
    struct view *before = store_view(f->s, "default", 0, &e);
    change_to(f, "b");
    put(f, "i2", 50);
    stores_vector(3, q);
    assert_ok(view_search(before, &(struct search){.vector = q, .limit = 5}, &hits, &e), e);
    assert_int_equal(view_generation(before), 1);
    assert_string_equal(view_model(before), "anchord-base");
    assert_int_equal(hits.n, 5);
    assert_string_equal(hits.items[0].id, "i2");
    assert_true(hits.items[0].score > 0.9999f);
    hits_clear(&hits);
    view_release(before);
    assert_null(store_view(f->s, "default", 1, &e));
    assert_int_equal(e.code, ERR_PRECONDITION);
    struct view *pinned = store_view(f->s, "default", 2, &e);
    assert_non_null(pinned);
    view_release(pinned);
}

static void a_put_with_a_vector_of_the_old_generation_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct stores_put p;
    struct image_row row;
    put_many(f, 3);
    stores_fill(&p, f->s, &(struct stores_image){.id = "late", .content = 9});
    change_to(f, "b");
    assert_err(store_write(f->s, &p.write, &e), e, ERR_STALE);
    stores_put_clear(&p);
    assert_err(store_image(f->s, "default", "late", &row, &e), e, ERR_NOT_FOUND);
    assert_int_equal(stores_count_files(f->dir), 3);
}

/* ---- stale ---- */

static void a_vector_of_another_revision_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row a, b;
    float v[STORES_DIMENSIONS];
    bool stored;
    put_many(f, 2);
    struct generation_row row = start(f, "b");
    load(f, &row);
    assert_ok(store_image(f->s, "default", "i0", &a, &e), e);
    assert_ok(store_image(f->s, "default", "i1", &b, &e), e);
    stores_vector(generation_steps_number(2, 1), v);
    put(f, "i0", 40);
    assert_ok(generation_steps_vector(f->s, 2, a.number, a.revision, v, &stored, &e), e);
    assert_false(stored);
    delete (f, "i1");
    assert_ok(generation_steps_vector(f->s, 2, b.number, b.revision, v, &stored, &e), e);
    assert_false(stored);
    assert_int_equal(missing_at_switch(f, &row), 1);
    assert_int_equal(embed(f, &row, 10), 1);
    switch_to(f, &row);
    assert_found(f, "i0", 40);
    assert_int_equal(vectors_shown(f), 1);
    image_row_clear(&a);
    image_row_clear(&b);
}

static void what_changes_while_it_is_built_is_right_after_the_switch(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    put_many(f, 6);
    struct generation_row row = start(f, "b");
    load(f, &row);
    assert_int_equal(embed(f, &row, 4), 4);
    put(f, "i0", 60); /* had its vector */
    put(f, "i5", 65); /* had none */
    delete (f, "i1");
    delete (f, "i4");
    struct write patch = {.kind = WRITE_IMAGE_PATCH,
                          .collection = "default",
                          .image.id = "i2",
                          .image.patch = {.set_label = true, .label = "patched"}};
    assert_ok(store_write(f->s, &patch, &e), e); /* the vector of before holds */
    write_clear(&patch);
    put(f, "new", 70);
    assert_int_equal(missing_at_switch(f, &row), 3);
    assert_int_equal(embed(f, &row, 10), 3);
    switch_to(f, &row);
    for (int again = 0; again < 2; again++) {
        assert_found(f, "i0", 60);
        assert_found(f, "i2", 3);
        assert_found(f, "i3", 4);
        assert_found(f, "i5", 65);
        assert_found(f, "new", 70);
        assert_int_equal(vectors_shown(f), 5);
        assert_label(f, 3, "patched");
        reopen(f); /* the index from the catalogue shows the same */
    }
}

/* ---- puts that wait for the switch ---- */

struct late {
    struct stores_put put;
    atomic_bool done;
};

static void late_done(struct write *w)
{
    struct late *late = w->user;
    atomic_store(&late->done, true);
}

static void put_late(struct fixture *f, struct late *late, const char *id)
{
    struct err e = {0};
    struct write *w = &late->put.write;
    stores_fill(&late->put, f->s, &(struct stores_image){.id = id, .content = 8});
    w->done = late_done;
    w->user = late;
    atomic_store(&late->done, false);
    assert_ok(store_submit(f->s, &w, 1, &e), e);
}

/* Or there would always be something missing. */
static void puts_wait_while_a_switch_lacks_little(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct late late;
    put_many(f, 5);
    assert_ok(stores_create(f->s, "other", &e), e);
    struct generation_row row = start(f, "b");
    load(f, &row);
    embed(f, &row, 4);
    assert_int_equal(missing_at_switch(f, &row), 1);
    put_late(f, &late, "late");
    usleep(200000);
    assert_false(atomic_load(&late.done));
    delete (f, "i0"); /* what lacks nothing need not wait */
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "x", .content = 1, .collection = "other"}, NULL, &e), e);
    assert_false(atomic_load(&late.done));
    assert_int_equal(embed(f, &row, 10), 1);
    switch_to(f, &row);
    assert_true(t_wait(2, atomic_load(&late.done)));
    assert_int_equal(late.put.write.err.code, ERR_STALE); /* it has a vector of the old one */
    stores_put_clear(&late.put);
}

static void they_do_not_wait_for_ever(void **state)
{
    struct fixture *f = *state;
    struct late late;
    put_many(f, 5);
    struct generation_row row = start(f, "b");
    load(f, &row);
    embed(f, &row, 4);
    assert_int_equal(missing_at_switch(f, &row), 1);
    put_late(f, &late, "late");
    assert_true(t_wait(8, atomic_load(&late.done)));
    assert_int_equal(late.put.write.err.code, ERR_NONE);
    stores_put_clear(&late.put);
    assert_found(f, "late", 8);
    assert_int_equal(missing_at_switch(f, &row), 2);
    put_late(f, &late, "last"); /* held when the store is closed */
    store_close(f->s);
    assert_true(atomic_load(&late.done));
    assert_int_equal(late.put.write.err.code, ERR_NONE);
    stores_put_clear(&late.put);
    struct err e = {0};
    f->s = stores_open(f->dir, &e);
    assert_int_equal(vectors_shown(f), 7);
}

/* ---- roll-back ---- */

static void after_a_roll_back_every_image_uploaded_since_is_found(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    put_many(f, 5);
    change_to(f, "b");
    put(f, "since", 30);
    put(f, "i1", 31);
    delete (f, "i2");
    assert_ok(generation_steps_return(f->s, 0, &row, &e), e);
    assert_int_equal(row.number, 1);
    load(f, &row);
    assert_int_equal(missing_at_switch(f, &row), 2);
    assert_int_equal(active(f), 2);
    assert_int_equal(embed(f, &row, 10), 2);
    switch_to(f, &row);
    assert_int_equal(active(f), 1);
    assert_found(f, "since", 30);
    assert_found(f, "i1", 31);
    assert_found(f, "i0", 1);
    assert_int_equal(vectors_shown(f), 5);
    assert_ok(generation_steps_return(f->s, 0, &row, &e), e); /* and there again */
    assert_int_equal(row.number, 2);
    assert_ok(generation_steps_complete(f->s, &row, &e), e);
    assert_int_equal(active(f), 2);
    assert_found(f, "since", 30);
}

static void there_must_be_something_to_go_back_to(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    put_many(f, 2);
    assert_err(generation_steps_return(f->s, 0, &row, &e), e, ERR_CONFLICT);
    assert_err(generation_steps_return(f->s, 1, &row, &e), e, ERR_CONFLICT); /* is active */
    assert_err(generation_steps_return(f->s, 99, &row, &e), e, ERR_NOT_FOUND);
    change_to(f, "b");
    assert_ok(stores_create(f->s, "other", &e), e);
    assert_err(generation_steps_return(f->s, 3, &row, &e), e, ERR_NOT_FOUND); /* of the other collection */
}

/* ---- one at a time, and giving up ---- */

static void one_change_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row, again;
    put_many(f, 2);
    assert_err(generation_steps_start(f->s, "anchord-base", &row, &e), e, ERR_CONFLICT);
    assert_err(generation_steps_start(f->s, "nobody", &row, &e), e, ERR_STALE);
    row = start(f, "b");
    again = start(f, "b"); /* the same is fine */
    assert_int_equal(again.number, row.number);
    assert_err(generation_steps_start(f->s, "c", &row, &e), e, ERR_CONFLICT);
    assert_err(generation_steps_return(f->s, 0, &row, &e), e, ERR_CONFLICT);
    assert_ok(generation_steps_cancel(f->s, &e), e);
    assert_err(generation_steps_cancel(f->s, &e), e, ERR_NOT_FOUND);
    assert_int_equal(start(f, "c").number, 3); /* never the same number again */
}

static void a_cancelled_one_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    struct image_row image;
    float v[STORES_DIMENSIONS] = {1};
    bool stored;
    put_many(f, 3);
    row = start(f, "b");
    load(f, &row);
    embed(f, &row, 2);
    make_segments(f, 2);
    assert_ok(generation_steps_cancel(f->s, &e), e);
    assert_int_equal(state_of(f, 2, NULL), -1);
    assert_ok(store_image(f->s, "default", "i2", &image, &e), e);
    assert_err(generation_steps_vector(f->s, 2, image.number, image.revision, v, &stored, &e), e, ERR_NOT_FOUND);
    image_row_clear(&image);
    reopen(f);
    struct generation_row *rows;
    size_t n;
    assert_ok(generation_list_in(f->s, GENERATION_DROPPED, &rows, &n, &e), e);
    assert_int_equal(n, 1);
    free(rows);
    assert_ok(generation_steps_sweep(f->s, 2, &e), e);
    assert_ok(generation_list_in(f->s, GENERATION_DROPPED, &rows, &n, &e), e);
    assert_int_equal(n, 0);
    free(rows);
    assert_false(has_segments(f, 2));
    assert_all_found(f, 3);
    assert_err(generation_steps_sweep(f->s, 1, &e), e, ERR_NOT_FOUND); /* it is active */
    reopen(f);
    assert_all_found(f, 3);
}

static void a_cancelled_roll_back_can_be_begun_again(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    put_many(f, 3);
    change_to(f, "b");
    assert_ok(generation_steps_return(f->s, 0, &row, &e), e);
    load(f, &row);
    assert_ok(generation_steps_cancel(f->s, &e), e);
    assert_int_equal(state_of(f, 1, NULL), GENERATION_RETIRED);
    put(f, "since", 9);
    assert_ok(generation_steps_return(f->s, 1, &row, &e), e);
    assert_ok(generation_steps_complete(f->s, &row, &e), e);
    assert_int_equal(active(f), 1);
    assert_found(f, "since", 9);
}

static void it_goes_on_where_it_was_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct generation_row row;
    put_many(f, 8);
    row = start(f, "b");
    load(f, &row);
    embed(f, &row, 5);
    reopen(f);
    assert_int_equal(active(f), 1);
    assert_all_found(f, 8);
    load(f, &row);
    assert_int_equal(embed(f, &row, 100), 3);
    switch_to(f, &row);
    assert_all_found(f, 8);
    assert_int_equal(vectors_shown(f), 8);
}

/* ---- unreadable ---- */

static void mark_unreadable(struct fixture *f, int64_t generation, const char *id)
{
    struct err e = {0};
    struct image_row image;
    bool stored;
    assert_ok(store_image(f->s, "default", id, &image, &e), e);
    assert_ok(generation_steps_vector(f->s, generation, image.number, image.revision, NULL, &stored, &e), e);
    assert_true(stored);
    image_row_clear(&image);
}

static void images_that_cannot_be_embedded_do_not_vanish_unasked(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    int64_t missing;
    char id[IMAGE_ID_MAX + 1];
    put_many(f, 4);
    row = start(f, "b");
    load(f, &row);
    mark_unreadable(f, 2, "i1");
    assert_int_equal(embed(f, &row, 10), 3); /* it is not asked for again */
    assert_err(generation_steps_switch(f->s, 2, &missing, &e), e, ERR_UNDECODABLE);
    assert_int_equal(state_of(f, 2, &row), GENERATION_BUILDING);
    assert_int_equal(row.unreadable, 1);
    assert_int_equal(row.done, 4);
    assert_ok(generation_unreadable(f->s, &row, id, &e), e);
    assert_string_equal(id, "i1");
    put(f, "i1", 44); /* uploaded again: it has a new revision, and the mark is stale */
    assert_int_equal(embed(f, &row, 10), 1);
    switch_to(f, &row);
    assert_found(f, "i1", 44);
}

static void they_may_be_skipped(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    put_many(f, 4);
    struct write w = {.kind = WRITE_GENERATION_START,
                      .collection = "default",
                      .generation.row = {
                          .model = "b", .precision = "fp32", .dimensions = STORES_DIMENSIONS, .skip_unreadable = true}};
    hash_text("b", 1, w.generation.row.fingerprint);
    assert_ok(store_write(f->s, &w, &e), e);
    load(f, &w.generation.row);
    embed(f, &w.generation.row, 10);
    put(f, "i1", 40); /* what was made of the picture before must not be found */
    mark_unreadable(f, 2, "i1");
    switch_to(f, &w.generation.row);
    assert_int_equal(vectors_shown(f), 3);
    reopen(f);
    assert_int_equal(vectors_shown(f), 3);
    put(f, "i1", 50);
    assert_found(f, "i1", 50);
    assert_int_equal(vectors_shown(f), 4);
}

static void a_failed_one_tells_why_and_is_gone_after_the_next_switch(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row, shown;
    int64_t donor;
    put_many(f, 4);
    row = start(f, "b");
    load(f, &row);
    embed(f, &row, 2);
    struct write w = {.kind = WRITE_GENERATION_FAIL, .generation.row = {.number = 2, .error = "because"}};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_int_equal(state_of(f, 2, &shown), GENERATION_FAILED);
    assert_string_equal(shown.error, "because");
    row = start(f, "b"); /* what the failed one has need not be made again */
    assert_int_equal(row.number, 3);
    assert_ok(generation_donor(f->s, &row, &donor, &e), e);
    assert_int_equal(donor, 2);
    struct pending *items;
    size_t n, given = 0;
    assert_ok(generation_pending(f->s, &row, donor, 0, 100, &items, &n, &e), e);
    for (size_t i = 0; i < n; i++)
        given += items[i].vector != NULL;
    assert_int_equal(n, 4);
    assert_int_equal(given, 2);
    pending_free(items, n);
    assert_ok(generation_steps_complete(f->s, &row, &e), e);
    assert_int_equal(state_of(f, 2, NULL), -1);
}

/* ---- many ---- */

/* The index is loaded in several steps; what changes between them comes once, as it is by then. */
static void loading_and_changing_at_once(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    put_many(f, 1200);
    change_to(f, "b");
    assert_ok(generation_steps_return(f->s, 0, &row, &e), e);
    struct write w = {.kind = WRITE_GENERATION_LOAD, .generation.row = {.number = 1}};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_int_equal(w.count, 500);
    put(f, "i10", 5000);   /* loaded */
    put(f, "i1100", 5001); /* not yet */
    delete (f, "i20");
    delete (f, "i1110");
    assert_int_equal(embed(f, &row, 100), 2);
    put(f, "new", 5002);
    load(f, &row);
    put(f, "i30", 5003);
    delete (f, "i1120");
    assert_int_equal(missing_at_switch(f, &row), 2);
    assert_int_equal(embed(f, &row, 100), 2);
    switch_to(f, &row);
    assert_int_equal(vectors_shown(f), 1198);
    assert_found(f, "i10", 5000);
    assert_found(f, "i1100", 5001);
    assert_found(f, "new", 5002);
    assert_found(f, "i30", 5003);
    assert_found(f, "i1199", 1200);
    assert_false(generation_steps_finds(f->s, 21, "i20"));
    assert_false(generation_steps_finds(f->s, 1111, "i1110"));
    assert_false(generation_steps_finds(f->s, 1121, "i1120"));
}

/* With a graph that is built in the background, before and after the switch. */
static void a_graph_serves_after_the_switch(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    store_close(f->s);
    f->s = store_open(&(struct store_options){.dir = f->dir,
                                              .min_free_bytes = 1 << 20,
                                              .keep_generations = 1,
                                              .hnsw_from = 200,
                                              .seal_at = 100,
                                              .background = true},
                      &e);
    assert_non_null(f->s);
    put_many(f, 600);
    row = change_to(f, "b");
    assert_all_found(f, 600);
    (void)t_wait(3, !generation_is_indexing(f->s, &row));
    put(f, "i7", 9000);
    delete (f, "i8");
    assert_ok(generation_steps_return(f->s, 0, &row, &e), e);
    assert_ok(generation_steps_complete(f->s, &row, &e), e);
    for (unsigned i = 10; i < 600; i += 7) {
        struct hits hits = {0};
        float q[STORES_DIMENSIONS];
        struct view *v = store_view(f->s, "default", 1, &e);
        stores_vector(i + 1, q);
        assert_ok(view_search(v, &(struct search){.vector = q, .limit = 3, .ef = 200}, &hits, &e), e);
        assert_int_equal(hits.n, 3);
        assert_true(hits.items[0].score > 0.9999f);
        hits_clear(&hits);
        view_release(v);
    }
    assert_found(f, "i7", 9000);
    assert_int_equal(vectors_shown(f), 599);
}

static void a_start_keeps_the_segments_of_what_is_kept(void **state)
{
    struct fixture *f = *state;
    put_many(f, 2);
    change_to(f, "b");
    struct generation_row row = start(f, "c");
    load(f, &row);
    for (int i = 1; i <= 3; i++)
        make_segments(f, i);
    make_segments(f, 99);
    reopen(f);
    assert_true(has_segments(f, 1) && has_segments(f, 2) && has_segments(f, 3));
    assert_false(has_segments(f, 99));
}

static void only_so_many_are_kept(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    put_many(f, 3);
    change_to(f, "b");
    change_to(f, "c");
    assert_int_equal(state_of(f, 1, NULL), -1); /* one is kept for a roll-back */
    assert_int_equal(state_of(f, 2, NULL), GENERATION_RETIRED);
    assert_int_equal(active(f), 3);
    assert_ok(generation_steps_sweep(f->s, 1, &e), e);
    struct write w = {.kind = WRITE_MODEL_DELETE, .model.id = "b"};
    assert_err(store_write(f->s, &w, &e), e, ERR_CONFLICT); /* kept */
    w.model.id = "c";
    assert_err(store_write(f->s, &w, &e), e, ERR_CONFLICT); /* active */
    w.model.id = "anchord-base";
    assert_ok(store_write(f->s, &w, &e), e);
    assert_ok(generation_steps_return(f->s, 0, &row, &e), e);
    assert_ok(generation_steps_complete(f->s, &row, &e), e);
    assert_int_equal(active(f), 2);
    assert_all_found(f, 3);
}

static void a_collection_goes_with_all_its_generations(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row *rows;
    struct generation_row made;
    size_t n;
    assert_ok(stores_create(f->s, "other", &e), e);
    struct write w = {.kind = WRITE_GENERATION_START,
                      .collection = "other",
                      .generation.row = {.model = "b", .precision = "fp32", .dimensions = STORES_DIMENSIONS}};
    hash_text("b", 1, w.generation.row.fingerprint);
    assert_ok(store_write(f->s, &w, &e), e);
    made = w.generation.row;
    load(f, &made);
    w = (struct write){.kind = WRITE_COLLECTION_DELETE, .collection = "other"};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_err(generation_steps_load(f->s, &made, &e), e, ERR_NOT_FOUND);
    assert_ok(generation_list_in(f->s, GENERATION_BUILDING, &rows, &n, &e), e);
    assert_int_equal(n, 0);
    free(rows);
    assert_false(has_segments(f, (int)made.number - 1));
    assert_false(has_segments(f, (int)made.number));
    reopen(f);
}

static void a_backup_holds_what_is_being_built(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct generation_row row;
    char from[400], to[400];
    put_many(f, 6);
    change_to(f, "b");
    row = start(f, "c");
    load(f, &row);
    embed(f, &row, 4);
    snprintf(from, sizeof from, "%s/models", f->dir);
    for (const char *const *id = (const char *const[]){"anchord-base", "b", "c", NULL}; *id; id++) {
        snprintf(to, sizeof to, "%s/%s.safetensors", from, *id);
        FILE *file = fopen(to, "w");
        assert_non_null(file);
        fclose(file);
    }
    struct write w = {.kind = WRITE_BACKUP};
    assert_ok(store_write(f->s, &w, &e), e);
    store_close(f->s);
    snprintf(from, sizeof from, "%s/backups/%s", f->dir, w.backup);
    snprintf(to, sizeof to, "%s/restored", f->dir);
    assert_ok(store_restore(from, to, NULL, &e), e);
    f->s = stores_open(to, &e);
    assert_non_null(f->s);
    assert_int_equal(active(f), 2);
    assert_all_found(f, 6);
    load(f, &row);
    assert_int_equal(embed(f, &row, 100), 2);
    switch_to(f, &row);
    assert_all_found(f, 6);
    assert_ok(generation_steps_return(f->s, 0, &row, &e), e);
    assert_ok(generation_steps_complete(f->s, &row, &e), e);
    assert_int_equal(active(f), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switch_demands_that_every_image_has_its_vector),
        cmocka_unit_test(the_collection_tells_the_new_model),
        cmocka_unit_test(a_view_goes_on_in_the_generation_it_began_with),
        cmocka_unit_test(a_put_with_a_vector_of_the_old_generation_is_refused),
        cmocka_unit_test(a_vector_of_another_revision_is_dropped),
        cmocka_unit_test(what_changes_while_it_is_built_is_right_after_the_switch),
        cmocka_unit_test(puts_wait_while_a_switch_lacks_little),
        cmocka_unit_test(they_do_not_wait_for_ever),
        cmocka_unit_test(after_a_roll_back_every_image_uploaded_since_is_found),
        cmocka_unit_test(there_must_be_something_to_go_back_to),
        cmocka_unit_test(one_change_at_a_time),
        cmocka_unit_test(a_cancelled_one_leaves_nothing),
        cmocka_unit_test(a_cancelled_roll_back_can_be_begun_again),
        cmocka_unit_test(it_goes_on_where_it_was_after_a_restart),
        cmocka_unit_test(images_that_cannot_be_embedded_do_not_vanish_unasked),
        cmocka_unit_test(they_may_be_skipped),
        cmocka_unit_test(a_failed_one_tells_why_and_is_gone_after_the_next_switch),
        cmocka_unit_test(loading_and_changing_at_once),
        cmocka_unit_test(a_graph_serves_after_the_switch),
        cmocka_unit_test(a_start_keeps_the_segments_of_what_is_kept),
        cmocka_unit_test(only_so_many_are_kept),
        cmocka_unit_test(a_collection_goes_with_all_its_generations),
        cmocka_unit_test(a_backup_holds_what_is_being_built),
    };
    return T_RUN_EACH(tests, open_store, close_store);
}
