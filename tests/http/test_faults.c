/* test_faults.c - a disk that fails, fills up or runs out of descriptors under the running program.
 *
 * The preloaded library (tests/faults/preload.c) makes chosen calls fail while a file is there.  Nothing may be
 * acknowledged that is not on the disk; what passes by itself is refused until it has passed; after an I/O error the
 * store takes no more writes, since a second sync of the same pages may lie.
 */
#include "tests/t.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "base/file.h"
#include "engine/model.h"
#include "tests/lib/expect.h"
#include "tests/lib/ledger.h"
#include "tests/lib/results_table.h"

#define IMAGES "/v1/collections/default/images"

static struct buf photo;

static int start(void **state)
{
    UNUSED(state);
    draw_jpeg(3, 160, &photo);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    buf_clear(&photo);
    return 0;
}

/* ---- a server whose calls can be made to fail ---- */

struct rig {
    struct server server;
    char scratch[100], data[130], sentinel[130];
};

static void rig_start(struct rig *r)
{
    char preload[400], dir[200], fail[200];
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/tests/faults/preload.so", getenv("B"));
    snprintf(dir, sizeof dir, "FAULTS_DIR=%s", r->data);
    snprintf(fail, sizeof fail, "FAULTS_FAIL=%s", r->sentinel);
    const char *env[] = {preload, dir, fail, "ASAN_OPTIONS=verify_asan_link_order=0", NULL};
    expect_start(&r->server, &(struct server_options){.dir = r->data, .env = env});
}

static void rig_new(struct rig *r)
{
    snprintf(r->scratch, sizeof r->scratch, "/tmp/anchord-faults-XXXXXX");
    assert_non_null(mkdtemp(r->scratch));
    snprintf(r->data, sizeof r->data, "%s/data", r->scratch);
    snprintf(r->sentinel, sizeof r->sentinel, "%s/fail", r->scratch);
    rig_start(r);
}

static void rig_free(struct rig *r)
{
    server_kill(&r->server);
    t_remove_dir(strdup(r->scratch));
}

/* `times` calls of that name on paths with that part fail; 0: until rig_mend(). */
static void rig_break(struct rig *r, const char *call, int number, const char *part, int times)
{
    char temp[150];
    snprintf(temp, sizeof temp, "%s.new", r->sentinel);
    FILE *f = fopen(temp, "w");
    assert_non_null(f);
    fprintf(f, "%s %d %s %d\n", call, number, part, times);
    fclose(f);
    assert_int_equal(rename(temp, r->sentinel), 0);
}

static void rig_mend(struct rig *r)
{
    unlink(r->sentinel);
}

static int put(struct rig *r, const char *id, size_t extra)
{
    struct client c = client_to(r->server.port);
    struct reply reply = {0};
    struct buf body = {0};
    char target[100];
    snprintf(target, sizeof target, IMAGES "/%s", id);
    buf_add(&body, photo.data, photo.len);
    buf_text(&body, id); /* another file for each id */
    for (size_t i = 0; i < extra; i++)
        buf_char(&body, (char)(i * 31));
    client_ask(
        &c, &(struct ask){.method = "PUT", .target = target, .type = "image/jpeg", .body = body.data, .len = body.len},
        &reply);
    int status = reply.status;
    reply_clear(&reply);
    buf_clear(&body);
    client_close(&c);
    return status;
}

static int ask_status(struct rig *r, const char *method, const char *target)
{
    struct client c = client_to(r->server.port);
    struct reply reply = {0};
    client_ask(&c, &(struct ask){.method = method, .target = target}, &reply);
    int status = reply.status;
    reply_clear(&reply);
    client_close(&c);
    return status;
}

/* ---- errors after which the disk is not to be trusted ---- */

static void probe_io_error(const char *what, const char *call, const char *part)
{
    struct rig r;
    rig_new(&r);
    assert_int_equal(put(&r, "before", 0), 201);
    rig_break(&r, call, EIO, part, 1);
    int during = put(&r, "during", 0), after = put(&r, "after", 0),
        read = ask_status(&r, "GET", IMAGES "/before/content"), ready = ask_status(&r, "GET", "/readyz");
    rig_mend(&r);
    server_stop(&r.server);
    rig_start(&r);
    int kept = ask_status(&r, "GET", IMAGES "/before/content"), again = put(&r, "again", 0);
    bool good = during == 500 && after == 500 && read == 200 && ready == 503 && kept == 200 && again == 201;
    result_row(good, what, "500, and no more writes; reading goes on; a restart mends it",
               "put %d, next put %d, get %d, readyz %d; after a restart get %d, put %d", during, after, read, ready,
               kept, again);
    rig_free(&r);
    assert_true(good);
}

