/* test_log.c - gathered lines, their order among others, quoting; and telling systemd. */
#include "tests/t.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cores.h"
#include "base/log.h"
#include "server/process/notify.h"

/* Standard error goes into a file while `during` runs; its text is given. */
static char *captured(void (*during)(void))
{
    static char text[200000];
    char path[] = "/tmp/anchord-log-XXXXXX";
    int file = mkstemp(path), old = dup(STDERR_FILENO);
    assert_true(file >= 0 && old >= 0);
    unlink(path);
    dup2(file, STDERR_FILENO);
    during();
    dup2(old, STDERR_FILENO);
    close(old);
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    close(file);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void three_then_one(void)
{
    for (int i = 0; i < 3; i++)
        log_later("access", "n=%d", i);
    log_warn("other", "n=3");
    log_later("access", "n=4");
    log_flush();
}

static void two_that_wait(void)
{
    log_later("access", "n=0");
    log_later("access", "n=1");
}

static void a_thousand(void)
{
    for (int i = 0; i < 1000; i++)
        log_later("access", "%0100d", i);
    log_flush();
}

static void gathered_lines_come_before_what_is_written_after_them(void **state)
{
    UNUSED(state);
    const char *at = captured(three_then_one);
    for (int i = 0; i < 5; i++) {
        char want[16];
        snprintf(want, sizeof want, " n=%d\n", i);
        at = strstr(at, want);
        if (!at)
            fail_msg("line %d is missing or out of order", i);
    }
    assert_string_equal(captured(two_that_wait), "");
    assert_non_null(strstr(captured(log_flush), "n=1\n"));
}

static void more_lines_than_fit_are_all_written_whole(void **state)
{
    UNUSED(state);
    size_t lines = 0;
    for (const char *p = captured(a_thousand); (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 1000);
}

static void nobody_can_forge_a_line(void **state)
{
    UNUSED(state);
    char out[64], small[12];
    assert_string_equal(log_quote("a\n\"b\\\x1b\xff", out, sizeof out), "\"a\\x0a\\x22b\\x5c\\x1b\\xff\"");
    assert_true(strlen(log_quote("0123456789abcdef", small, sizeof small)) < sizeof small);
}

static void systemd_is_told_when_it_asks(void **state)
{
    UNUSED(state);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char *dir = t_make_dir(), got[32] = {0};
    unsetenv("NOTIFY_SOCKET");
    assert_false(notify("READY=1"));
    snprintf(at.sun_path, sizeof at.sun_path, "%.80s/s", dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    setenv("NOTIFY_SOCKET", at.sun_path, 1);
    assert_true(notify("READY=1"));
    assert_int_equal(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_false(notify("READY=1"));
    unsetenv("NOTIFY_SOCKET");
    close(fd);
    t_remove_dir(dir);
}

static void there_is_a_core_to_run_on(void **state)
{
    UNUSED(state);
    assert_in_range(cores_usable(), 1, sysconf(_SC_NPROCESSORS_CONF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathered_lines_come_before_what_is_written_after_them),
        cmocka_unit_test(more_lines_than_fit_are_all_written_whole),
        cmocka_unit_test(nobody_can_forge_a_line),
        cmocka_unit_test(systemd_is_told_when_it_asks),
        cmocka_unit_test(there_is_a_core_to_run_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
