/* test_store_faults.c - the n-th call of the disk fails, for every n: what was acknowledged stays, what was not
 * is there whole or not at all, and after a failed write of the disk nothing is acknowledged any more.
 *
 * The functions below stand in front of the C library's for this whole program, SQLite included.
 */
#undef _FORTIFY_SOURCE /* its inline functions have the names of ours */
#include "tests/t.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "index/store.h"
#include "tests/lib/generation_steps.h"
#include "tests/lib/stores.h"

/* ---- the failing disk ---- */

#define CALLS(X) X(OPEN) X(WRITE) X(PWRITE) X(FSYNC) X(FDATASYNC) X(RENAME) X(UNLINK) X(FTRUNCATE) X(PREAD)
enum call {
#define X(name) CALL_##name,
    CALLS(X)
#undef X
        CALL_KINDS
};
static const char *const call_names[] = {
#define X(name) #name,
    CALLS(X)
#undef X
};

static struct {
    atomic_int call; /* -1: none fails */
    atomic_int left; /* until the failing one; below 0 it has failed */
    int number;      /* errno */
    bool persistent; /* all later ones fail, too */
} fault = {.call = -1};

static void arm(enum call call, int n, int number, bool persistent)
{
    fault.number = number;
    fault.persistent = persistent;
    atomic_store(&fault.left, n);
    atomic_store(&fault.call, (int)call);
}

/* True when it struck. */
static bool disarm(void)
{
    atomic_store(&fault.call, -1);
    return atomic_load(&fault.left) < 0;
}

static bool strikes(enum call call)
{
    if (atomic_load(&fault.call) != (int)call)
        return false;
    int left = atomic_fetch_sub(&fault.left, 1);
    if (left > 0 || (left < 0 && !fault.persistent))
        return false;
    errno = fault.number;
    return true;
}

/* The function behind ours; `real` is a pointer to it. */
static void find(void *real, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(real, &symbol, sizeof symbol);
}

/* A call with these parameters that fails when it is its turn. */
#define STAND_IN(type, name, call, parameters, arguments)                                                              \
    type name parameters                                                                                               \
    {                                                                                                                  \
        type(*real) parameters;                                                                                        \
        find(&real, #name);                                                                                            \
        return strikes(call) ? -1 : real arguments;                                                                    \
    }
STAND_IN(int, fsync, CALL_FSYNC, (int fd), (fd))
STAND_IN(int, fdatasync, CALL_FDATASYNC, (int fd), (fd))
STAND_IN(ssize_t, write, CALL_WRITE, (int fd, const void *data, size_t len), (fd, data, len))
STAND_IN(ssize_t, pwrite64, CALL_PWRITE, (int fd, const void *data, size_t len, off64_t at), (fd, data, len, at))
STAND_IN(ssize_t, pread64, CALL_PREAD, (int fd, void *data, size_t len, off64_t at), (fd, data, len, at))
STAND_IN(int, rename, CALL_RENAME, (const char *from, const char *to), (from, to))
STAND_IN(int, unlink, CALL_UNLINK, (const char *path), (path))
STAND_IN(int, ftruncate64, CALL_FTRUNCATE, (int fd, off64_t len), (fd, len))

static int open_any(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...);
    find(&real, name);
    return strikes(CALL_OPEN) ? -1 : real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_any("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_any("open64", path, flags, mode);
}

/* ---- what clients may expect ---- */

enum { IDS = 4, ABSENT = 0 };
static const char *const ids[IDS] = {"a", "b", "c", "d"};

struct scene {
    char *dir;
    struct store *s;
    unsigned sure[IDS];  /* the content of each id as acknowledged last; ABSENT when there is none */
    unsigned maybe[IDS]; /* as the write that degraded the store would have made it */
    unsigned content;    /* the last one used */
    bool could;          /* the store was writable before the step at hand */
};

/* A write that failed is not there, unless the disk failed while it was on its way. */
static void note(struct scene *c, size_t id, unsigned content, bool acknowledged)
{
    if (acknowledged)
        c->sure[id] = c->maybe[id] = content;
    else if (c->could && !store_is_writable(c->s))
        c->maybe[id] = content;
}

static bool try_put(struct scene *c, size_t id, struct err *e)
{
    unsigned content = ++c->content;
    c->could = store_is_writable(c->s);
    bool ok = stores_put(c->s, &(struct stores_image){.id = ids[id], .content = content, .label = "x"}, NULL, e);
    note(c, id, content, ok);
    return ok;
}

static bool try_delete(struct scene *c, size_t id, struct err *e)
{
    c->could = store_is_writable(c->s);
    bool ok = stores_delete(c->s, ids[id], e);
    note(c, id, ABSENT, ok);
    return ok;
}

static bool try_patch(struct scene *c, size_t id, struct err *e)
{
    struct write w = {.kind = WRITE_IMAGE_PATCH,
                      .collection = "default",
                      .image.id = ids[id],
                      .image.patch = {.set_label = true, .label = "y"}};
    bool ok = store_write(c->s, &w, e);
    write_clear(&w);
    return ok;
}

/* A bit of everything.  Once the store is degraded, nothing may be acknowledged. */
static void play(struct scene *c)
{
    static bool (*const steps[])(struct scene *, size_t, struct err *) = {try_put, try_put, try_put,    try_patch,
                                                                          try_put, try_put, try_delete, try_put};
    static const size_t on[] = {0, 1, 0, 1, 2, 1, 2, 3};
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct err e = {0};
        bool could = store_is_writable(c->s);
        bool ok = steps[i](c, on[i], &e);
        if (ok && !could)
            fail_msg("step %zu was acknowledged by a degraded store", i);
        if (!ok && e.code == ERR_NONE)
            fail_msg("step %zu failed without an error", i);
    }
}

