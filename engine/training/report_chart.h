/* report_chart.h - one curve as inline SVG, drawn for a page that sets the colours (classes: grid, tick, band, line, dot,
 * best) and the width. */
#ifndef ANCHORD_ENGINE_TRAINING_REPORT_CHART_H
#define ANCHORD_ENGINE_TRAINING_REPORT_CHART_H

#include "base/buf.h"

struct chart {
    const char *title;   /* for readers of the picture's name; plain text of ours */
    const double *x, *y; /* [n], x ascending; points with a y that is not finite, or beyond 1e30, are left out */
    size_t n;
    double until; /* where the axis, which begins at 0, ends at least; NaN: at the last point */
    double best;  /* an x that is marked; NaN: none */
    bool dots;    /* each point is shown; otherwise many are drawn as mean and band */
};

/* False, with nothing appended, when there is no point to draw. */
bool chart_draw(const struct chart *c, struct buf *out);

struct ticks {
    double first, step;
    size_t n;
    int decimals; /* that tell them apart */
};
/* Round values within low .. high, about `wanted` of them. */
struct ticks chart_ticks(double low, double high, size_t wanted);
/* A value with about four digits. */
void chart_number(double value, struct buf *out);

#endif
