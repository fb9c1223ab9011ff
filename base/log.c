/* log.c - one line for each event; whole lines go into a write(), so that they never mix. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};

static _Atomic enum log_level threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, level);
}

enum log_level log_get_level(void)
{
    return atomic_load(&threshold);
}

enum { LINE = 1024, GATHERED = 32 * 1024 };
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static char gathered[GATHERED]; /* guarded by mu */
static size_t gathered_len;

static void put(const char *bytes, size_t n)
{
    if (n && write(STDERR_FILENO, bytes, n) < 0)
        return; /* nobody is left to be told */
}

/* Makes a whole line with its line feed; gives its length. */
static size_t PRINTF_LIKE(4, 0)
    make_line(char line[LINE], enum log_level level, const char *event, const char *fmt, va_list ap)
{
    struct timeval now;
    struct tm utc;

    gettimeofday(&now, NULL);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, LINE, "%Y-%m-%dT%H:%M:%S", &utc);
    n +=
        (size_t)snprintf(line + n, LINE - n, ".%03dZ %s %s ", (int)(now.tv_usec / 1000), log_level_names[level], event);
    vsnprintf(line + n, LINE - n - 1, fmt, ap);
    n = strlen(line);
    line[n++] = '\n';
    return n;
}

static void flush_locked(void)
{
    put(gathered, gathered_len);
    gathered_len = 0;
}

void log_flush(void)
{
    pthread_mutex_lock(&mu);
    flush_locked();
    pthread_mutex_unlock(&mu);
}

static void PRINTF_LIKE(3, 0) write_line(enum log_level level, const char *event, const char *fmt, va_list ap)
{
    char line[LINE];
    if (level < atomic_load(&threshold))
        return;
    size_t n = make_line(line, level, event, fmt, ap);
    pthread_mutex_lock(&mu);
    flush_locked();
    put(line, n);
    pthread_mutex_unlock(&mu);
}

void log_later(const char *event, const char *fmt, ...)
{
    char line[LINE];
    va_list ap;
    if (atomic_load(&threshold) > LOG_INFO)
        return;
    va_start(ap, fmt);
    size_t n = make_line(line, LOG_INFO, event, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&mu);
    if (gathered_len + n > GATHERED)
        flush_locked();
    memcpy(gathered + gathered_len, line, n);
    gathered_len += n;
    pthread_mutex_unlock(&mu);
}

#define LOGGER(name, level)                                                                                            \
    void name(const char *event, const char *fmt, ...)                                                                 \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        va_start(ap, fmt);                                                                                             \
        write_line(level, event, fmt, ap);                                                                             \
        va_end(ap);                                                                                                    \
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