static void after_an_io_error_nothing_more_is_acknowledged(void **state)
{
    UNUSED(state);
    result_section("A failing disk");
    probe_io_error("fdatasync of the log fails once with EIO", "fdatasync", "anchord.db-wal");
    probe_io_error("fsync of an image file fails once with EIO", "fsync", ".tmp");
    probe_io_error("fsync of an image folder fails once with EIO", "fsync", "/blobs/");
    probe_io_error("rename of an image file fails once with EIO", "rename", "/blobs/");
    probe_io_error("a write to the log fails once with EIO", "write", "anchord.db-wal");
    probe_io_error("a write to an image file fails once with EIO", "write", "/blobs/");
}

/* ---- errors that pass ---- */

static void probe_passing(const char *what, const char *call, int number, const char *part, int expected)
{
    struct rig r;
    rig_new(&r);
    assert_int_equal(put(&r, "before", 0), 201);
    rig_break(&r, call, number, part, 0);
    int during = put(&r, "during", 0), read = ask_status(&r, "GET", IMAGES "/before/content");
    rig_mend(&r);
    int after = put(&r, "after", 0), there = ask_status(&r, "GET", IMAGES "/during");
    bool good = during == expected && read == 200 && after == 201 && there == 404;
    char want[60];
    snprintf(want, sizeof want, "%d while it lasts, then 201", expected);
    result_row(good, what, want, "put %d, get %d; afterwards put %d, the refused one %d", during, read, after, there);
    server_stop(&r.server);
    rig_free(&r);
    assert_true(good);
}

static void what_passes_is_refused_until_it_has_passed(void **state)
{
    UNUSED(state);
    probe_passing("no room for an image file (ENOSPC)", "write", ENOSPC, "/blobs/", 507);
    probe_passing("no room for a new name (ENOSPC)", "open", ENOSPC, "/blobs/", 507);
    probe_passing("over the quota (EDQUOT)", "write", EDQUOT, "/blobs/", 507);
    probe_passing("no room in the log (ENOSPC)", "write", ENOSPC, "anchord.db-wal", 507);
    probe_passing("no descriptors (EMFILE)", "open", EMFILE, "/blobs/", 503);
}

/* ---- the same under load, with the ledger ---- */

static void nothing_is_lost_by_faults_under_load(void **state)
{
    UNUSED(state);
    static const struct {
        const char *call;
        int number;
        const char *part;
    } faults[] = {
        {"fdatasync", EIO, "anchord.db-wal"}, {"fsync", EIO, "/blobs/"},  {"write", EIO, "anchord.db-wal"},
        {"write", ENOSPC, "/blobs/"},         {"rename", EIO, "/blobs/"}, {"open", EMFILE, "/blobs/"},
    };
    struct rig r;
    struct ledger *l = ledger_new(8, 5);
    rig_new(&r);
    for (size_t i = 0; i < COUNT(faults); i++) {
        ledger_start(l, r.server.port);
        usleep(150000);
        ledger_mark(l);
        rig_break(&r, faults[i].call, faults[i].number, faults[i].part, 1);
        usleep(150000);
        rig_mend(&r);
        ledger_stop(l);
        server_stop(&r.server);
        rig_start(&r);
        bool good = ledger_check(l, &r.server);
        if (!good)
            fail_msg("%s: %s", faults[i].call, ledger_report(l)->first);
    }
    print_message("%zu acknowledged, %zu refused\n", ledger_report(l)->acks, ledger_report(l)->refused);
    assert_true(ledger_report(l)->acks > 100);
    server_stop(&r.server);
    rig_free(&r);
    ledger_free(l);
}

/* ---- small disks ---- */

