/* test_damage.c - what a disk does to files that were stored well: damaged and lost image files, and how they heal. */
#include "tests/t.h"

#include <pthread.h>
#include <sqlite3.h>

#include "index/apply.h"
#include "index/generation.h"
#include "index/publish.h"
#include "index/store_parts.h"
#include "tests/lib/damage.h"
#include "tests/lib/stores.h"

struct fixture {
    char *dir;
    struct store *s;
};

static int open_store(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};
    f->dir = t_make_dir();
    f->s = stores_open(f->dir, &e);
    *state = f;
    return f->s && stores_create(f->s, "default", &e) && stores_create(f->s, "other", &e) ? 0 : -1;
}

static int close_store(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    t_remove_dir(f->dir);
    free(f);
    return 0;
}

static void put_into(struct fixture *f, const char *collection, const char *id, unsigned content)
{
    struct err e = {0};
    assert_ok(
        stores_put(f->s, &(struct stores_image){.collection = collection, .id = id, .content = content}, NULL, &e), e);
}

/* Whether the image's bytes can be read. */
static enum err_code reads(struct fixture *f, const char *collection, const char *id)
{
    struct err e = {0};
    struct image_row row;
    void *bytes;
    size_t len;
    assert_ok(store_image(f->s, collection, id, &row, &e), e);
    if (store_content(f->s, &row, &bytes, &len, &e))
        free(bytes);
    image_row_clear(&row);
    return e.code;
}

static void path_of(struct fixture *f, const char *id, char out[400])
{
    struct image_row row;
    struct err e = {0};
    assert_ok(store_image(f->s, "default", id, &row, &e), e);
    snprintf(out, 400, "%s/blobs/%.2s/%s", f->dir, row.sha256, row.sha256);
    image_row_clear(&row);
}

static void a_picture_put_again_heals_its_damaged_file(void **state)
{
    struct fixture *f = *state;
    char path[400];
    put_into(f, "default", "a", 1);
    path_of(f, "a", path);
    damage_bit(path, 100);
    assert_int_equal(reads(f, "default", "a"), ERR_CORRUPT);
    put_into(f, "default", "a", 1);
    assert_int_equal(reads(f, "default", "a"), ERR_NONE);
}

static void a_new_id_of_the_same_bytes_heals_the_file_for_all_that_share_it(void **state)
{
    struct fixture *f = *state;
    char path[400];
    put_into(f, "default", "a", 1);
    path_of(f, "a", path);
    damage_bit(path, 0);
    put_into(f, "other", "b", 1);
    assert_int_equal(reads(f, "other", "b"), ERR_NONE);
    assert_int_equal(reads(f, "default", "a"), ERR_NONE);
    assert_int_equal(stores_count_files(f->dir), 1);
}

static void a_file_that_is_too_long_too_short_or_gone_heals_too(void **state)
{
    struct fixture *f = *state;
    char path[400];
    put_into(f, "default", "a", 1);
    path_of(f, "a", path);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(i == 2 ? unlink(path) : truncate(path, i == 0 ? 5000 : 10), 0);
        assert_int_not_equal(reads(f, "default", "a"), ERR_NONE);
        put_into(f, "default", "a", 1);
        assert_int_equal(reads(f, "default", "a"), ERR_NONE);
    }
}

static void a_whole_file_is_not_written_again(void **state)
{
    struct fixture *f = *state;
    struct store_stats before, after;
    put_into(f, "default", "a", 1);
    store_get_stats(f->s, &before);
    put_into(f, "default", "a", 1);
    put_into(f, "other", "b", 1);
    store_get_stats(f->s, &after);
    assert_int_equal(after.blobs_written, before.blobs_written);
}

/* ---- a file that goes and comes while it is read ---- */

enum { HOGS = 40 };

struct held { /* all reading sessions are taken, so whoever asks the catalogue waits */
    struct store *s;
    bool let_go; /* atomic */
    const struct image_row *row;
    struct err err;
};

static void *hold_session(void *arg)
{
    struct held *x = arg;
    struct session *session = catalog_reader(x->s->catalog, NULL);
    while (!__atomic_load_n(&x->let_go, __ATOMIC_SEQ_CST))
        usleep(1000);
    catalog_reader_done(x->s->catalog, session);
    return NULL;
}

