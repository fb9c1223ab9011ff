/* test_verify.c - `anchord verify` on the data folder of version 0.1.0, whole, damaged in every way, and repaired. */
#include "tests/t.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/lib/command.h"
#include "tests/lib/damage.h"
#include "tests/lib/expect.h"

struct place {
    char *scratch, dir[300];
};

static void unpack(struct place *p)
{
    char line[700];
    p->scratch = t_make_dir();
    snprintf(line, sizeof line, "tar -xzf tests/data/folder-0.1.0/folder.tar.gz -C '%s'", p->scratch);
    assert_int_equal(system(line), 0);
    snprintf(p->dir, sizeof p->dir, "%s/folder", p->scratch);
}

static char *verify(const struct place *p, int code, bool repair)
{
    return repair ? command(code, "verify", "--repair", "--data", p->dir, NULL)
                  : command(code, "verify", "--data", p->dir, NULL);
}

static void assert_clean(const struct place *p)
{
    char *out = verify(p, 0, false);
    assert_contains(out, "image files");
    assert_contains(out, ": 0 damaged, 0 repaired");
    free(out);
}

static void in(const struct place *p, const char *name, char out[600])
{
    snprintf(out, 600, "%s/%s", p->dir, name);
}

/* The file becomes another one with one bit flipped: a hard link of a backup stays as it is. */
static void damage_alone(const char *path)
{
    struct err e = {0};
    void *bytes;
    size_t len;
    assert_ok(file_read(path, 1 << 26, &bytes, &len, &e) && file_replace(path, bytes, len, &e), e);
    free(bytes);
    damage_bit(path, len / 2);
}