/* A tmpfs of that size with a server's data folder on it; false without the right to mount. */
static bool small_disk(struct rig *r, const char *size)
{
    snprintf(r->scratch, sizeof r->scratch, "/tmp/anchord-small-XXXXXX");
    assert_non_null(mkdtemp(r->scratch));
    if (mount("none", r->scratch, "tmpfs", 0, size) != 0) {
        rmdir(r->scratch);
        print_message("needs the right to mount a tmpfs\n");
        return false;
    }
    snprintf(r->data, sizeof r->data, "%s/data", r->scratch);
    return true;
}

static void start_with_least(struct rig *r, const char *min_free)
{
    const char *const env[] = {min_free, NULL};
    expect_start(&r->server, &(struct server_options){.dir = r->data, .env = env});
}

static void start_on_small_disk(struct rig *r)
{
    start_with_least(r, "ANCHORD_MIN_FREE_BYTES=2097152");
}

static void remove_small_disk(struct rig *r)
{
    server_stop(&r->server);
    assert_int_equal(umount(r->scratch), 0);
    rmdir(r->scratch);
}

static int delete_first(struct rig *r, int n)
{
    int deleted = 0;
    for (int i = 0; i < n; i++) {
        char target[60];
        snprintf(target, sizeof target, IMAGES "/f%d", i);
        deleted += ask_status(r, "DELETE", target) == 204;
    }
    return deleted;
}

/* Uploads until one is refused, at most `most`; how many were stored. */
static int put_until_refused(struct rig *r, int most, int *status)
{
    int stored = 0;
    for (*status = 201; *status == 201 && stored < most; stored += *status == 201) {
        char id[24];
        snprintf(id, sizeof id, "f%d", stored);
        *status = put(r, id, 200000);
    }
    return stored;
}

static void a_disk_that_uploads_filled_is_left_by_deleting(void **state)
{
    UNUSED(state);
    struct rig r;
    int full;
    if (!small_disk(&r, "size=24m"))
        skip();
    start_on_small_disk(&r);
    int stored = put_until_refused(&r, 1000, &full), reads = ask_status(&r, "GET", IMAGES "/f0/content");
    int deleted = delete_first(&r, stored), again = put(&r, "again", 200000);
    server_stop(&r.server);
    start_on_small_disk(&r);
    int kept = ask_status(&r, "GET", IMAGES "/again/content");
    bool good = full == 507 && stored > 10 && reads == 200 && deleted == stored && again == 201 && kept == 200;
    result_row(good, "a disk of 24 MB filled by uploads, then emptied by deletes",
               "507 when full, deletes work, room again",
               "%d stored, then %d; get %d; %d deleted; put %d; after a restart get %d", stored, full, reads, deleted,
               again, kept);
    remove_small_disk(&r);
    assert_true(good);
}

/* Something else writes to the disk until not a byte is left. */
static void fill_up(const struct rig *r, const char *name)
{
    static const char zeros[65536];
    char path[200];
    snprintf(path, sizeof path, "%s/%s", r->scratch, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    setvbuf(f, NULL, _IONBF, 0);
    for (size_t n = sizeof zeros; n > 0; n /= 2)
        while (fwrite(zeros, n, 1, f) == 1)
            ;
    fclose(f);
}

/* Something else leaves no more than that. */
static void fill_up_to(const struct rig *r, const char *name, uint64_t left)
{
    char path[200];
    uint64_t room;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", r->scratch, name);
    assert_ok(file_free_space(r->scratch, &room, &e), e);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && room > left);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)(room - left)), 0);
    close(fd);
}

static void a_disk_that_others_filled_still_lets_delete(void **state)
{
    UNUSED(state);
    struct rig r;
    char other[200];
    int status;
    if (!small_disk(&r, "size=64m"))
        skip();
    start_on_small_disk(&r);
    int stored = put_until_refused(&r, 20, &status);
    fill_up(&r, "other");
    int full = put(&r, "one-more", 200000), reads = ask_status(&r, "GET", IMAGES "/f0/content"),
        deleted = delete_first(&r, stored);
    snprintf(other, sizeof other, "%s/other", r.scratch);
    unlink(other);
    int again = put(&r, "again", 200000);
    bool good = stored == 20 && full == 507 && reads == 200 && deleted == stored && again == 201;
    result_row(good, "a disk filled to the last byte by something else", "507, reads and deletes work, room again",
               "put %d, get %d, %d of %d deleted, afterwards put %d", full, reads, deleted, stored, again);
    remove_small_disk(&r);
    assert_true(good);
}

