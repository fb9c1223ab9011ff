/* test_full_disk.c - every kind of write on a disk without a byte, and on one without an inode: refused with 507 or done;
 * what frees room works, before and after a restart; and when there is room again, everything does.
 */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "engine/model.h"
#include "tests/lib/rig.h"
#include "tests/lib/small_disk.h"

#define IMAGES "/v1/collections/default/images"
#define JSON   .type = "application/json"
#define ADMIN  .admin = true

enum { PICTURES = 8 };

static struct buf model; /* a file that is no model of the folder yet */
static char key[2][16];  /* ids of keys that may go */

/* ---- a folder with something of everything ---- */

static void make_key(const char *role, char id[16])
{
    char body[60];
    snprintf(body, sizeof body, "{\"role\":\"%s\"}", role);
    struct outcome o = rig_expect(rig, 201, "POST /v1/keys", &(struct extra){ADMIN, JSON, .body = body});
    if (id)
        snprintf(id, 16, "%s", outcome_text(&o, "id"));
    outcome_clear(&o);
}

static void expect_done(int status, const char *line, const struct extra *x)
{
    struct outcome o = rig_expect(rig, status, line, x);
    outcome_clear(&o);
}

static void make_model_file(void)
{
    struct err e = {0};
    char path[300];
    void *bytes = NULL;
    size_t len = 0;
    struct model *m = model_new_random(&rig->app->options.arch, &rig->app->options.preprocess, 99, &e);
    snprintf(path, sizeof path, "%s/third", rig->dir);
    assert_ok(m && model_save(m, path, &e) && file_read(path, 64 << 20, &bytes, &len, &e), e);
    model = (struct buf){.data = bytes, .len = len, .room = len + 1};
    unlink(path);
    model_free(m);
}

/* Without a file. */
static void add_model_row(const char *id)
{
    struct write w = {.kind = WRITE_MODEL_ADD, .model.row = {.arch = "resnet18", .dimensions = RIG_DIMENSIONS}};
    struct err e = {0};
    snprintf(w.model.row.id, sizeof w.model.row.id, "%s", id);
    assert_ok(store_write(rig->app->store, &w, &e), e);
}

static int set_up(void **state)
{
    rig_set_up(state);
    rig_fill(rig, 1, PICTURES);
    log_set_level(LOG_OFF);
    add_model_row("idle");
    make_key("admin", NULL);
    make_key("read", key[0]);
    make_key("read", key[1]);
    expect_done(201, "PUT /v1/collections/other", &(struct extra){0});
    expect_done(201, "PUT /v1/collections/third", &(struct extra){0});
    return 0;
}

static void change_model(void)
{
    rig_add_model(rig, "second", 5);
    rig_add_model(rig, "spare", 6);
    make_model_file();
    /* a generation to go back to */
    expect_done(202, "POST /v1/collections/default/model",
                &(struct extra){ADMIN, JSON, .body = "{\"model\":\"second\"}"});
    rig_settle(rig, "default");
}

static int tear_down(void **state)
{
    small_disk_off();
    buf_clear(&model);
    return rig_tear_down(state);
}

/* ---- what may be refused ---- */

static int ask(const char *line, const struct extra *x)
{
    struct outcome o = rig_ask(rig, line, x);
    int status = o.status;
    if (status >= 400 && status != 507)
        print_message("%s: %d %.200s\n", line, status, o.body.data);
    outcome_clear(&o);
    return status;
}