static bool is_as(struct scene *c, size_t id, unsigned content, bool there)
{
    return there ? content != ABSENT && stores_finds(c->s, content, ids[id]) : content == ABSENT;
}

/* Each id is as acknowledged, or as the write that degraded the store would have made it; nothing is half there. */
static void check(struct scene *c, const char *what, bool count_files)
{
    struct err e = {0};
    if (!stores_check(c->s, count_files ? c->dir : NULL, &e))
        fail_msg("%s: %s", what, e.text);
    for (size_t i = 0; i < IDS; i++) {
        struct image_row row;
        bool there = store_image(c->s, "default", ids[i], &row, NULL);
        if (there)
            image_row_clear(&row);
        if (!is_as(c, i, c->sure[i], there) && !is_as(c, i, c->maybe[i], there))
            fail_msg("%s: %s is %s, acknowledged was content %u", what, ids[i], there ? "there" : "missing",
                     c->sure[i]);
    }
}

/* Starts the next scene from what is really there. */
static void settle(struct scene *c)
{
    for (size_t i = 0; i < IDS; i++) {
        struct err e = {0};
        if (!stores_delete(c->s, ids[i], &e) && e.code != ERR_NOT_FOUND)
            fail_msg("deleting %s: %s", ids[i], e.text);
    }
    memset(c->sure, 0, sizeof c->sure);
    memset(c->maybe, 0, sizeof c->maybe);
}

static void reopen(struct scene *c, const char *what)
{
    struct err e = {0};
    store_close(c->s);
    c->s = stores_open(c->dir, &e);
    if (!c->s)
        fail_msg("%s: reopening: %s", what, e.text);
}

static int open_scene(void **state)
{
    struct scene *c = calloc(1, sizeof *c);
    struct err e = {0};
    log_set_level(LOG_OFF);
    c->dir = t_make_dir();
    c->s = stores_open(c->dir, &e);
    *state = c;
    return c->s && stores_create(c->s, "default", &e) ? 0 : -1;
}

static int close_scene(void **state)
{
    struct scene *c = *state;
    disarm();
    store_close(c->s);
    t_remove_dir(c->dir);
    free(c);
    return 0;
}

/* ---- the tests ---- */

/* The others may fail for something that is not needed. */
static bool must_degrade(enum call call)
{
    return call == CALL_WRITE || call == CALL_PWRITE || call == CALL_FSYNC || call == CALL_FDATASYNC ||
           call == CALL_RENAME;
}

/* Plays with the n-th call failing, n = 0, 1, ..., until none is left to fail.  Gives how many did. */
static int every(struct scene *c, enum call call, int number, bool persistent)
{
    char what[96];
    for (int n = 0;; n++) {
        snprintf(what, sizeof what, "%s %d with %s%s", call_names[call], n, strerrorname_np(number),
                 persistent ? " and all after it" : "");
        arm(call, n, number, persistent);
        play(c);
        bool struck = disarm();
        if (struck && number == EIO && must_degrade(call) && store_is_writable(c->s))
            fail_msg("%s: went unnoticed", what);
        if (store_is_writable(c->s))
            check(c, what, call != CALL_UNLINK); /* what cannot be removed waits for the next start */
        if (number == ENOSPC && call != CALL_FSYNC && call != CALL_FDATASYNC && !store_is_writable(c->s))
            fail_msg("%s: a full disk must pass", what);
        reopen(c, what);
        check(c, what, true);
        settle(c);
        if (!struck)
            return n;
    }
}

