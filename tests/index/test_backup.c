/* test_backup.c - backups made while the store is written to, and what they become again. */
#include "tests/t.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "index/store.h"
#include "tests/lib/damage.h"
#include "tests/lib/stores.h"

struct fixture {
    char *dir, *other; /* the store's folder; an empty one */
    struct store *s;
};

static int open_store(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};
    log_set_level(LOG_OFF);
    f->dir = t_make_dir();
    f->other = t_make_dir();
    f->s = stores_open(f->dir, &e);
    *state = f;
    return f->s && stores_create(f->s, "default", &e) ? 0 : -1;
}

static int close_store(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    t_remove_dir(f->dir);
    t_remove_dir(f->other);
    free(f);
    return 0;
}

static bool put(struct store *s, unsigned i)
{
    char id[16];
    snprintf(id, sizeof id, "i%u", i);
    return stores_put(s, &(struct stores_image){.id = id, .content = i, .metadata = "{\"k\":1}"}, NULL, NULL);
}

static bool back_up(struct fixture *f, char path[512], struct err *e)
{
    struct write w = {.kind = WRITE_BACKUP};
    bool ok = store_write(f->s, &w, e);
    snprintf(path, 512, "%s/backups/%s", f->dir, w.backup);
    return ok;
}

static void add_model(struct fixture *f, const char *id, const char *bytes, struct err *e)
{
    char path[512];
    struct write w = {.kind = WRITE_MODEL_ADD};
    snprintf(w.model.row.id, sizeof w.model.row.id, "%s", id);
    store_model_path(f->s, id, path, sizeof path);
    if (bytes)
        assert_ok(file_replace(path, bytes, strlen(bytes), e), *e);
    assert_ok(store_write(f->s, &w, e), *e);
}

static void a_backup_becomes_the_same_store_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char path[512], model[512];
    struct backup_row *rows;
    size_t n, len;
    void *bytes;
    for (unsigned i = 0; i < 20; i++)
        assert_true(put(f->s, i));
    assert_true(put(f->s, 3)); /* one replaced */
    add_model(f, "flowers", "weights", &e);
    assert_ok(back_up(f, path, &e), e);
    assert_ok(stores_delete(f->s, "i5", &e), e); /* the backup keeps its own */
    assert_ok(store_backups(f->s, &rows, &n, &e), e);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].images, 20);
    assert_true(rows[0].bytes > 20 * 300);
    free(rows);
    assert_ok(store_restore(path, f->other, NULL, &e), e);
    struct store *s = stores_open(f->other, &e);
    assert_non_null(s);
    assert_ok(stores_check(s, f->other, &e), e);
    assert_true(stores_finds(s, 5, "i5"));
    store_model_path(s, "flowers", model, sizeof model);
    assert_ok(file_read(model, 100, &bytes, &len, &e), e);
    assert_string_equal(bytes, "weights");
    free(bytes);
    assert_true(put(s, 100)); /* and goes on */
    store_close(s);
}

/* Puts ascending ids and deletes some of them, until told to stop; `acknowledged` are stored. */
struct load {
    struct store *s;
    unsigned acknowledged;
    bool stop, failed;
};

