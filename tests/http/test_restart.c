/* test_restart.c - a second start: what was there is there again; damaged caches are rebuilt, damaged truth is told. */
#include "tests/t.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "tests/lib/expect.h"
#include "tests/lib/results_table.h"

#define IMAGES "/v1/collections/default/images"

enum { STORED = 160, BATCH = 40, SIDE = 40 };
static struct buf pictures[STORED];
static struct server origin; /* a stopped server's folder with everything in it */
static char *before;         /* what its searches answered */

/* Small segments, so that a few images already make files of the cache. */
static const char *const small_segments[] = {"ANCHORD_HNSW_FROM=50", "ANCHORD_SEAL_AT=32", NULL};

static void put_all(struct client *c)
{
    for (size_t first = 0; first < STORED; first += BATCH) {
        struct buf body = {0};
        for (size_t i = first; i < first + BATCH; i++) {
            buf_print(&body, "%s{\"id\":\"p%03zu\",\"image\":\"", i == first ? "{\"images\":[" : ",", i);
            base64_encode(pictures[i].data, pictures[i].len, &body);
            buf_text(&body, "\"}");
        }
        buf_text(&body, "]}");
        json_free(expect_post(c, 200, IMAGES, body.data));
        buf_clear(&body);
    }
}

/* What ten searches answer, as one text; exact, so that it does not depend on how segments were built. */
static char *ask_searches(const struct server *s)
{
    struct client c = client_to(s->port);
    struct buf all = {0};
    for (int i = 0; i < 10; i++) {
        char body[80];
        snprintf(body, sizeof body, "{\"id\":\"p%03d\",\"limit\":20,\"exact\":true}", i * 16);
        struct json *found = expect_post(&c, 200, "/v1/collections/default/search", body);
        for (size_t k = 0; k < count_at(found, "data"); k++) {
            const struct json *hit = json_item(value_at(found, "data"), k);
            buf_print(&all, "%s %.5f\n", text_at(hit, "id"), real_at(hit, "score"));
        }
        json_free(found);
    }
    client_close(&c);
    return buf_take(&all, NULL);
}

static size_t files_seen;
static char files[64][400];

static int note_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    UNUSED(st);
    UNUSED(at);
    if (kind == FTW_F && files_seen < COUNT(files))
        snprintf(files[files_seen++], sizeof files[0], "%s", path);
    return 0;
}

/* The files below a folder of the data folder, in files[]. */
static size_t list_files(const char *dir, const char *below)
{
    char path[400];
    files_seen = 0;
    snprintf(path, sizeof path, "%s/%s", dir, below);
    nftw(path, note_file, 16, FTW_PHYS);
    return files_seen;
}

static int start(void **state)
{
    UNUSED(state);
    for (uint64_t i = 0; i < STORED; i++)
        draw_jpeg(i * 3 + 2, SIDE, &pictures[i]);
    expect_start(&origin, &(struct server_options){.env = small_segments});
    struct client c = client_to(origin.port);
    put_all(&c);
    (void)t_wait(10, list_files(origin.dir, "segments") > 0);
    before = ask_searches(&origin);
    client_close(&c);
    assert_int_equal(server_stop(&origin), 0);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    server_remove(&origin);
    for (size_t i = 0; i < STORED; i++)
        buf_clear(&pictures[i]);
    free(before);
    return 0;
}

