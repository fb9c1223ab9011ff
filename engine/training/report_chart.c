/* report_chart.c - curves as SVG. */
#include "engine/training/report_chart.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

enum { WIDTH = 360, HEIGHT = 170, LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 24, BUCKETS = 150, MARGIN = 20 };

/* What is larger has left every scale (a run that diverges). */
#define VALUE_MAX 1e30

static bool drawable(double y)
{
    return fabs(y) < VALUE_MAX;
}

struct bucket { /* neighbouring points as one */
    double x, mean, low, high;
};

struct frame { /* from values to places */
    double x0, x1, y0, y1;
};

static double place_x(const struct frame *f, double x)
{
    return LEFT + (x - f->x0) / (f->x1 - f->x0) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct frame *f, double y)
{
    return HEIGHT - BOTTOM - (y - f->y0) / (f->y1 - f->y0) * (HEIGHT - TOP - BOTTOM);
}

struct ticks chart_ticks(double low, double high, size_t wanted)
{
    const double raw = (high - low) / (double)wanted, power = pow(10, floor(log10(raw))), part = raw / power;
    struct ticks t = {.step = (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power};
    t.first = ceil(low / t.step - 1e-9) * t.step;
    t.n = (size_t)(floor((high - t.first) / t.step + 1e-9) + 1);
    const double digits = -floor(log10(t.step) + 1e-9);
    t.decimals = digits > 0 ? (int)fmin(digits, 12) : 0;
    return t;
}

void chart_number(double value, struct buf *out)
{
    const double size = fabs(value);
    buf_text(out, value < 0 ? "−" : "");
    if (size >= 99999.5 || (size > 0 && size < 0.0001))
        buf_print(out, "%.2e", size);
    else
        buf_print(out, "%.*f",
                  size >= 1000 || size == 0 ? 0
                  : size >= 100             ? 1
                  : size >= 10              ? 2
                  : size >= 0.0995          ? 3
                  : size >= 0.00995         ? 4
                                            : 5,
                  size);
}

/* Gives how many: at most one for each point, at most BUCKETS unless every point is wanted. */
static size_t gather(const struct chart *c, struct bucket *out)
{
    size_t n = 0, finite = 0, taken = 0;
    for (size_t i = 0; i < c->n; i++)
        finite += drawable(c->y[i]);
    const size_t buckets = c->dots ? finite : min_size(finite, BUCKETS);
    for (size_t i = 0, inside = 0; i < c->n; i++) {
        if (!drawable(c->y[i]))
            continue;
        struct bucket *b = &out[n];
        if (!inside)
            *b = (struct bucket){.low = c->y[i], .high = c->y[i]};
        b->x += c->x[i];
        b->mean += c->y[i];
        b->low = fmin(b->low, c->y[i]);
        b->high = fmax(b->high, c->y[i]);
        inside++;
        if (++taken * buckets / finite > n) { /* the next bucket begins */
            b->x /= (double)inside;
            b->mean /= (double)inside;
            inside = 0;
            n++;
        }
    }
    return n;
}

static struct frame fit(const struct chart *c, const struct bucket *b, size_t n)
{
    struct frame f = {b[0].x, b[n - 1].x, b[0].low, b[0].high};
    for (size_t i = 1; i < n; i++) {
        f.y0 = fmin(f.y0, b[i].low);
        f.y1 = fmax(f.y1, b[i].high);
    }
    f.x0 = fmin(f.x0, 0);
    if (isfinite(c->until))
        f.x1 = fmax(f.x1, c->until);
    if (!(f.x1 > f.x0))
        f.x1 = f.x0 + 1;
    const double room = f.y1 > f.y0 ? (f.y1 - f.y0) * 0.06 : fmax(fabs(f.y0) * 0.1, 1e-6);
    f.y0 -= room;
    f.y1 += room;
    return f;
}

static void draw_grid(const struct frame *f, struct buf *out)
{
    const struct ticks y = chart_ticks(f->y0, f->y1, 4), x = chart_ticks(f->x0, f->x1, 5);
    for (size_t i = 0; i < y.n; i++) {
        const double value = y.first + (double)i * y.step, at = place_y(f, value);
        buf_print(
            out,
            "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
            LEFT, at, WIDTH - RIGHT, LEFT - 6, at + 3.5);
        if (y.step >= 1e5 || y.step < 1e-4)
            buf_print(out, "%.0e</text>", value);
        else
            buf_print(out, "%.*f</text>", y.decimals, fabs(value) < y.step / 1e6 ? 0 : value);
    }
    for (size_t i = 0; i < x.n; i++) {
        const double value = x.first + (double)i * x.step, at = place_x(f, value);
        const bool thousands = x.first + (double)(x.n - 1) * x.step >= 10000;
        if (at > WIDTH - MARGIN || x.step < 1)
            continue;
        buf_print(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g%s</text>", at, HEIGHT - 8,
                  thousands ? value / 1000 : value, thousands && value > 0 ? "k" : "");
    }
}

static void draw_band(const struct frame *f, const struct bucket *b, size_t n, struct buf *out)
{
    buf_text(out, "<path class=\"band\" d=\"");
    for (size_t i = 0; i < n; i++)
        buf_print(out, "%c%.1f %.1f", i ? 'L' : 'M', place_x(f, b[i].x), place_y(f, b[i].high));
    for (size_t i = n; i-- > 0;)
        buf_print(out, "L%.1f %.1f", place_x(f, b[i].x), place_y(f, b[i].low));
    buf_text(out, "Z\"/>");
}

static void draw_line(const struct frame *f, const struct bucket *b, size_t n, struct buf *out)
{
    buf_text(out, "<path class=\"line\" d=\"");
    for (size_t i = 0; i < n; i++)
        buf_print(out, "%c%.1f %.1f", i ? 'L' : 'M', place_x(f, b[i].x), place_y(f, b[i].mean));
    buf_text(out, "\"/>");
}

static void draw_dots(const struct frame *f, const struct chart *c, const struct bucket *b, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const bool best = b[i].x == c->best;
        buf_print(out,
                  "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"><title>step %.0f%s: ", best ? "best" : "dot",
                  place_x(f, b[i].x), place_y(f, b[i].mean),
                  best     ? "4.5"
                  : n > 60 ? "1.5"
                           : "2.5",
                  b[i].x, best ? " (best)" : "");
        chart_number(b[i].mean, out);
        buf_text(out, "</title></circle>");
    }
}

bool chart_draw(const struct chart *c, struct buf *out)
{
    struct bucket *b = mem_new(c->n + 1, sizeof *b);
    const size_t n = gather(c, b);
    if (n) {
        const struct frame f = fit(c, b, n);
        buf_print(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s over the steps\">", WIDTH, HEIGHT,
                  c->title);
        draw_grid(&f, out);
        if (c->best >= f.x0 && c->best <= f.x1)
            buf_print(out, "<path class=\"mark\" d=\"M%.1f %dV%d\"/>", place_x(&f, c->best), TOP, HEIGHT - BOTTOM);
        if (!c->dots && n < c->n)
            draw_band(&f, b, n, out);
        draw_line(&f, b, n, out);
        if (c->dots || n == 1)
            draw_dots(&f, c, b, n, out);
        buf_text(out, "</svg>");
    }
    free(b);
    return n > 0;
}