static void *write_on(void *arg)
{
    struct load *l = arg;
    for (unsigned i = 0; !__atomic_load_n(&l->stop, __ATOMIC_SEQ_CST) && i < 900; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i - 1);
        l->failed = l->failed || !put(l->s, i) || (i % 3 == 1 && !stores_delete(l->s, id, NULL));
        __atomic_store_n(&l->acknowledged, i, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void a_backup_made_while_writing_holds_all_that_was_acknowledged_before(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char path[512];
    pthread_t thread;
    struct load load = {.s = f->s};
    assert_int_equal(pthread_create(&thread, NULL, write_on, &load), 0);
    while (__atomic_load_n(&load.acknowledged, __ATOMIC_SEQ_CST) < 60)
        usleep(1000);
    unsigned before = __atomic_load_n(&load.acknowledged, __ATOMIC_SEQ_CST);
    assert_ok(back_up(f, path, &e), e);
    unsigned after = __atomic_load_n(&load.acknowledged, __ATOMIC_SEQ_CST);
    __atomic_store_n(&load.stop, true, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    assert_false(load.failed);
    print_message("%u written before the backup, %u while it was made\n", before, after - before);
    assert_true(after > before); /* or this shows nothing */
    assert_ok(stores_check(f->s, NULL, &e), e);
    assert_ok(store_restore(path, f->other, NULL, &e), e);
    struct store *s = stores_open(f->other, &e);
    assert_non_null(s);
    assert_ok(stores_check(s, f->other, &e), e);
    for (unsigned i = 0; i <= before; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i);
        if (i % 3 == 0 && i + 1 <= before)
            assert_false(stores_finds(s, i, id)); /* deleted before */
        else if (i % 3 != 0)
            assert_true(stores_finds(s, i, id));
    }
    store_close(s);
}

static void flip_last_byte(const char *path)
{
    struct err e = {0};
    void *bytes;
    size_t len;
    assert_ok(file_read(path, 1 << 24, &bytes, &len, &e), e);
    ((unsigned char *)bytes)[len - 1] ^= 1;
    assert_ok(file_replace(path, bytes, len, &e), e); /* a new file: the store's own stays as it is */
    free(bytes);
}

static void a_damaged_backup_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row row;
    char path[512], file[700];
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "a", .content = 1}, &row, &e), e);
    add_model(f, "m", "weights", &e);
    const char *parts[] = {"anchord.db", "models/m.safetensors", "backup.json", NULL};
    char blob[128];
    snprintf(blob, sizeof blob, "blobs/%.2s/%s", row.sha256, row.sha256);
    parts[3] = blob;
    for (size_t i = 0; i < COUNT(parts); i++)
        for (int gone = 0; gone < 2; gone++) {
            assert_ok(back_up(f, path, &e), e);
            snprintf(file, sizeof file, "%s/%s", path, parts[i]);
            if (gone)
                assert_int_equal(unlink(file), 0);
            else
                flip_last_byte(file);
            if (store_restore(path, f->other, NULL, &e))
                fail_msg("%s %s was not noticed", parts[i], gone ? "gone" : "damaged");
            e = (struct err){0};
            t_remove_dir(f->other);
            f->other = t_make_dir();
        }
    assert_ok(stores_check(f->s, f->dir, &e), e);
    image_row_clear(&row);
}

/* Replaces the first `old` in a file by `new`, of the same length. */
static void replace_text(const char *path, const char *old, const char *new)
{
    struct err e = {0};
    void *text;
    size_t len;
    assert_ok(file_read(path, 1 << 24, &text, &len, &e), e);
    char *at = strstr(text, old);
    assert_non_null(at);
    memcpy(at, new, strlen(new));
    assert_ok(file_replace(path, text, len, &e), e);
    free(text);
}

static void a_backup_that_contradicts_itself_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char path[512], file[700], old[HASH_HEX], new[HASH_HEX];
    void *bytes;
    size_t len;
    assert_true(put(f->s, 1));
    assert_ok(back_up(f, path, &e), e);
    snprintf(file, sizeof file, "%s/anchord.db", path);
    assert_ok(file_read(file, 1 << 24, &bytes, &len, &e), e);
    hash_text(bytes, len, old);
    free(bytes);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE collection SET images = 2", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_ok(file_read(file, 1 << 24, &bytes, &len, &e), e);
    hash_text(bytes, len, new);
    free(bytes);
    snprintf(file, sizeof file, "%s/backup.json", path);
    replace_text(file, old, new);
    assert_err(store_restore(path, f->other, NULL, &e), e, ERR_CORRUPT);
}

static void a_folder_with_something_in_it_is_not_overwritten(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char path[512];
    assert_ok(back_up(f, path, &e), e);
    assert_err(store_restore(path, f->dir, NULL, &e), e, ERR_BUSY);
    snprintf(path + strlen(path), 16, "/nothing");
    assert_err(store_restore(path, f->other, NULL, &e), e, ERR_NOT_FOUND);
    path[strlen(path) - 8] = 0;
    e = (struct err){0};
    assert_ok(store_restore(path, f->other, NULL, &e), e);
    assert_err(store_restore(path, f->other, NULL, &e), e, ERR_CONFLICT);
}

/* The file of a picture in a folder with blobs/. */
static void blob_path(struct fixture *f, const char *dir, unsigned content, char out[700])
{
    struct stores_put p;
    stores_fill(&p, f->s, &(struct stores_image){.id = "x", .content = content});
    snprintf(out, 700, "%s/blobs/%.2s/%s", dir, p.write.image.put.sha256, p.write.image.put.sha256);
    stores_put_clear(&p);
}

/* Five images, of which one is damaged and one is missing; a model without its file. */
static void make_flaws(struct fixture *f, struct err *e)
{
    char path[700];
    for (unsigned i = 0; i < 5; i++)
        assert_true(put(f->s, i));
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "twin", .content = 1}, NULL, e), *e);
    add_model(f, "lost", NULL, e);
    blob_path(f, f->dir, 1, path);
    damage_bit(path, 7);
    blob_path(f, f->dir, 3, path);
    assert_int_equal(unlink(path), 0);
}