static void *read_content(void *arg)
{
    struct held *x = arg;
    void *bytes = NULL;
    size_t len;
    if (store_content(x->s, x->row, &bytes, &len, &x->err))
        free(bytes);
    return NULL;
}

static void content_that_is_deleted_and_stored_again_meanwhile_is_never_called_missing(void **state)
{
    struct fixture *f = *state;
    struct image_row row;
    struct err e = {0};
    pthread_t hogs[HOGS], reader;
    put_into(f, "default", "a", 1);
    assert_ok(store_image(f->s, "default", "a", &row, &e), e);
    struct held x = {.s = f->s, .row = &row};
    for (size_t i = 0; i < HOGS; i++)
        assert_int_equal(pthread_create(&hogs[i], NULL, hold_session, &x), 0);
    usleep(20000);
    assert_ok(stores_delete(f->s, "a", &e), e);
    assert_int_equal(pthread_create(&reader, NULL, read_content, &x), 0); /* the file is gone; who names it? */
    usleep(50000);
    put_into(f, "default", "a", 1);
    __atomic_store_n(&x.let_go, true, __ATOMIC_SEQ_CST);
    pthread_join(reader, NULL);
    for (size_t i = 0; i < HOGS; i++)
        pthread_join(hogs[i], NULL);
    assert_ok(x.err.code == ERR_NONE, x.err);
    image_row_clear(&row);
}

/* ---- a switch whose index was given up ---- */

static void start_generation(struct fixture *f, struct generation_row *row)
{
    struct err e = {0};
    struct write model = {.kind = WRITE_MODEL_ADD,
                          .model.row = {.id = "next", .arch = "x", .dimensions = STORES_DIMENSIONS}};
    struct write w = {.kind = WRITE_GENERATION_START,
                      .collection = "default",
                      .generation.row = {.model = "next", .precision = "fp32", .dimensions = STORES_DIMENSIONS}};
    hash_text("next", 4, model.model.row.fingerprint);
    memcpy(w.generation.row.fingerprint, model.model.row.fingerprint, HASH_HEX);
    assert_ok(store_write(f->s, &model, &e), e);
    assert_ok(store_write(f->s, &w, &e), e);
    *row = w.generation.row;
}

static void a_switch_whose_index_was_lost_loads_it_again(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row image;
    struct generation_row next;
    struct collection_row row;
    float value[STORES_DIMENSIONS];
    put_into(f, "default", "a", 1);
    assert_ok(store_image(f->s, "default", "a", &image, &e), e);
    start_generation(f, &next);
    stores_vector(99, value);
    const struct generation_vector v = {.image = image.number, .revision = image.revision, .value = value};
    struct write w = {
        .kind = WRITE_GENERATION_VECTORS, .generation.row = next, .generation.vectors = &v, .generation.n_vectors = 1};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_ok(store_collection(f->s, "default", &row, &e), e);

    /* as if a vector before it in the group could not be read: nothing else is under way, so this thread may publish */
    row.generation = next.number;
    memcpy(row.model, "next", 5);
    struct write switched = {.kind = WRITE_GENERATION_SWITCH, .generation.active = row};
    struct group g = {.store = f->s, .session = catalog_writer(f->s->catalog)};
    add_effect(&g, EFFECT_SWITCH, &switched)->collection = row.number;
    shelf_drop_next(f->s->shelf, row.number);
    assert_ok(publish_effects(&g, &e), e);
    free(g.effects);
    assert_true(stores_finds(f->s, 99, "a"));
    image_row_clear(&image);
}

/* ---- vectors ---- */