static void nothing_acknowledged_is_lost_when_the_disk_fails_once(void **state)
{
    static const enum call calls[] = {CALL_OPEN,      CALL_WRITE,  CALL_PWRITE, CALL_FSYNC,
                                      CALL_FDATASYNC, CALL_RENAME, CALL_UNLINK, CALL_FTRUNCATE};
    int struck[CALL_KINDS], all = 0;
    for (size_t i = 0; i < COUNT(calls); i++)
        all += struck[calls[i]] = every(*state, calls[i], EIO, false);
    print_message("%d failures\n", all);
    assert_true(all > 60);
    assert_int_equal(struck[CALL_FSYNC], 12); /* six puts: the file and its folder */
    assert_int_equal(struck[CALL_RENAME], 6);
    assert_true(struck[CALL_FDATASYNC] >= 8); /* each step's commit */
}

static void nothing_acknowledged_is_lost_when_the_disk_fails_for_good(void **state)
{
    static const enum call calls[] = {CALL_WRITE, CALL_FSYNC, CALL_FDATASYNC, CALL_RENAME};
    for (size_t i = 0; i < COUNT(calls); i++)
        assert_true(every(*state, calls[i], EIO, true) > 0);
}

static void a_full_disk_loses_nothing_and_passes(void **state)
{
    static const enum call calls[] = {CALL_OPEN, CALL_WRITE, CALL_PWRITE};
    for (size_t i = 0; i < COUNT(calls); i++) {
        assert_true(every(*state, calls[i], ENOSPC, false) > 0);
        assert_true(every(*state, calls[i], ENOSPC, true) > 0);
    }
}

static void a_lack_of_descriptors_passes(void **state)
{
    struct scene *c = *state;
    struct err e = {0};
    arm(CALL_OPEN, 0, EMFILE, true);
    assert_false(try_put(c, 0, &e));
    assert_int_equal(e.code, ERR_BUSY);
    disarm();
    e = (struct err){0};
    assert_ok(try_put(c, 0, &e), e);
    reopen(c, "EMFILE"); /* the first reader opens the catalogue */
    struct image_row row;
    arm(CALL_OPEN, 0, EMFILE, true);
    assert_err(store_image(c->s, "default", "a", &row, &e), e, ERR_BUSY);
    disarm();
    check(c, "EMFILE", true);
}

static void a_failed_sync_is_never_tried_again(void **state)
{
    struct scene *c = *state;
    struct err e = {0};
    arm(CALL_FDATASYNC, 0, EIO, false);
    assert_err(try_put(c, 0, &e), e, ERR_IO);
    assert_true(disarm());
    assert_false(store_is_writable(c->s)); /* though the disk works again */
    assert_err(try_put(c, 1, &e), e, ERR_IO);
    assert_err(try_delete(c, 1, &e), e, ERR_IO);
    arm(CALL_PWRITE, 0, EIO, false);
    store_close(c->s);
    assert_false(disarm()); /* nothing is copied from a log that may be damaged */
    e = (struct err){0};
    c->s = stores_open(c->dir, &e);
    assert_non_null(c->s);
    check(c, "after a failed sync", true);
    e = (struct err){0};
    assert_ok(try_put(c, 1, &e), e);
}

static void a_failed_read_is_told_and_hurts_nobody_else(void **state)
{
    struct scene *c = *state;
    struct err e = {0};
    struct image_row row;
    assert_ok(try_put(c, 0, &e), e);
    reopen(c, "before reading");
    int n = 0;
    for (bool struck = true; struck; n++) {
        arm(CALL_PREAD, n, EIO, false);
        e = (struct err){0};
        if (store_image(c->s, "default", "a", &row, &e))
            image_row_clear(&row);
        else
            assert_int_equal(e.code, ERR_IO);
        struck = disarm();
        e = (struct err){0};
        assert_ok(store_image(c->s, "default", "a", &row, &e), e);
        image_row_clear(&row);
        assert_true(store_is_writable(c->s));
    }
}

/* Opens with the n-th call failing, for every n; gives how often that was not possible. */
static int open_with(struct scene *c, enum call call, int number, enum err_code expected)
{
    int failed = 0;
    bool struck = true;
    for (int n = 0; struck; n++) {
        struct err e = {0};
        store_close(c->s);
        arm(call, n, number, false);
        c->s = stores_open(c->dir, &e);
        struck = disarm();
        if (!c->s) {
            failed++;
            if (e.code != expected && !(call == CALL_PREAD && e.code == ERR_CORRUPT)) /* the check says so */
                fail_msg("%s %d: %s (%s)", call_names[call], n, err_name(e.code), e.text);
            reopen(c, call_names[call]);
        }
        check(c, call_names[call], true);
    }
    return failed;
}