static const struct flaw *find_flaw(const struct flaws *f, const char *id)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->items[i].id, id) == 0)
            return &f->items[i];
    fail_msg("%s is not listed", id);
    return NULL;
}

/* `restored`: what was left out of a backup is missing in it. */
static void assert_flaws(const struct flaws *f, bool restored)
{
    assert_int_equal(f->files, 3);
    assert_int_equal(f->n, 4);
    assert_int_equal(find_flaw(f, "i1")->missing, restored);
    assert_string_equal(find_flaw(f, "twin")->collection, "default");
    assert_true(find_flaw(f, "i3")->missing);
    assert_true(find_flaw(f, "lost")->missing);
    assert_string_equal(find_flaw(f, "lost")->collection, "");
}

static void a_backup_names_what_was_damaged_or_missing_and_holds_the_rest(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct backup_row row;
    struct image_row image;
    struct flaws skipped = {0};
    char path[512], file[700];
    make_flaws(f, &e);
    assert_ok(back_up(f, path, &e), e);
    assert_ok(store_backup(f->s, strrchr(path, '/') + 1, &row, &e), e);
    assert_int_equal(row.images, 6);
    assert_flaws(&row.left_out, false);
    backup_row_clear(&row);
    blob_path(f, path, 1, file);
    assert_int_equal(access(file, F_OK), -1);

    assert_err(store_restore(path, f->other, NULL, &e), e, ERR_NOT_FOUND);
    e = (struct err){0};
    assert_ok(store_restore(path, f->other, &skipped, &e), e);
    assert_flaws(&skipped, true);
    flaws_clear(&skipped);
    struct store *s = stores_open(f->other, &e);
    assert_non_null(s);
    assert_ok(stores_check(s, f->other, &e), e);
    assert_true(stores_finds(s, 4, "i4"));
    assert_false(stores_finds(s, 1, "i1"));
    assert_err(store_image(s, "default", "twin", &image, &e), e, ERR_NOT_FOUND);
    assert_true(put(s, 1));
    store_close(s);
}

/* Nothing but the lock. */
static size_t count_entries(const char *dir)
{
    char line[600];
    snprintf(line, sizeof line, "test \"$(ls -A '%s')\" = lock", dir);
    return (size_t)system(line);
}

static void a_restore_that_fails_leaves_nothing_half_filled(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char path[512], file[700];
    for (unsigned i = 0; i < 5; i++)
        assert_true(put(f->s, i));
    assert_ok(back_up(f, path, &e), e);
    blob_path(f, path, 3, file);
    damage_bit(file, 0);
    assert_err(store_restore(path, f->other, NULL, &e), e, ERR_CORRUPT);
    assert_int_equal(count_entries(f->other), 0);
    damage_bit(file, 0);

    /* nor does one that was killed keep the next from it */
    snprintf(file, sizeof file, "%s/restoring.tmp", f->other);
    assert_int_equal(mkdir(file, 0700), 0);
    snprintf(file, sizeof file, "%s/blobs", f->other);
    assert_int_equal(mkdir(file, 0700), 0);
    e = (struct err){0};
    assert_ok(store_restore(path, f->other, NULL, &e), e);
    struct store *s = stores_open(f->other, &e);
    assert_non_null(s);
    assert_ok(stores_check(s, f->other, &e), e);
    store_close(s);
}

static void a_model_whose_generation_needs_it_cannot_be_left_out(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct flaws skipped = {0};
    char path[512], file[700];
    assert_true(put(f->s, 1));
    assert_ok(back_up(f, path, &e), e);
    snprintf(file, sizeof file, "%s/models/anchord-base.safetensors", path);
    damage_bit(file, 0);
    assert_false(store_restore(path, f->other, &skipped, &e));
    assert_non_null(strstr(e.text, "anchord-base"));
    flaws_clear(&skipped);
    assert_int_equal(count_entries(f->other), 0);
}

struct model_load {
    struct store *s;
    bool stop, failed; /* stop: atomic */
};