/* Everything that adds or changes. */
static void try_what_grows(const char *disk)
{
    struct buf picture = rig_picture(3, 77), one = rig_base64(3, 78);
    struct buf batch = {0};
    buf_print(&batch, "{\"images\":[{\"id\":\"n1\",\"image\":\"%s\"}]}", one.data);
    const struct {
        const char *line;
        struct extra x;
    } writes[] = {
        {"PUT " IMAGES "/new", {.type = "image/png", .body = picture.data, .len = picture.len}},
        {"PUT " IMAGES "/p0-0", {.type = "image/png", .body = picture.data, .len = picture.len}},
        {"POST " IMAGES, {JSON, .body = batch.data, .len = batch.len}},
        {"PATCH " IMAGES "/p0-1", {JSON, .body = "{\"label\":\"x\",\"metadata\":{\"a\":[1,2,3,4,5,6,7,8]}}"}},
        {"PUT /v1/collections/fresh", {.type = NULL}},
        {"POST /v1/keys", {ADMIN, JSON, .body = "{\"role\":\"read\"}"}},
        {"POST /v1/models?id=third", {ADMIN, .type = "application/octet-stream", .body = model.data, .len = model.len}},
        {"POST /v1/collections/default/model", {ADMIN, JSON, .body = "{\"model\":\"spare\"}"}},
        {"POST /v1/collections/default/rollback", {.admin = true}},
        {"POST /v1/fine_tuning/jobs", {ADMIN, JSON, .body = "{\"training_file\":\"default\"}"}},
        {"POST /v1/backups", {.admin = true}},
    };
    for (size_t i = 0; i < COUNT(writes); i++) {
        int status = ask(writes[i].line, &writes[i].x);
        if (status != 507 && status / 100 != 2)
            fail_msg("%s: %s gave %d", disk, writes[i].line, status);
        rig_settle(rig, "default");
        if (!store_is_writable(rig->app->store))
            fail_msg("%s: after %s nothing can be written any more", disk, writes[i].line);
    }
    buf_clear(&picture);
    buf_clear(&one);
    buf_clear(&batch);
}

/* What answered 201 is there, what answered 507 is not. */
static void create_collection_honestly(void)
{
    int made = ask("PUT /v1/collections/honest", &(struct extra){0}),
        there = ask("GET /v1/collections/honest", &(struct extra){0});
    assert_int_equal(there, made == 201 ? 200 : 404);
}

/* ---- what must work ---- */

static void must(int status, const char *line, const struct extra *x)
{
    int got = ask(line, x);
    if (got != status)
        fail_msg("%s gave %d, expected %d", line, got, status);
}

static void delete_before_the_restart(void)
{
    char line[100];
    must(204, "DELETE " IMAGES "/p0-2", &(struct extra){0});
    must(200, "POST " IMAGES "/delete", &(struct extra){JSON, .body = "{\"ids\":[\"p0-3\",\"p0-4\"]}"});
    snprintf(line, sizeof line, "DELETE /v1/keys/%s", key[0]);
    must(204, line, &(struct extra){ADMIN});
    must(204, "DELETE /v1/collections/other", &(struct extra){0});
    must(200, "DELETE /v1/models/idle", &(struct extra){ADMIN});
}

static void delete_after_it(void)
{
    char line[100];
    must(204, "DELETE " IMAGES "/p0-5", &(struct extra){0});
    must(204, "DELETE " IMAGES "/p0-6", &(struct extra){0});
    snprintf(line, sizeof line, "DELETE /v1/keys/%s", key[1]);
    must(204, line, &(struct extra){ADMIN});
    must(204, "DELETE /v1/collections/third", &(struct extra){0});
}

static void play(const char *disk, int64_t bytes, int64_t inodes)
{
    change_model();
    small_disk_set(rig->dir, bytes, inodes);
    try_what_grows(disk);
    create_collection_honestly();
    small_disk_set(rig->dir, bytes, inodes);
    delete_before_the_restart();
    small_disk_set(rig->dir, bytes, inodes); /* somebody else has taken what was freed */
    rig_reopen(rig);
    log_set_level(LOG_OFF);
    delete_after_it();
    small_disk_off();
    must(201, "PUT /v1/collections/again", &(struct extra){0});
    rig_put(rig, "again", 2, 5, "x");
    rig_reopen(rig);
    must(404, "GET " IMAGES "/p0-2", &(struct extra){0});
    must(404, "GET " IMAGES "/p0-6", &(struct extra){0});
    must(200, "GET " IMAGES "/p0-7/content", &(struct extra){0});
    must(200, "GET " IMAGES "/again/content", &(struct extra){0});
}

static void without_a_byte_all_is_refused_or_done_and_deletes_work(void **state)
{
    UNUSED(state);
    play("no bytes", 0, SMALL_DISK_PLENTY);
}

static void without_an_inode_too(void **state)
{
    UNUSED(state);
    play("no inodes", SMALL_DISK_PLENTY, 0);
}