/* ---- a change of model ---- */

static void import_second(struct rig *r)
{
    struct client admin = client_to(r->server.admin);
    struct model *m = small_model_of(SMALL_MODEL_SEED + 1);
    char path[300];
    struct err e = {0};
    void *bytes = NULL;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/model", r->scratch);
    assert_ok(model_save(m, path, &e) && file_read(path, 16 << 20, &bytes, &len, &e), e);
    expect_status(&admin, 201,
                  &(struct ask){.method = "POST",
                                .target = "/v1/models?id=second",
                                .body = bytes,
                                .len = len,
                                .type = "application/octet-stream"});
    unlink(path);
    free(bytes);
    model_free(m);
    client_close(&admin);
}

/* A text of the newest generation, or ""; the caller frees. */
static char *newest(struct client *admin, const char *what)
{
    struct json *doc = expect_get(admin, 200, "/v1/collections/default/generations");
    const char *text = json_as_text(json_member(value_at(doc, "data.0"), what), NULL);
    char *copy = strdup(text ? text : "");
    json_free(doc);
    return copy;
}

/* Polls until it is that; false after 20 s. */
static bool newest_becomes(struct client *admin, const char *what, const char *wanted)
{
    bool is = false;
    for (double until = clock_s() + t_patience(20); !is && clock_s() < until;) {
        char *now = newest(admin, what);
        is = strcmp(now, wanted) == 0;
        free(now);
        usleep(50000);
    }
    return is;
}

static bool finds(struct rig *r, const char *model)
{
    struct client c = client_to(r->server.port);
    struct json *doc = expect_post(&c, 200, "/v1/collections/default/search", "{\"id\":\"f0\",\"limit\":100}");
    bool ok = count_at(doc, "data") == 20 && strcmp(text_at(doc, "model"), model) == 0;
    json_free(doc);
    client_close(&c);
    return ok;
}

/* Begun while there is a little room, which is gone with the first vectors. */
static void a_change_of_model_waits_for_room(void **state)
{
    UNUSED(state);
    struct rig r;
    char other[200];
    int status;
    if (!small_disk(&r, "size=96m"))
        skip();
    start_with_least(&r, "ANCHORD_MIN_FREE_BYTES=25165824"); /* more than the ballast gives */
    import_second(&r);
    int stored = put_until_refused(&r, 20, &status);
    snprintf(other, sizeof other, "%s/other", r.scratch);
    struct client admin = client_to(r.server.admin);
    fill_up(&r, "other");
    expect_status(&admin, 507,
                  &(struct ask){.method = "POST",
                                .target = "/v1/collections/default/model",
                                .type = "application/json",
                                .body = "{\"model\":\"second\"}",
                                .len = 18});
    unlink(other);
    assert_int_equal(put(&r, "pause", 0), 201);
    usleep(1500000); /* then the log is empty, and takes room when it is written to */
    fill_up_to(&r, "other", 25165824 + 32768);
    struct json *begun = expect_post(&admin, 202, "/v1/collections/default/model", "{\"model\":\"second\"}");
    json_free(begun);
    bool waits = newest_becomes(&admin, "note", "the disk is nearly full"), serves = finds(&r, "small");
    char *state_then = newest(&admin, "state");
    bool building = strcmp(state_then, "building") == 0;
    unlink(other);
    bool done = newest_becomes(&admin, "state", "active"), found = finds(&r, "second");
    bool good = stored == 20 && waits && serves && building && done && found;
    result_row(good, "a change of model on a disk filled to the last byte",
               "it waits and says so, searches go on; done when there is room",
               "waits %d, searches %d, state %s; with room: done %d, searches by the new model %d", waits, serves,
               state_then, done, found);
    free(state_then);
    client_close(&admin);
    remove_small_disk(&r);
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_an_io_error_nothing_more_is_acknowledged),
        cmocka_unit_test(what_passes_is_refused_until_it_has_passed),
        cmocka_unit_test(nothing_is_lost_by_faults_under_load),
        cmocka_unit_test(a_disk_that_uploads_filled_is_left_by_deleting),
        cmocka_unit_test(a_disk_that_others_filled_still_lets_delete),
        cmocka_unit_test(a_change_of_model_waits_for_room),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