/* Models come and go, as over the API: the file first, then its row. */
static void *change_models(void *arg)
{
    struct model_load *l = arg;
    while (!__atomic_load_n(&l->stop, __ATOMIC_SEQ_CST) && !l->failed) {
        struct err e = {0};
        char path[512];
        struct write add = {.kind = WRITE_MODEL_ADD, .model.row = {.id = "brief"}};
        struct write gone = {.kind = WRITE_MODEL_DELETE, .model.id = "brief"};
        store_model_path(l->s, "brief", path, sizeof path);
        l->failed =
            !file_replace(path, "brief", 5, &e) || !store_write(l->s, &add, &e) || !store_write(l->s, &gone, &e);
    }
    return NULL;
}

static void a_model_deleted_while_a_backup_is_made_does_not_fail_it(void **state)
{
    struct fixture *f = *state;
    struct model_load load = {.s = f->s};
    pthread_t thread;
    for (unsigned i = 0; i < 30; i++)
        assert_true(put(f->s, i));
    assert_int_equal(pthread_create(&thread, NULL, change_models, &load), 0);
    for (size_t i = 0; i < 12; i++) {
        struct err e = {0};
        char path[512];
        struct backup_row row;
        assert_ok(back_up(f, path, &e), e);
        assert_ok(store_backup(f->s, strrchr(path, '/') + 1, &row, &e), e);
        assert_int_equal(row.left_out.files, 0); /* what the copy of the catalogue names was pinned */
        backup_row_clear(&row);
        assert_ok(store_backup_delete(f->s, strrchr(path, '/') + 1, &e), e);
    }
    __atomic_store_n(&load.stop, true, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    assert_false(load.failed);
    char file[512];
    store_model_path(f->s, "brief", file, sizeof file);
    assert_int_equal(access(file, F_OK), -1);
    snprintf(file, sizeof file, "%s/backups/pinned.tmp", f->dir);
    assert_int_equal(access(file, F_OK), -1);
}

static void a_backup_can_be_deleted_and_nothing_else_by_that_way(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct backup_row row;
    char path[512];
    assert_true(put(f->s, 1));
    assert_ok(back_up(f, path, &e), e);
    static const char *const wrong[] = {"", ".", "..", "../models", "20260101T000000Z-0000", "x.tmp"};
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_err(store_backup_delete(f->s, wrong[i], &e), e, ERR_NOT_FOUND);
    e = (struct err){0};
    assert_ok(store_backup_delete(f->s, strrchr(path, '/') + 1, &e), e);
    assert_int_equal(access(path, F_OK), -1);
    assert_err(store_backup(f->s, strrchr(path, '/') + 1, &row, &e), e, ERR_NOT_FOUND);
    assert_err(store_backup_delete(f->s, strrchr(path, '/') + 1, &e), e, ERR_NOT_FOUND);
    e = (struct err){0};
    assert_ok(stores_check(f->s, f->dir, &e), e);
}

static void backup_is_done(struct write *w)
{
    __atomic_fetch_add((int *)w->user, 1, __ATOMIC_SEQ_CST);
}

static void one_backup_at_a_time_and_closing_waits_for_it(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct backup_row *rows;
    size_t n;
    int done = 0;
    struct write first = {.kind = WRITE_BACKUP, .done = backup_is_done, .user = &done}, second = first;
    struct write *both[] = {&first, &second};
    for (unsigned i = 0; i < 50; i++)
        assert_true(put(f->s, i));
    assert_ok(store_submit(f->s, both, 2, &e), e);
    store_close(f->s);
    assert_int_equal(done, 2);
    assert_int_equal(first.err.code, ERR_NONE);
    assert_int_equal(second.err.code, ERR_BUSY);
    f->s = stores_open(f->dir, &e);
    assert_ok(store_backups(f->s, &rows, &n, &e), e);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].name, first.backup);
    free(rows);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_becomes_the_same_store_elsewhere),
        cmocka_unit_test(a_backup_made_while_writing_holds_all_that_was_acknowledged_before),
        cmocka_unit_test(a_damaged_backup_is_refused),
        cmocka_unit_test(a_backup_that_contradicts_itself_is_refused),
        cmocka_unit_test(a_folder_with_something_in_it_is_not_overwritten),
        cmocka_unit_test(a_backup_names_what_was_damaged_or_missing_and_holds_the_rest),
        cmocka_unit_test(a_restore_that_fails_leaves_nothing_half_filled),
        cmocka_unit_test(a_model_whose_generation_needs_it_cannot_be_left_out),
        cmocka_unit_test(a_model_deleted_while_a_backup_is_made_does_not_fail_it),
        cmocka_unit_test(a_backup_can_be_deleted_and_nothing_else_by_that_way),
        cmocka_unit_test(one_backup_at_a_time_and_closing_waits_for_it),
    };
    return T_RUN_EACH(tests, open_store, close_store);
}