static void close_and(struct fixture *f, const char *sql)
{
    char path[400], *why = NULL;
    sqlite3 *db;
    store_close(f->s);
    f->s = NULL;
    snprintf(path, sizeof path, "%s/anchord.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

static void open_again(struct fixture *f)
{
    struct err e = {0};
    f->s = stores_open(f->dir, &e);
    if (!f->s)
        fail_msg("reopening: %s", e.text);
}

static int64_t ask_number(struct fixture *f, const char *sql)
{
    char path[400];
    sqlite3 *db;
    sqlite3_stmt *st;
    snprintf(path, sizeof path, "%s/anchord.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

/* The last byte of component 0 of image `a` becomes this: sign and the high bits of the exponent. */
#define SET_BYTE(byte)                                                                                                 \
    "UPDATE vector SET value = CAST(substr(value, 1, 3) || x'" byte "' || substr(value, 5) AS BLOB)"                   \
    " WHERE image = (SELECT number FROM image WHERE id = 'a')"

static size_t count_lacking(struct fixture *f, struct generation_row *row)
{
    struct generation_row *rows;
    size_t n;
    struct err e = {0};
    assert_ok(generation_lacking(f->s, &rows, &n, &e), e);
    if (n > 0)
        *row = rows[0];
    free(rows);
    return n;
}

/* Image `a` is found by nobody, wanted by whoever embeds, and back once it has its vector. */
static void assert_mended(struct fixture *f)
{
    struct err e = {0};
    struct generation_row row;
    struct pending *items;
    float value[STORES_DIMENSIONS];
    size_t n;
    assert_false(stores_finds(f->s, 1, "a"));
    assert_true(stores_finds(f->s, 2, "b"));
    assert_int_equal(count_lacking(f, &row), 1);
    assert_ok(generation_pending(f->s, &row, 0, 0, 10, &items, &n, &e), e);
    assert_int_equal(n, 1);
    assert_string_equal(items[0].id, "a");
    stores_vector(1, value);
    const struct generation_vector v = {.image = items[0].number, .revision = items[0].revision, .value = value};
    struct write w = {
        .kind = WRITE_GENERATION_VECTORS, .generation.row = row, .generation.vectors = &v, .generation.n_vectors = 1};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_true(stores_finds(f->s, 1, "a"));
    generation_set_whole(f->s, &row);
    assert_int_equal(count_lacking(f, &row), 0);
    pending_free(items, n);
}

static void put_two(struct fixture *f)
{
    put_into(f, "default", "a", 1);
    put_into(f, "default", "b", 2);
}

static void a_damaged_vector_is_not_searched_and_made_again(void **state)
{
    struct fixture *f = *state;
    static const char *const damages[] = {
        SET_BYTE("7e"), SET_BYTE("ff"), SET_BYTE("00"),
        "UPDATE vector SET value = substr(value, 1, 60) WHERE image = (SELECT number FROM image WHERE id = 'a')",
        "UPDATE vector SET checksum = checksum + 1 WHERE image = (SELECT number FROM image WHERE id = 'a')"};
    put_two(f);
    for (size_t i = 0; i < COUNT(damages); i++) {
        close_and(f, damages[i]);
        open_again(f);
        assert_mended(f);
    }
    store_close(f->s);
    open_again(f);
    assert_true(stores_finds(f->s, 1, "a"));
}

static void the_vector_of_another_image_is_noticed(void **state)
{
    struct fixture *f = *state;
    put_two(f);
    close_and(f, "UPDATE vector SET (value, checksum) = (SELECT v.value, v.checksum FROM vector v WHERE v.image ="
                 " (SELECT number FROM image WHERE id = 'b')) WHERE image = (SELECT number FROM image WHERE id = 'a')");
    open_again(f);
    assert_mended(f);
}

static void vectors_of_before_checksums_are_looked_at_and_get_theirs(void **state)
{
    struct fixture *f = *state;
    put_two(f);
    close_and(f, SET_BYTE("7e") "; UPDATE vector SET checksum = NULL");
    open_again(f);
    assert_mended(f);
    assert_true(t_wait(10, ask_number(f, "SELECT count(*) FROM vector WHERE checksum IS NULL") == 0));
    store_close(f->s);
    open_again(f);
    assert_true(stores_finds(f->s, 1, "a"));
    assert_true(stores_finds(f->s, 2, "b"));
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_picture_put_again_heals_its_damaged_file),
        WITH_STORE(a_new_id_of_the_same_bytes_heals_the_file_for_all_that_share_it),
        WITH_STORE(a_file_that_is_too_long_too_short_or_gone_heals_too),
        WITH_STORE(a_whole_file_is_not_written_again),
        WITH_STORE(content_that_is_deleted_and_stored_again_meanwhile_is_never_called_missing),
        WITH_STORE(a_damaged_vector_is_not_searched_and_made_again),
        WITH_STORE(the_vector_of_another_image_is_noticed),
        WITH_STORE(vectors_of_before_checksums_are_looked_at_and_get_theirs),
        WITH_STORE(a_switch_whose_index_was_lost_loads_it_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
