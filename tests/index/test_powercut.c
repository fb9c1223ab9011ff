/* test_powercut.c - the played loss of power: what was synced stays, what was not goes, and nothing else. */
#include "tests/t.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "tests/lib/powercut.h"

static const char *self; /* path of this program */

/* ---- the victim: this program again, with the library preloaded, until it kills itself ---- */

static char root[300];

static const char *at(const char *name)
{
    static char path[2][400];
    static int i;
    i = !i;
    snprintf(path[i], sizeof path[i], "%s/%s", root, name);
    return path[i];
}

static int put(const char *name, int flags, const char *text)
{
    int fd = open(at(name), O_WRONLY | flags, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(3);
    return fd;
}

static void sync_folder(const char *name)
{
    int fd = open(at(name), O_RDONLY | O_DIRECTORY);
    if (fd < 0 || fsync(fd) != 0)
        _exit(4);
    close(fd);
}

static void replace(const char *name, const char *text, bool sync)
{
    int fd = put("work/tmp", O_CREAT, text);
    if ((sync && fsync(fd) != 0) || close(fd) != 0 || rename(at("work/tmp"), at(name)) != 0)
        _exit(5);
}

static void victim(void)
{
    put("overwritten", 0, "new");
    fsync(put("never-named/file", O_CREAT, "synced, but the folder was not"));
    replace("durable/file", "whole", true);
    sync_folder("durable");
    replace("hollow/file", "never synced", false);
    sync_folder("hollow");
    unlink(at("removed"));
    replace("replaced", "after", true);
    int fd = put("grown", O_APPEND, "-synced");
    fdatasync(fd);
    if (write(fd, "-lost", 5) != 5)
        _exit(6);
    fsync(put("cut", O_TRUNC, "x"));
    put("shortened", O_TRUNC, "y");
    mkdir(at("fresh"), 0700);
    fsync(put("fresh/file", O_CREAT, "in a folder that is not there"));
    sync_folder("fresh");
    raise(SIGKILL);
}

/* ---- the tests ---- */

static char *scratch, journal[300];

static void write_old(const char *name, const char *text)
{
    struct err e = {0};
    assert_ok(file_replace(at(name), text, strlen(text), &e), e);
}

/* Runs the victim over a known state and takes back what it had not synced. */
static void run(const char *nosync, struct rng *rng)
{
    static const char *const folders[] = {"work", "never-named", "durable", "hollow"};
    char set[4][400];
    struct powercut cut;
    struct err e = {0};
    scratch = t_make_dir();
    snprintf(root, sizeof root, "%s/root", scratch);
    snprintf(journal, sizeof journal, "%s/journal", scratch);
    assert_ok(file_make_dirs(journal, &e), e);
    for (size_t i = 0; i < COUNT(folders); i++)
        assert_ok(file_make_dirs(at(folders[i]), &e), e);
    write_old("overwritten", "old content");
    write_old("removed", "kept");
    write_old("replaced", "before");
    write_old("grown", "begin");
    write_old("cut", "long text");
    write_old("shortened", "long text");
    snprintf(set[0], sizeof set[0], "LD_PRELOAD=%s/tests/faults/preload.so", getenv("B"));
    snprintf(set[1], sizeof set[1], "FAULTS_DIR=%s", root);
    snprintf(set[2], sizeof set[2], "FAULTS_JOURNAL=%s", journal);
    snprintf(set[3], sizeof set[3], "FAULTS_NOSYNC=%s", nosync);
    char *args[] = {(char *)(uintptr_t)self, (char[]){"victim"}, root, NULL};
    char *env[] = {set[0], set[1], set[2], set[3], (char[]){"ASAN_OPTIONS=verify_asan_link_order=0"}, NULL};
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execve(self, args, env);
        _exit(9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_ok(powercut_apply(journal, rng, &cut, &e), e);
    assert_true(cut.records > 20);
}

/* The text of a file; NULL when it is not there.  Static. */
static const char *content(const char *name)
{
    static char text[200];
    void *bytes = NULL;
    size_t len;
    struct err e = {0};
    bool there = file_read(at(name), sizeof text - 1, &bytes, &len, &e);
    if (there)
        snprintf(text, sizeof text, "%s", (char *)bytes);
    free(bytes);
    return there ? text : NULL;
}

static void what_was_synced_stays_and_the_rest_goes(void **state)
{
    UNUSED(state);
    run("", NULL);
    assert_string_equal(content("overwritten"), "old content");
    assert_null(content("never-named/file"));
    assert_string_equal(content("durable/file"), "whole");
    assert_string_equal(content("hollow/file"), "");
    assert_string_equal(content("removed"), "kept");
    assert_string_equal(content("replaced"), "before");
    assert_string_equal(content("grown"), "begin-synced");
    assert_string_equal(content("cut"), "x");
    assert_string_equal(content("shortened"), "long text");
    assert_int_equal(access(at("fresh"), F_OK), -1);
    t_remove_dir(scratch);
}

static void a_sync_that_only_pretends_saves_nothing(void **state)
{
    UNUSED(state);
    run("file", NULL);
    assert_string_equal(content("durable/file"), "");
    assert_string_equal(content("grown"), "begin");
    t_remove_dir(scratch);
    run("dir", NULL);
    assert_null(content("durable/file"));
    t_remove_dir(scratch);
}

static void a_random_loss_keeps_beginnings_only(void **state)
{
    UNUSED(state);
    size_t lost = 0, kept = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rng rng = rng_new(seed);
        run("", &rng);
        const char *grown = content("grown");
        if (strcmp(grown, "begin-synced-lost") == 0)
            kept++;
        else
            lost += strcmp(grown, "begin-synced") == 0;
        assert_string_equal(content("durable/file"), "whole");
        t_remove_dir(scratch);
    }
    assert_true(lost > 0 && kept > 0 && lost + kept == 40);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc == 3 && strcmp(argv[1], "victim") == 0) {
        snprintf(root, sizeof root, "%s", argv[2]);
        victim();
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_stays_and_the_rest_goes),
        cmocka_unit_test(a_sync_that_only_pretends_saves_nothing),
        cmocka_unit_test(a_random_loss_keeps_beginnings_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
