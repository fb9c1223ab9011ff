/* metric.c - a small hash table of series for each metric; entries are published once and never move. */
#include "base/metric.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/version.h"

enum kind { COUNTER_KIND, GAUGE_KIND, HISTOGRAM_KIND };

static const struct {
    enum kind kind;
    const char *name, *labels, *help;
} rows[] = {
#define COUNTER(name, labels, help)   {COUNTER_KIND, "anchord_" #name, labels, help},
#define GAUGE(name, labels, help)     {GAUGE_KIND, "anchord_" #name, labels, help},
#define HISTOGRAM(name, labels, help) {HISTOGRAM_KIND, "anchord_" #name, labels, help},
#include "base/metric.def"
};

static const double bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30};
enum { BOUNDS = COUNT(bounds), SLOTS = METRIC_SERIES_MAX + 1 };

struct series {
    char *a, *b;                          /* label values; NULL where the row has no such label */
    _Atomic double value;                 /* of a histogram: the sum */
    _Atomic uint64_t buckets[BOUNDS + 1]; /* not cumulative; the last one is +Inf */
};

/* A slot goes from NULL to a series once, under `mu`; the last slot is for "other". */
static _Atomic(struct series *) table[METRIC_COUNT][SLOTS];
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;

static bool same(const char *x, const char *y)
{
    return x == y || (x && y && !strcmp(x, y));
}

static size_t hash(const char *a, const char *b)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; a && *a; a++)
        h = (h ^ (unsigned char)*a) * 16777619u;
    h = (h ^ 0xff) * 16777619u;
    for (; b && *b; b++)
        h = (h ^ (unsigned char)*b) * 16777619u;
    return h % METRIC_SERIES_MAX;
}

static struct series *series_new(const char *a, const char *b)
{
    struct series *s = mem_new(1, sizeof *s);
    s->a = mem_text(a);
    s->b = mem_text(b);
    return s;
}

static struct series *find_locked(enum metric m, size_t start, const char *a, const char *b)
{
    size_t i = start;
    do {
        struct series *s = atomic_load_explicit(&table[m][i], memory_order_relaxed);
        if (!s) {
            s = series_new(a, b);
            atomic_store_explicit(&table[m][i], s, memory_order_release);
            return s;
        }
        if (same(s->a, a) && same(s->b, b))
            return s;
        i = (i + 1) % METRIC_SERIES_MAX;
    } while (i != start);
    if (!table[m][SLOTS - 1])
        table[m][SLOTS - 1] = series_new(a ? "other" : NULL, b ? "other" : NULL);
    return table[m][SLOTS - 1];
}

static struct series *find(enum metric m, const char *a, const char *b)
{
    size_t start = hash(a, b), i = start;
    struct series *s;
    while ((s = atomic_load_explicit(&table[m][i], memory_order_acquire))) {
        if (same(s->a, a) && same(s->b, b))
            return s;
        i = (i + 1) % METRIC_SERIES_MAX;
        if (i == start)
            break;
    }
    pthread_mutex_lock(&mu);
    s = find_locked(m, start, a, b);
    pthread_mutex_unlock(&mu);
    return s;
}

static void add(_Atomic double *at, double amount)
{
    double old = atomic_load_explicit(at, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(at, &old, old + amount, memory_order_relaxed, memory_order_relaxed))
        ;
}

void metric_add(enum metric m, double amount, const char *a, const char *b)
{
    add(&find(m, a, b)->value, amount);
}

void metric_set(enum metric m, double value, const char *a, const char *b)
{
    atomic_store_explicit(&find(m, a, b)->value, value, memory_order_relaxed);
}

void metric_observe(enum metric m, double seconds, const char *a)
{
    struct series *s = find(m, a, NULL);
    size_t i = 0;
    while (i < BOUNDS && !(seconds <= bounds[i]))
        i++;
    atomic_fetch_add_explicit(&s->buckets[i], 1, memory_order_relaxed);
    add(&s->value, seconds);
}

