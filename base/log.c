/* log.c - one line for each event, written with one write() so that lines never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic enum log_level threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, level);
}

enum log_level log_get_level(void)
{
    return atomic_load(&threshold);
}

static void PRINTF_LIKE(3, 0) write_line(enum log_level level, const char *event, const char *fmt, va_list ap)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char line[1024];
    struct timeval now;
    struct tm utc;

    if (level < atomic_load(&threshold))
        return;
    gettimeofday(&now, NULL);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03dZ %s %s ", (int)(now.tv_usec / 1000),
                          names[level], event);
    vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    n = strlen(line);
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* nobody is left to be told */
}

#define LOGGER(name, level)                   \
    void name(const char *event, const char *fmt, ...) \
    {                                         \
        va_list ap;                           \
        va_start(ap, fmt);                    \
        write_line(level, event, fmt, ap);    \
        va_end(ap);                           \
    }
LOGGER(log_debug, LOG_DEBUG)
LOGGER(log_info, LOG_INFO)
LOGGER(log_warn, LOG_WARN)
LOGGER(log_error, LOG_ERROR)

const char *log_quote(const char *text, char *out, size_t size)
{
    size_t n = 0;
    if (size < 8)
        return size ? (*out = 0, out) : out;
    out[n++] = '"';
    for (const unsigned char *p = (const unsigned char *)text; *p && n + 6 < size; p++) {
        if (*p < 32 || *p > 126 || *p == '"' || *p == '\\')
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", *p);
        else
            out[n++] = (char)*p;
    }
    out[n++] = '"';
    out[n] = 0;
    return out;
}
