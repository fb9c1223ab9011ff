/* t.h - what every unit test includes: cmocka and a few comparisons that fail on NaN. */
#ifndef ANCHORD_TESTS_T_H
#define ANCHORD_TESTS_T_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"

/* Limits of time and of resident memory are multiplied with these: sanitizers make everything slower, and
 * ThreadSanitizer keeps several bytes for each that is touched. */
#if defined(__SANITIZE_THREAD__)
enum { T_SLOWER = 20, T_BULKIER = 10 };
#elif defined(__SANITIZE_ADDRESS__)
enum { T_SLOWER = 20, T_BULKIER = 1 };
#else
enum { T_SLOWER = 1, T_BULKIER = 1 };
#endif

/* The seconds that a test waits at most for what takes so long on a machine that does nothing else.  Where that is not
 * the point, order and events are asserted, and seconds only keep a test from hanging.  T_PATIENCE in the environment
 * is the factor; 8 without. */
static inline double t_patience(double seconds)
{
    const char *set = getenv("T_PATIENCE");
    double factor = set ? strtod(set, NULL) : 8;
    return seconds * (factor >= 1 ? factor : 1) * T_SLOWER;
}

/* A second or more is how long something may take that must come; less is a glance, which takes no longer on a busy machine. */
static inline double t_timeout(double seconds)
{
    return seconds < 1 ? seconds : t_patience(seconds);
}

/* Looks again and again until `condition` holds, t_patience(seconds) long at most; gives whether it does. */
#define t_wait(seconds, condition)                                                                                     \
    __extension__({                                                                                                    \
        const double t_end_ = clock_s() + t_patience(seconds);                                                         \
        bool t_holds_;                                                                                                 \
        while (!(t_holds_ = (condition)) && clock_s() < t_end_)                                                        \
            usleep(5000);                                                                                              \
        t_holds_;                                                                                                      \
    })

/* Asserts that a call succeeded; prints the error's text when it did not. */
#define assert_ok(call, e)                                                                                             \
    do {                                                                                                               \
        if (!(call))                                                                                                   \
            fail_msg("%s: %s", #call, (e).text);                                                                       \
    } while (0)

/* Asserts that a call failed with this code. */
#define assert_err(call, e, expected)                                                                                  \
    do {                                                                                                               \
        (e) = (struct err){0};                                                                                         \
        if (call)                                                                                                      \
            fail_msg("%s succeeded, expected %s", #call, err_name(expected));                                          \
        if ((e).code != (expected))                                                                                    \
            fail_msg("%s gave %s (%s), expected %s", #call, err_name((e).code), (e).text, err_name(expected));         \
    } while (0)

/* |got - want| <= tolerance * max(1, |want|), written so that NaN fails. */
static inline void assert_close(const char *what, const float *got, const float *want, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        double scale = fmax(1.0, fabs((double)want[i]));
        if (!(error <= tolerance * scale))
            fail_msg("%s: [%zu] %g, expected %g (error %g, allowed %g)", what, i, (double)got[i], (double)want[i],
                     error, tolerance * scale);
    }
}

/* How often `what` stands in `text`, overlaps counted. */
static inline size_t t_times(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* Runs a table of tests, each with a fixture of its own. */
#define T_RUN_EACH(tests, set_up, tear_down) t_run_each(tests, COUNT(tests), set_up, tear_down)
static inline int t_run_each(const struct CMUnitTest *tests, size_t n, CMFixtureFunction set_up,
                             CMFixtureFunction tear_down)
{
    struct CMUnitTest *each = calloc(n, sizeof *each);
    for (size_t i = 0; i < n; i++)
        each[i] = (struct CMUnitTest){tests[i].name, tests[i].test_func, set_up, tear_down, NULL};
    int failed = _cmocka_run_group_tests("tests", each, n, NULL, NULL);
    free(each);
    return failed;
}

/* A fresh folder below $TMPDIR or /tmp, removed by t_remove_dir(). */
static inline char *t_make_dir(void)
{
    char path[256];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/anchord-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        fail_msg("cannot make a folder %s", path);
    return strdup(path);
}

static inline void t_remove_dir(char *path)
{
    char command[320];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0)
        print_message("could not remove %s\n", path);
    free(path);
}

#endif