/* Metadata of 4 KB is some hundred rows: uploads are refused long before, and it must not take what deletes need. */
static void what_patches_have_filled_is_left_by_deleting(void **state)
{
    UNUSED(state);
    enum { LEFT = 3 << 20, MOST = 1000 };
    struct buf body = {0};
    int status = 200, n = 0;
    buf_text(&body, "{\"metadata\":{\"a\":[");
    for (int i = 0; i < 1900; i++)
        buf_print(&body, "%s%d", i ? "," : "", i % 10);
    buf_text(&body, "]}}");
    small_disk_set(rig->dir, LEFT, SMALL_DISK_PLENTY);
    for (; status == 200 && n < MOST; n++)
        status = ask(n % 2 ? "PATCH " IMAGES "/p0-0" : "PATCH " IMAGES "/p0-1",
                     &(struct extra){JSON, .body = body.data, .len = body.len});
    print_message("%d of them fit\n", n - 1);
    assert_int_equal(status, 507);
    delete_before_the_restart();
    rig_reopen(rig);
    log_set_level(LOG_OFF);
    delete_after_it();
    buf_clear(&body);
}

/* What the ballast leaves when it goes is for more deletes. */
static void nobody_else_gets_the_room_of_the_ballast(void **state)
{
    UNUSED(state);
    struct buf picture = rig_picture(3, 77);
    struct extra upload = {.type = "image/png", .body = picture.data, .len = picture.len};
    small_disk_set(rig->dir, 0, SMALL_DISK_PLENTY);
    must(204, "DELETE " IMAGES "/p0-2", &(struct extra){0});
    must(507, "PUT " IMAGES "/new", &upload);
    usleep(1200000); /* nor after the pause, in which the writer sees to the log */
    must(507, "PUT " IMAGES "/new", &upload);
    must(204, "DELETE " IMAGES "/p0-3", &(struct extra){0});
    small_disk_set(rig->dir, 40 << 20, SMALL_DISK_PLENTY);
    must(201, "PUT " IMAGES "/new", &upload);
    buf_clear(&picture);
}

/* A crash between its making and its filling leaves an empty one. */
static void an_empty_ballast_is_none(void **state)
{
    UNUSED(state);
    char path[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/ballast", rig->dir);
    assert_int_equal(truncate(path, 0), 0);
    rig_reopen(rig);
    rig_put(rig, "after", 2, 5, "x");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 16 << 20);
}

static bool lists_key(const char *id)
{
    struct outcome o = rig_expect(rig, 200, "GET /v1/keys", &(struct extra){ADMIN});
    bool there = strstr(o.body.data, id) != NULL;
    outcome_clear(&o);
    return there;
}

static void a_disk_that_fails_still_lets_revoke_a_key_and_the_answer_says_for_how_long(void **state)
{
    UNUSED(state);
    char line[100];
    snprintf(line, sizeof line, "DELETE /v1/keys/%s", key[0]);
    small_disk_set(rig->dir, SMALL_DISK_PLENTY, SMALL_DISK_PLENTY);
    small_disk_break(true);
    for (int i = 0; i < 2; i++) { /* by the write that fails, and on a store that writes no more */
        snprintf(line, sizeof line, "DELETE /v1/keys/%s", key[i]);
        struct outcome o = rig_expect(rig, 500, line, &(struct extra){ADMIN});
        assert_non_null(strstr(outcome_text(&o, "error.message"), "refused from now on"));
        outcome_clear(&o);
        assert_false(lists_key(key[i]));
        must(404, line, &(struct extra){ADMIN});
    }
    assert_false(store_is_writable(rig->app->store));
    small_disk_break(false);
    small_disk_off();
    rig_reopen(rig);
    for (int i = 0; i < 2; i++) {
        assert_true(lists_key(key[i]));
        snprintf(line, sizeof line, "DELETE /v1/keys/%s", key[i]);
        must(204, line, &(struct extra){ADMIN});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_byte_all_is_refused_or_done_and_deletes_work),
        cmocka_unit_test(without_an_inode_too),
        cmocka_unit_test(what_patches_have_filled_is_left_by_deleting),
        cmocka_unit_test(nobody_else_gets_the_room_of_the_ballast),
        cmocka_unit_test(an_empty_ballast_is_none),
        cmocka_unit_test(a_disk_that_fails_still_lets_revoke_a_key_and_the_answer_says_for_how_long),
    };
    return T_RUN_EACH(tests, set_up, tear_down);
}