static uint64_t bucket(struct series *s, size_t i)
{
    return atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
}

double metric_get(enum metric m, const char *a, const char *b)
{
    struct series *s = find(m, a, b);
    uint64_t count = 0;
    for (size_t i = 0; i <= BOUNDS; i++)
        count += bucket(s, i);
    return rows[m].kind == HISTOGRAM_KIND ? (double)count : atomic_load_explicit(&s->value, memory_order_relaxed);
}

/* ---- rendering ---- */

static void render_label(struct buf *out, const char *name, size_t name_len, const char *value)
{
    buf_print(out, "%.*s=\"", to_int(name_len), name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_char(out, '\\');
        if (*value == '\n')
            buf_text(out, "\\n");
        else
            buf_char(out, *value);
    }
    buf_char(out, '"');
}

/* {route="/",status="200",le="0.1"}: what there is of it. */
static void render_labels(struct buf *out, enum metric m, const struct series *s, const char *le)
{
    const char *names = rows[m].labels;
    size_t first = strcspn(names, ",");
    if (!s->a && !le)
        return;
    buf_char(out, '{');
    if (s->a)
        render_label(out, names, first, s->a);
    if (s->a && s->b) {
        buf_char(out, ',');
        render_label(out, names + first + 1, strlen(names + first + 1), s->b);
    }
    if (le)
        buf_print(out, "%sle=\"%s\"", s->a ? "," : "", le);
    buf_char(out, '}');
}

static void render_histogram(struct buf *out, enum metric m, struct series *s)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= BOUNDS; i++) {
        char le[32] = "+Inf";
        if (i < BOUNDS)
            snprintf(le, sizeof le, "%g", bounds[i]);
        total += bucket(s, i);
        buf_print(out, "%s_bucket", rows[m].name);
        render_labels(out, m, s, le);
        buf_print(out, " %llu\n", (unsigned long long)total);
    }
    buf_print(out, "%s_sum", rows[m].name);
    render_labels(out, m, s, NULL);
    buf_print(out, " %.9g\n%s_count", atomic_load_explicit(&s->value, memory_order_relaxed), rows[m].name);
    render_labels(out, m, s, NULL);
    buf_print(out, " %llu\n", (unsigned long long)total);
}

static void read_process_figures(void)
{
    struct rusage use;
    unsigned long pages = 0;
    double fds = -3; /* ".", ".." and the folder itself are not counted */

    if (getrusage(RUSAGE_SELF, &use) == 0)
        metric_set(METRIC_process_cpu_seconds_total,
                   (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                       1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec),
                   NULL, NULL);
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*u %lu", &pages) == 1)
        metric_set(METRIC_process_resident_memory_bytes, (double)pages * (double)sysconf(_SC_PAGESIZE), NULL, NULL);
    if (f)
        fclose(f);
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        fds++;
    if (d) {
        closedir(d);
        metric_set(METRIC_process_open_fds, fds, NULL, NULL);
    }
}

void metric_render(struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    metric_set(METRIC_build_info, 1, ANCHORD_VERSION, NULL);
    read_process_figures();
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        if (!*rows[m].labels)
            find(m, NULL, NULL); /* shown from the start, at zero */
        buf_print(out, "# HELP %s %s\n# TYPE %s %s\n", rows[m].name, rows[m].help, rows[m].name, kinds[rows[m].kind]);
        for (size_t i = 0; i < SLOTS; i++) {
            struct series *s = atomic_load_explicit(&table[m][i], memory_order_acquire);
            if (!s)
                continue;
            if (rows[m].kind == HISTOGRAM_KIND) {
                render_histogram(out, m, s);
                continue;
            }
            buf_text(out, rows[m].name);
            render_labels(out, m, s, NULL);
            buf_print(out, " %.15g\n", atomic_load_explicit(&s->value, memory_order_relaxed));
        }
    }
}