static void opening_fails_cleanly_and_the_next_time_it_works(void **state)
{
    struct scene *c = *state;
    struct err e = {0};
    int failed = 0;
    static const enum call calls[] = {CALL_OPEN, CALL_PREAD, CALL_PWRITE, CALL_FSYNC, CALL_FDATASYNC};
    assert_ok(try_put(c, 0, &e), e);
    for (size_t i = 0; i < COUNT(calls); i++)
        failed += open_with(c, calls[i], EIO, ERR_IO);
    assert_true(failed > 10);
    assert_int_equal(open_with(c, CALL_PWRITE, ENOSPC, ERR_FULL), 0); /* the reserve lets it start */
}

/* ---- models ---- */

static bool try_model(struct scene *c, const char *id, const char *content, struct err *e)
{
    char path[400];
    struct write w = {
        .kind = WRITE_MODEL_ADD, .model.row = {.arch = "x", .dimensions = STORES_DIMENSIONS}, .model.file = path};
    snprintf(w.model.row.id, sizeof w.model.row.id, "%s", id);
    hash_text(content, strlen(content), w.model.row.fingerprint);
    store_model_draft(c->s, path, sizeof path);
    bool ok = file_replace(path, content, strlen(content), e) && store_write(c->s, &w, e);
    unlink(path); /* as every caller does: what the commit has named is elsewhere */
    return ok;
}

static bool model_holds(struct scene *c, const char *id, const char *content)
{
    char path[400];
    void *bytes = NULL;
    size_t len = 0;
    store_model_path(c->s, id, path, sizeof path);
    bool same = file_read(path, 1000, &bytes, &len, NULL) && len == strlen(content) && memcmp(bytes, content, len) == 0;
    free(bytes);
    return same;
}

static void another_model_of_the_same_id_never_touches_the_file(void **state)
{
    struct scene *c = *state;
    struct err e = {0};
    assert_ok(try_model(c, "m", "the first", &e), e);
    assert_err(try_model(c, "m", "another", &e), e, ERR_CONFLICT);
    assert_true(model_holds(c, "m", "the first"));
}

/* A commit that failed may come back from the log; then its file must be there, too. */
static void a_model_is_there_with_its_file_or_not_at_all(void **state)
{
    struct scene *c = *state;
    static const enum call calls[] = {CALL_OPEN, CALL_WRITE, CALL_PWRITE, CALL_FSYNC, CALL_FDATASYNC, CALL_RENAME};
    int came_back = 0;
    for (size_t i = 0; i < COUNT(calls); i++)
        for (int n = 0, struck = 1; struck; n++) {
            char id[40];
            struct err e = {0};
            struct model_row row;
            snprintf(id, sizeof id, "m%zu-%d", i, n);
            arm(calls[i], n, EIO, false);
            bool ok = try_model(c, id, id, &e);
            struck = disarm();
            reopen(c, id);
            bool there = store_model(c->s, id, &row, NULL);
            if (there)
                model_row_clear(&row);
            if ((ok && !there) || (there && !model_holds(c, id, id)))
                fail_msg("%s %d: acknowledged %d, row %d, file %d", call_names[calls[i]], n, ok, there,
                         model_holds(c, id, id));
            came_back += there && !ok;
        }
    assert_true(came_back > 0);
}

static size_t backups(struct scene *c)
{
    struct backup_row *rows;
    struct err e = {0};
    size_t n;
    assert_ok(store_backups(c->s, &rows, &n, &e), e);
    for (size_t i = 0; i < n; i++)
        backup_row_clear(&rows[i]);
    free(rows);
    return n;
}

static void a_backup_that_failed_is_none(void **state)
{
    struct scene *c = *state;
    struct err e = {0};
    int failed = 0;
    assert_ok(try_put(c, 0, &e), e);
    for (int n = 0, struck = 1; struck; n++) {
        struct write w = {.kind = WRITE_BACKUP};
        size_t before = backups(c);
        arm(CALL_FSYNC, n, EIO, false);
        e = (struct err){0};
        bool ok = store_write(c->s, &w, &e);
        struck = disarm();
        failed += !ok;
        assert_int_equal(backups(c), before + ok);
        assert_true(store_is_writable(c->s));
    }
    assert_true(failed > 3);
}

/* ---- a change of generation on such a disk ---- */

static int64_t active(struct scene *c)
{
    struct collection_row row;
    struct err e = {0};
    assert_ok(store_collection(c->s, "default", &row, &e), e);
    return row.generation;
}