/* The path of the image file of an image of garden. */
static void blob_of(const struct place *p, const char *id, char out[600])
{
    char path[600];
    sqlite3 *db;
    sqlite3_stmt *st;
    in(p, "anchord.db", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT sha256 FROM image WHERE id = ?1", -1, &st, NULL), SQLITE_OK);
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    const char *sha256 = (const char *)sqlite3_column_text(st, 0);
    snprintf(out, 600, "%s/blobs/%.2s/%s", p->dir, sha256, sha256);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void change_catalogue(const struct place *p, const char *sql)
{
    char path[600];
    sqlite3 *db;
    in(p, "anchord.db", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void damage_everything(const struct place *p)
{
    char path[600], stray[700];
    blob_of(p, "flower-1", path);
    damage_alone(path);
    blob_of(p, "ball-2", path);
    assert_int_equal(unlink(path), 0);
    *strrchr(path, '/') = 0;
    snprintf(stray, sizeof stray, "%s/%.2s%062d", path, path + strlen(path) - 2, 7);
    struct err e = {0};
    assert_ok(file_replace(stray, "stray", 5, &e), e);
    in(p, "models/second.safetensors", path);
    damage_bit(path, 400000);
    in(p, "models/left.safetensors.AbCdEf", path);
    assert_ok(file_replace(path, "left", 4, &e), e);
    in(p, "segments/3/1.faiss", path);
    damage_bit(path, 3000);
    change_catalogue(p, "UPDATE vector SET value = CAST(substr(value, 1, 3) || x'7e' || substr(value, 5) AS BLOB)"
                        " WHERE generation = 3 AND image = (SELECT number FROM image WHERE id = 'fish-1')");
}

static const char *const damages[] = {"image file damaged",    "image file missing",
                                      "of garden/ball-2",      "file without a row",
                                      "model damaged: second", "left.safetensors.AbCdEf",
                                      "segment damaged",       "vectors damaged: garden, generation 3 1 of them"};

static void a_whole_folder_is_found_whole(void **state)
{
    UNUSED(state);
    struct place p;
    unpack(&p);
    assert_clean(&p);
    t_remove_dir(p.scratch);
}

static void each_damage_is_listed_and_nothing_is_changed(void **state)
{
    UNUSED(state);
    struct place p;
    unpack(&p);
    damage_everything(&p);
    for (int i = 0; i < 2; i++) {
        char *out = verify(&p, 1, false);
        for (size_t k = 0; k < COUNT(damages); k++)
            assert_contains(out, damages[k]);
        assert_contains(out, ": 7 damaged, 0 repaired");
        free(out);
    }
    t_remove_dir(p.scratch);
}

static void repair_takes_from_the_backup_and_makes_again_what_it_can(void **state)
{
    UNUSED(state);
    static const char *const args[] = {"--precision", "fp32", "--min-free-bytes", "0", NULL};
    struct place p;
    struct server s;
    struct err e = {0};
    unpack(&p);
    damage_everything(&p);
    char *out = verify(&p, 0, true);
    for (size_t k = 0; k < COUNT(damages); k++)
        assert_contains(out, damages[k]);
    assert_contains(out, ": 7 damaged, 7 repaired");
    free(out);
    assert_clean(&p);
    void *text;
    size_t len;
    assert_ok(file_read("tests/data/folder-0.1.0/answers.json", 1 << 20, &text, &len, &e), e);
    json_init();
    struct json *golden = json_parse(text, len, 1 << 24, &e);
    expect_start(&s, &(struct server_options){.dir = p.dir, .model = "", .args = args});
    struct client c = client_to(s.port);
    struct reply r = {0};
    for (double until = clock_s() + t_patience(10);
         r.status != 200 && clock_s() < until;) { /* until its vector is there again */
        client_ask(&c,
                   &(struct ask){.method = "POST",
                                 .target = "/v1/collections/garden/search",
                                 .type = "application/json",
                                 .key = text_at(golden, "key"),
                                 .body = "{\"id\":\"fish-1\"}",
                                 .len = 15},
                   &r);
        usleep(20000);
    }
    assert_int_equal(r.status, 200);
    client_ask(&c,
               &(struct ask){.method = "GET",
                             .target = "/v1/collections/garden/images/ball-2/content",
                             .key = text_at(golden, "key")},
               &r);
    assert_int_equal(r.status, 200);
    reply_clear(&r);
    client_close(&c);
    expect_stop(&s);
    json_free(golden);
    free(text);
    t_remove_dir(p.scratch);
}

static void what_no_backup_has_is_told_as_not_repaired(void **state)
{
    UNUSED(state);
    struct place p;
    char path[600];
    unpack(&p);
    blob_of(&p, "flower-1", path);
    damage_bit(path, 100); /* the backup's too: it is the same file */
    char *out = verify(&p, 1, true);
    assert_contains(out, "NOT repaired: image file damaged");
    assert_contains(out, "put the picture again");
    free(out);
    t_remove_dir(p.scratch);
}

static void a_folder_that_is_served_or_is_none_is_refused(void **state)
{
    UNUSED(state);
    static const char *const args[] = {"--precision", "fp32", "--min-free-bytes", "0", NULL};
    struct place p;
    struct server s;
    unpack(&p);
    expect_start(&s, &(struct server_options){.dir = p.dir, .model = "", .args = args});
    char *out = verify(&p, 75, false);
    assert_contains(out, "stop the server first");
    free(out);
    expect_stop(&s);
    out = command(1, "verify", "--data", "/nowhere/at/all", NULL);
    assert_contains(out, "there is no folder");
    free(out);
    out = command(1, "verify", "--data", p.scratch, NULL); /* the folder is below it */
    assert_contains(out, "there is no catalogue");
    free(out);
    command_only(2, "verify", "it", NULL);
    t_remove_dir(p.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_folder_is_found_whole),
        cmocka_unit_test(each_damage_is_listed_and_nothing_is_changed),
        cmocka_unit_test(repair_takes_from_the_backup_and_makes_again_what_it_can),
        cmocka_unit_test(what_no_backup_has_is_told_as_not_repaired),
        cmocka_unit_test(a_folder_that_is_served_or_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