/* A copy of the folder, to be damaged. */
static void copy_origin(char dir[200])
{
    char command[700];
    snprintf(dir, 200, "/tmp/anchord-copy-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command, "cp -a '%s/.' '%s/data'", origin.dir, dir);
    assert_int_equal(system(command), 0);
}

static void remove_copy(const char *dir)
{
    t_remove_dir(strdup(dir));
}

static bool start_copy(struct server *s, const char *dir, int *status)
{
    char data[256];
    struct err e = {0};
    snprintf(data, sizeof data, "%s/data", dir);
    *status = 0;
    bool ok = server_start_status(s, &(struct server_options){.dir = data, .env = small_segments}, status, &e);
    if (!ok)
        print_message("   %s\n", e.text);
    return ok;
}

static void a_second_start_answers_as_the_first_did(void **state)
{
    UNUSED(state);
    char dir[200];
    struct server s;
    int status;
    copy_origin(dir);
    assert_true(start_copy(&s, dir, &status));
    char *after = ask_searches(&s);
    assert_string_equal(before, after);
    free(after);
    assert_int_equal(server_stop(&s), 0);
    remove_copy(dir);
}

static void a_second_program_on_the_same_folder_is_turned_away(void **state)
{
    UNUSED(state);
    char dir[200];
    struct server s, second;
    int status = 0, other = 0;
    copy_origin(dir);
    assert_true(start_copy(&s, dir, &status));
    bool two = start_copy(&second, dir, &other);
    result_section("The data folder");
    result_row(!two && other == 75, "a second server on the same folder", "exit code 75", "exit code %d", other);
    assert_false(two);
    assert_int_equal(other, 75);
    char *after = ask_searches(&s);
    assert_string_equal(before, after);
    free(after);
    assert_int_equal(server_stop(&s), 0);
    remove_copy(dir);
}

/* ---- damage ---- */

enum damage { EMPTIED, HALVED, FLIPPED_HEAD, FLIPPED_MIDDLE, REMOVED, A_FOLDER, DAMAGES };
static const char *const damage_names[] = {
    "emptied", "cut in half",         "a bit flipped at the start", "a bit flipped in the middle",
    "removed", "replaced by a folder"};

static void flip(const char *path, off_t at)
{
    unsigned char byte = 0;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void hurt(const char *path, enum damage d)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    switch (d) {
    case EMPTIED: assert_int_equal(truncate(path, 0), 0); break;
    case HALVED: assert_int_equal(truncate(path, st.st_size / 2), 0); break;
    case FLIPPED_HEAD: flip(path, 3); break;
    case FLIPPED_MIDDLE: flip(path, st.st_size / 2); break;
    case REMOVED: assert_int_equal(unlink(path), 0); break;
    default: assert_int_equal(unlink(path), 0); assert_int_equal(mkdir(path, 0700), 0);
    }
}

static void damaged_segments_are_rebuilt(void **state)
{
    UNUSED(state);
    if (list_files(origin.dir, "segments") == 0)
        skip(); /* nothing was sealed */
    for (enum damage d = 0; d < DAMAGES; d++) {
        char dir[200], what[100], data[256];
        struct server s;
        int status;
        copy_origin(dir);
        snprintf(data, sizeof data, "%s/data", dir);
        size_t n = list_files(data, "segments");
        for (size_t i = 0; i < n; i++)
            hurt(files[i], d);
        bool up = start_copy(&s, dir, &status);
        char *after = up ? ask_searches(&s) : NULL;
        bool same = after && strcmp(before, after) == 0;
        snprintf(what, sizeof what, "every segment file %s", damage_names[d]);
        result_row(same, what, "starts, same answers", "%s",
                   !up    ? "does not start"
                   : same ? "same answers"
                          : "other answers");
        assert_true(same);
        free(after);
        assert_int_equal(server_stop(&s), 0);
        remove_copy(dir);
    }
}

/* How many images the server can still tell of in full, of those it lists; -1 when the list itself fails. */
static int readable(const struct server *s, int *refused)
{
    struct client c = client_to(s->port);
    struct reply r = {0};
    int whole = 0;
    *refused = 0;
    for (size_t i = 0; i < STORED; i++) {
        char target[100];
        snprintf(target, sizeof target, IMAGES "/p%03zu/content", i);
        client_ask(&c, &(struct ask){.method = "GET", .target = target}, &r);
        if (r.status == 200) {
            assert_int_equal(r.body.len, pictures[i].len);
            assert_memory_equal(r.body.data, pictures[i].data, r.body.len);
        }
        whole += r.status == 200;
        *refused += r.status == 500;
    }
    reply_clear(&r);
    client_close(&c);
    return whole;
}

static void a_damaged_image_file_is_told_and_hurts_no_other(void **state)
{
    UNUSED(state);
    for (enum damage d = 0; d < DAMAGES; d++) {
        char dir[200], data[256], what[100];
        struct server s;
        int status, refused;
        copy_origin(dir);
        snprintf(data, sizeof data, "%s/data", dir);
        assert_true(list_files(data, "blobs") > 3);
        hurt(files[2], d);
        assert_true(start_copy(&s, dir, &status));
        int whole = readable(&s, &refused);
        snprintf(what, sizeof what, "one image file %s", damage_names[d]);
        result_row(whole == STORED - 1 && refused == 1, what, "500 for this one, all others whole",
                   "%d whole, %d with 500", whole, refused);
        assert_int_equal(whole, STORED - 1);
        assert_int_equal(refused, 1);
        assert_int_equal(server_stop(&s), 0);
        remove_copy(dir);
    }
}

/* Either it refuses to start, by an exit code and not by a signal, or every image is whole or told as damaged. */
static void probe_catalogue(const char *what, void (*hurt_it)(const char *db, enum damage d), enum damage d)
{
    char dir[200], db[300];
    struct server s;
    int status, refused = 0;
    copy_origin(dir);
    snprintf(db, sizeof db, "%s/data/anchord.db", dir);
    hurt_it(db, d);
    bool up = start_copy(&s, dir, &status);
    int whole = up ? readable(&s, &refused) : 0;
    bool alive = up && server_alive(&s);
    bool good = up ? alive && whole + refused == STORED : status > 0;
    if (up)
        server_stop(&s);
    if (up)
        result_row(good, what, "refused, or nothing missing", "starts, %d whole, %d with 500", whole, refused);
    else
        result_row(good, what, "refused, or nothing missing", "refused, exit code %d", status);
    remove_copy(dir);
    assert_true(good);
}

static void newer_schema(const char *db, enum damage d)
{
    unsigned char version[4] = {0, 0, 0x27, 0x0f};
    int fd = open(db, O_RDWR);
    UNUSED(d);
    assert_true(fd >= 0 && pwrite(fd, version, 4, 60) == 4); /* user_version, at byte 60 of SQLite's header */
    close(fd);
}

static void a_damaged_catalogue_is_never_taken_for_a_smaller_one(void **state)
{
    UNUSED(state);
    for (enum damage d = 0; d < DAMAGES; d++) {
        char what[100];
        snprintf(what, sizeof what, "the catalogue %s", damage_names[d]);
        probe_catalogue(what, hurt, d);
    }
    probe_catalogue("a catalogue of a later version", newer_schema, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_start_answers_as_the_first_did),
        cmocka_unit_test(a_second_program_on_the_same_folder_is_turned_away),
        cmocka_unit_test(damaged_segments_are_rebuilt),
        cmocka_unit_test(a_damaged_image_file_is_told_and_hurts_no_other),
        cmocka_unit_test(a_damaged_catalogue_is_never_taken_for_a_smaller_one),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