static void open_change(struct scene *c)
{
    struct generation_row row;
    struct err e = {0};
    assert_ok(generation_steps_model(c->s, "anchord-base", &e) && generation_steps_model(c->s, "b", &e), e);
    for (size_t i = 0; i < IDS; i++)
        assert_ok(generation_steps_put(c->s, ids[i], (unsigned)i + 1, &e), e);
    assert_ok(generation_steps_start(c->s, "b", &row, &e) && generation_steps_complete(c->s, &row, &e), e);
}

/* Goes back to the other generation, which lacks `id`; false when the disk did not let it. */
static bool change(struct scene *c, size_t id, struct err *e)
{
    struct generation_row row;
    return generation_steps_put(c->s, ids[id], (unsigned)id + 1, e) && generation_steps_return(c->s, 0, &row, e) &&
           generation_steps_complete(c->s, &row, e);
}

static void check_change(struct scene *c, const char *what)
{
    for (size_t i = 0; i < IDS; i++)
        if (!generation_steps_finds(c->s, (unsigned)i + 1, ids[i]))
            fail_msg("%s: %s is not found in generation %lld", what, ids[i], (long long)active(c));
}

/* What a failure left under way gets done, or is begun anew. */
static void finish_change(struct scene *c, const char *what)
{
    struct generation_row *rows, row;
    struct err e = {0};
    size_t n;
    assert_ok(generation_list_in(c->s, GENERATION_BUILDING, &rows, &n, &e), e);
    if (n > 0)
        row = rows[0];
    else
        assert_ok(generation_steps_return(c->s, 0, &row, &e), e);
    free(rows);
    if (!generation_steps_complete(c->s, &row, &e))
        fail_msg("%s: it does not get done afterwards: %s", what, e.text);
    check_change(c, what);
}

/* The n-th call fails, for every n: the collection is whole in one generation or the other. */
static int every_change(struct scene *c, enum call call, int number)
{
    char what[96];
    for (int n = 0;; n++) {
        struct err e = {0};
        int64_t before = active(c), wanted = 3 - before;
        snprintf(what, sizeof what, "change, %s %d with %s", call_names[call], n, strerrorname_np(number));
        arm(call, n, number, false);
        bool ok = change(c, (size_t)n % IDS, &e);
        bool struck = disarm();
        if (active(c) != (ok ? wanted : before) && store_is_writable(c->s))
            fail_msg("%s: generation %lld is active, %s", what, (long long)active(c), e.text);
        if (number == ENOSPC && call != CALL_FDATASYNC && !store_is_writable(c->s))
            fail_msg("%s: a full disk must pass", what);
        if (store_is_writable(c->s))
            check_change(c, what);
        reopen(c, what);
        if (ok && active(c) != wanted)
            fail_msg("%s: the switch was acknowledged and is lost", what);
        check_change(c, what);
        finish_change(c, what);
        if (!struck)
            return n;
    }
}

static void a_change_of_generation_is_whole_or_not_at_all(void **state)
{
    static const enum call calls[] = {CALL_OPEN, CALL_WRITE, CALL_PWRITE, CALL_FSYNC, CALL_FDATASYNC, CALL_RENAME};
    int struck = 0;
    open_change(*state);
    for (size_t i = 0; i < COUNT(calls); i++)
        struck += every_change(*state, calls[i], EIO);
    assert_true(every_change(*state, CALL_PWRITE, ENOSPC) > 3);
    print_message("%d failures\n", struck);
    assert_true(struck > 20);
}

int main(void)
{
    json_init();
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* hundreds of restarts: no need to wait for a real disk */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_when_the_disk_fails_once),
        cmocka_unit_test(nothing_acknowledged_is_lost_when_the_disk_fails_for_good),
        cmocka_unit_test(a_full_disk_loses_nothing_and_passes),
        cmocka_unit_test(a_lack_of_descriptors_passes),
        cmocka_unit_test(a_failed_sync_is_never_tried_again),
        cmocka_unit_test(another_model_of_the_same_id_never_touches_the_file),
        cmocka_unit_test(a_model_is_there_with_its_file_or_not_at_all),
        cmocka_unit_test(a_backup_that_failed_is_none),
        cmocka_unit_test(a_failed_read_is_told_and_hurts_nobody_else),
        cmocka_unit_test(a_change_of_generation_is_whole_or_not_at_all),
        cmocka_unit_test(opening_fails_cleanly_and_the_next_time_it_works),
    };
    return T_RUN_EACH(tests, open_scene, close_scene);
}
