/* metric.h - counters, gauges and histograms, one row each in metric.def, as Prometheus text.
 *
 *     metric_add(METRIC_http_requests_total, 1, "/v1/models", "200");
 *     metric_observe(METRIC_search_duration_seconds, seconds, NULL);
 *
 * Label values are copied when a combination is seen for the first time.  A metric keeps at most METRIC_SERIES_MAX
 * combinations; later ones count as "other", so that nobody can grow the memory.
 *
 * Threads: any; updates are relaxed atomics, the look-up of a combination takes no lock.
 */
#ifndef ANCHORD_BASE_METRIC_H
#define ANCHORD_BASE_METRIC_H

#include "base/buf.h"

enum metric {
#define COUNTER(name, labels, help)   METRIC_##name,
#define GAUGE(name, labels, help)     METRIC_##name,
#define HISTOGRAM(name, labels, help) METRIC_##name,
#include "base/metric.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    METRIC_COUNT
};

enum { METRIC_SERIES_MAX = 255 };

/* `a` and `b` are the values of the labels that the row names; NULL where it names none. */
void metric_add(enum metric m, double amount, const char *a, const char *b); /* counters, and gauges up or down */
void metric_set(enum metric m, double value, const char *a, const char *b);  /* gauges, and counters kept elsewhere */
void metric_observe(enum metric m, double seconds, const char *a);           /* histograms */
double metric_get(enum metric m, const char *a, const char *b); /* the value, or a histogram's count; for tests */

/* Appends everything in the text format 0.0.4; the figures of the process are read at this moment. */
void metric_render(struct buf *out);

#endif
