/* report.c - the sections of a run's page. */
#include "engine/training/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/judging/judge.h"
#include "engine/pictures/image.h"
#include "engine/training/report_chart.h"
#include "engine/training/report_html.h"
#include "engine/training/report_log.h"
#include "engine/training/run_events.h"
#include "engine/training/run_folder.h"

enum { SHEET_BYTES_MAX = 64 << 20, CONFIG_DEPTH = 8 };

struct page {
    struct report_log log;
    const struct log_evaluation *best; /* NULL: nothing was evaluated; into log */
    double before[FIGURES], after[FIGURES];
    bool judged;              /* both are there */
    enum report_figure score; /* recall@1, or instance recall without labels */
    struct buf out;
};

/* ---- reading ---- */

static const struct log_evaluation *best_evaluation(const struct report_log *log)
{
    const struct log_evaluation *best = NULL;
    for (size_t i = 0; i < log->n_evaluations; i++)
        if (log->evaluations[i].best)
            best = &log->evaluations[i];
    return best ? best : log->n_evaluations ? &log->evaluations[log->n_evaluations - 1] : NULL;
}

/* What the end says; for a run that has none (yet): its first and best evaluation. */
static void find_figures(struct page *p)
{
    const struct json *before = json_member(p->log.end, "before"), *after = json_member(p->log.end, "after");
    p->best = best_evaluation(&p->log);
    p->judged = (before && after) || p->best;
    if (before && after) {
        report_log_figures(before, p->before);
        report_log_figures(after, p->after);
    } else if (p->best) {
        memcpy(p->before, p->log.evaluations[0].figures, sizeof p->before);
        memcpy(p->after, p->best->figures, sizeof p->after);
    }
    p->score = p->judged && isfinite(p->before[FIGURE_INSTANCE]) ? FIGURE_INSTANCE : FIGURE_RECALL_1;
}

static double best_step(const struct page *p)
{
    const double told = report_log_number(p->log.end, "best_step");
    return isfinite(told) ? told : p->best ? p->best->step : (double)NAN;
}

static double last_step(const struct report_log *log)
{
    const double step = log->n_steps ? log->steps[log->n_steps - 1].step : 0;
    const double evaluated = log->n_evaluations ? log->evaluations[log->n_evaluations - 1].step : 0;
    return fmax(fmax(step, evaluated), 1);
}

/* ---- small pieces ---- */

static void duration(struct buf *out, double seconds)
{
    const unsigned long s = (unsigned long)fmin(fmax(seconds, 0), 1e12);
    if (s >= 3600)
        buf_print(out, "%lu h %lu min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        buf_print(out, "%lu min %lu s", s / 60, s % 60);
    else
        buf_print(out, "%lu s", s);
}

static void grouped(struct buf *out, double value)
{
    char digits[32];
    const int n = snprintf(digits, sizeof digits, "%.0f", fabs(value) < 1e15 ? value : 0);
    for (int i = 0; i < n; i++)
        buf_print(out, i && digits[i - 1] != '-' && (n - i) % 3 == 0 ? ",%c" : "%c", digits[i]);
}

static void when(struct buf *out, double unix_seconds)
{
    const time_t t = (time_t)unix_seconds;
    struct tm parts;
    char text[40];
    if (fabs(unix_seconds) < 1e11 && gmtime_r(&t, &parts) && strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts))
        buf_text(out, text);
}

static void signed_number(struct buf *out, double value)
{
    buf_text(out, value > 0 ? "+" : "");
    chart_number(value, out);
}

static const char *text_of(const struct json *object, const char *key)
{
    return json_as_text(json_member(object, key), NULL);
}

/* ---- what it came to ---- */

static const char *ending(const struct json *end)
{
    const char *reason = text_of(end, "reason");
    enum train_end known = train_end_parse(json_member(end, "reason"));
    return known || !end ? train_end_words(known) : reason ? reason : "Ended";
}

/* How far it came: step, steps, time. */
static void write_progress(struct page *p)
{
    const struct log_step *last = p->log.n_steps ? &p->log.steps[p->log.n_steps - 1] : NULL;
    const double step = p->log.end ? report_log_number(p->log.end, "step") : last ? last->step : 0;
    const double seconds = p->log.end ? report_log_number(p->log.end, "seconds") : last ? last->seconds : 0;
    const double steps = report_log_number(p->log.start, "steps"), begun = report_log_number(p->log.start, "time");
    buf_text(&p->out, "<p class=\"soft\">");
    html_text(&p->out, ending(p->log.end));
    buf_text(&p->out, " at step ");
    grouped(&p->out, isfinite(step) ? step : 0);
    if (isfinite(steps)) {
        buf_text(&p->out, " of ");
        grouped(&p->out, steps);
    }
    buf_text(&p->out, ", after ");
    duration(&p->out, isfinite(seconds) ? seconds : 0);
    if (isfinite(begun)) {
        buf_text(&p->out, "; begun ");
        when(&p->out, begun);
    }
    if (p->log.n_resumes)
        buf_print(&p->out, ", resumed %s", p->log.n_resumes == 1 ? "once" : "several times");
    buf_text(&p->out, "</p>\n");
}

static void write_title(struct page *p)
{
    const struct json *start = p->log.start, *method = json_member(json_member(start, "config"), "method");
    const char *told = text_of(start, "method"), *objective = told ? told : text_of(method, "type");
    const char *arch = text_of(start, "arch");
    buf_text(&p->out, arch || objective ? "<h1>Training run: " : "<h1>Training run");
    html_text(&p->out, arch);
    buf_text(&p->out, arch && objective ? " with " : "");
    html_text(&p->out, objective);
    buf_text(&p->out, "</h1>\n");
    write_progress(p);
}

static void hero_number(struct page *p, const char *what, double value)
{
    buf_print(&p->out, "<div>%s<b>", what);
    chart_number(value, &p->out);
    buf_text(&p->out, "</b></div>");
}

static void write_interval(struct page *p, double low, double high)
{
    signed_number(&p->out, low);
    buf_text(&p->out, " to ");
    signed_number(&p->out, high);
}

/* The gain, how sure it is, and what may be done with it. */
static void write_gain(struct page *p)
{
    const struct json *gain = json_member(p->log.end, "gain");
    const double change = p->after[p->score] - p->before[p->score];
    const double low = report_log_number(gain, "low"), high = report_log_number(gain, "high");
    buf_print(&p->out, "<div>Gain<b class=\"%s\">", low > 0 ? "good" : high < 0 ? "bad" : "soft");
    signed_number(&p->out, change);
    buf_text(&p->out, "</b></div><p>");
    if (isfinite(low) && isfinite(high)) {
        buf_text(&p->out, "95 % interval of the gain: ");
        write_interval(p, low, high);
        buf_text(&p->out, low > 0    ? ", clear of zero. "
                          : high < 0 ? ": it has become worse. "
                                     : "; zero lies within, so it may be chance. ");
    }
    const double queries = p->log.end ? report_log_number(json_member(p->log.end, "after"), "queries")
                           : p->best  ? p->best->queries
                                      : (double)NAN;
    if (queries < JUDGE_LEAST_QUERIES)
        buf_print(&p->out, "Judged by %.0f queries only: below %d nothing is promoted by itself.", queries,
                  JUDGE_LEAST_QUERIES);
    else if (isfinite(queries)) {
        buf_text(&p->out, "Judged by ");
        grouped(&p->out, queries);
        buf_text(&p->out, " queries.");
    }
    buf_text(&p->out, "</p>");
}

static void write_hero(struct page *p)
{
    if (!p->judged || !isfinite(p->before[p->score]) || !isfinite(p->after[p->score]))
        return;
    buf_text(&p->out, "<section class=\"card hero\">");
    buf_print(&p->out, "<p>%s, on pictures that were not trained on: %s.</p>", figure_names[p->score].title,
              figure_names[p->score].help);
    hero_number(p, "Before", p->before[p->score]);
    hero_number(p, "Best", p->after[p->score]);
    write_gain(p);
    buf_text(&p->out, "</section>\n");
}

static void write_warnings(struct page *p)
{
    const char *last = text_of(p->log.end, "message");
    const bool usual = train_end_is_whole(train_end_parse(json_member(p->log.end, "reason")));
    for (size_t i = 0; i < p->log.n_warnings; i++) {
        buf_print(&p->out, "<p class=\"warn\">Step %.0f: ", p->log.warnings[i].step);
        html_text(&p->out, p->log.warnings[i].message);
        buf_text(&p->out, "</p>\n");
    }
    if (last && *last && !usual) { /* otherwise it repeats the figures */
        buf_text(&p->out, "<p class=\"warn\">");
        html_text(&p->out, last);
        buf_text(&p->out, "</p>\n");
    }
    if (p->log.unreadable)
        buf_print(&p->out, "<p class=\"warn\">Lines of the log that could not be read: %zu</p>\n", p->log.unreadable);
}

/* ---- curves ---- */

static void write_chart(struct page *p, const char *title, const char *help, struct chart c)
{
    struct buf svg = {0};
    c.title = title;
    if (chart_draw(&c, &svg)) {
        size_t last = c.n - 1;
        while (last > 0 && !isfinite(c.y[last]))
            last--;
        buf_print(&p->out, "<section class=\"card\"><h3>%s<span class=\"now\">", title);
        if (isfinite(c.y[last]))
            chart_number(c.y[last], &p->out);
        buf_text(&p->out, "</span></h3>");
        buf_add(&p->out, svg.data, svg.len);
        buf_print(&p->out, "<p class=\"note\">%s</p></section>\n", help);
    }
    buf_clear(&svg);
}

/* `offset`: of the value within a step's line. */
static void step_chart(struct page *p, const char *title, const char *help, size_t offset)
{
    const size_t n = p->log.n_steps;
    double *x = mem_new(n, sizeof *x), *y = mem_new(n, sizeof *y);
    for (size_t i = 0; i < n; i++) {
        x[i] = p->log.steps[i].step;
        y[i] = *(const double *)((const char *)&p->log.steps[i] + offset);
    }
    write_chart(p, title, help, (struct chart){.x = x, .y = y, .n = n, .until = last_step(&p->log), .best = NAN});
    free(x);
    free(y);
}

static void figure_chart(struct page *p, enum report_figure f)
{
    const size_t n = p->log.n_evaluations;
    double *x = mem_new(n, sizeof *x), *y = mem_new(n, sizeof *y);
    for (size_t i = 0; i < n; i++) {
        x[i] = p->log.evaluations[i].step;
        y[i] = p->log.evaluations[i].figures[f];
    }
    write_chart(
        p, figure_names[f].title, figure_names[f].help,
        (struct chart){.x = x, .y = y, .n = n, .until = last_step(&p->log), .best = best_step(p), .dots = true});
    free(x);
    free(y);
}

static void write_curves(struct page *p)
{
    buf_text(&p->out, "<h2>Curves over the steps</h2>\n<div class=\"grid\">\n");
    step_chart(p, "Loss", "of the batches; the band holds all of them", offsetof(struct log_step, loss));
    figure_chart(p, p->score);
    figure_chart(p, FIGURE_KNN_20);
    figure_chart(p, FIGURE_KNN_200);
    figure_chart(p, FIGURE_STD);
    figure_chart(p, FIGURE_RANK);
    step_chart(p, "Learning rate", "as warm-up and schedule set it", offsetof(struct log_step, learning_rate));
    step_chart(p, "Gradient norm", "of all that is learned", offsetof(struct log_step, gradient_norm));
    step_chart(p, "Active anchors", "the part that still has something to learn in its batch",
               offsetof(struct log_step, active));
    step_chart(p, "Batch deviation", "standard deviation of the unit vectors within a batch",
               offsetof(struct log_step, std));
    step_chart(p, "Images per second", "that the steps took in", offsetof(struct log_step, images_per_second));
    buf_text(&p->out, "</div>\n");
}

/* ---- before and after ---- */

static void write_figure_row(struct page *p, enum report_figure f)
{
    const double change = p->after[f] - p->before[f];
    const char *tone = !figure_names[f].better || change == 0 ? "" : change > 0 ? " good" : " bad";
    if (!isfinite(p->before[f]) && !isfinite(p->after[f]))
        return;
    buf_print(&p->out, "<tr><th scope=\"row\">%s<small>%s</small></th>", figure_names[f].title, figure_names[f].help);
    for (size_t k = 0; k < 2; k++) {
        const double value = k ? p->after[f] : p->before[f];
        buf_text(&p->out, "<td class=\"number\">");
        if (isfinite(value))
            chart_number(value, &p->out);
        buf_text(&p->out, "</td>");
    }
    buf_print(&p->out, "<td class=\"number%s\">", tone);
    if (isfinite(change))
        signed_number(&p->out, change);
    if (f == p->score && json_member(p->log.end, "gain")) {
        const struct json *gain = json_member(p->log.end, "gain");
        buf_text(&p->out, "<small>");
        write_interval(p, report_log_number(gain, "low"), report_log_number(gain, "high"));
        buf_text(&p->out, "</small>");
    }
    buf_text(&p->out, "</td></tr>\n");
}

static void write_table(struct page *p)
{
    if (!p->judged)
        return;
    buf_text(&p->out,
             "<h2>Before and after</h2>\n<div class=\"card scroll\"><table><thead><tr><th scope=\"col\">Figure</th>"
             "<th class=\"number\" scope=\"col\">Before</th><th class=\"number\" scope=\"col\">Best</th>"
             "<th class=\"number\" scope=\"col\">Change<small>95 % interval</small></th></tr></thead><tbody>\n");
    for (size_t f = 0; f < FIGURES; f++)
        write_figure_row(p, (enum report_figure)f);
    buf_text(&p->out, "</tbody></table></div>\n");
}

/* No sheet is no error when none was asked for. */
static bool write_sheet(struct page *p, const char *run, const char *path, struct err *e)
{
    char own[PATH_MAX];
    void *png;
    size_t len;
    struct err none = {0};
    if (!file_read(path ? path : path_join(own, run, RUN_SHEET), SHEET_BYTES_MAX, &png, &len, path ? e : &none))
        return !path;
    const bool ok = image_sniff(png, len) == IMAGE_PNG;
    if (ok) {
        buf_text(&p->out, "<h2>Some queries and what they find</h2>\n<div class=\"card\"><p>");
        buf_text(&p->out, p->score == FIGURE_INSTANCE ? "Each row: a picture (blue), its five nearest before training, "
                                                        "and its five nearest by the best model."
                                                      : "Each row: a picture (blue), its five nearest before training, "
                                                        "and its five nearest by the best model; "
                                                        "<span class=\"good\">green</span> frames have its label, "
                                                        "<span class=\"bad\">red</span> ones another.");
        buf_text(
            &p->out,
            " Rows whose first answer changed are preferred, so this is not a fair sample.</p><div class=\"scroll\">");
        html_png(&p->out, png, len, "queries, their nearest pictures before and after");
        buf_text(&p->out, "</div></div>\n");
    }
    free(png);
    return ok || !path || err_set(e, ERR_BAD_INPUT, "%s is not a PNG file", path);
}

/* ---- what it was told ---- */

static void write_fact(struct page *p, const char *what, const struct json *v, double scale, const char *unit)
{
    double number;
    const char *text = json_as_text(v, NULL);
    if (!v || (!text && !json_as_number(v, &number)))
        return;
    buf_print(&p->out, "<dt>%s</dt><dd>", what);
    if (text)
        html_text(&p->out, text);
    else
        grouped(&p->out, number * scale);
    buf_print(&p->out, "%s</dd>\n", unit);
}

/* One line for each setting, named by its path. */
static void write_settings(struct page *p, const struct json *object, const char *where, int depth)
{
    const char *key;
    const struct json *v;
    for (void *it = NULL; (it = json_next(object, it, &key, &v));) {
        char path[256];
        struct buf value = {0};
        snprintf(path, sizeof path, "%s%s%s", where, *where ? "." : "", key);
        if (json_kind(v) == JSON_KIND_OBJECT && depth < CONFIG_DEPTH) {
            write_settings(p, v, path, depth + 1);
            continue;
        }
        double number;
        if (json_kind(v) == JSON_KIND_TEXT)
            buf_text(&value, json_as_text(v, NULL));
        else if (json_kind(v) == JSON_KIND_REAL && json_as_number(v, &number))
            buf_print(&value, "%.10g", number); /* as it was written: 0.1, not 0.10000000000000001 */
        else
            json_dump(v, &value);
        buf_text(&p->out, "<dt>");
        html_text(&p->out, path);
        buf_text(&p->out, "</dt><dd>");
        html_text(&p->out, value.data);
        buf_text(&p->out, "</dd>\n");
        buf_clear(&value);
    }
}

static void write_facts(struct page *p)
{
    static const struct {
        const char *what, *key, *unit;
        double scale;
    } facts[] = {{RUN_PICTURES, "images", "", 1},
                 {"held out", "held_out", "", 1},
                 {"left out of the judgement", "left_out", "", 1},
                 {"labels", "labels", "", 1},
                 {"damaged files", "damaged", "", 1},
                 {"steps in an epoch", "steps_per_epoch", "", 1},
                 {"network", "arch", "", 1},
                 {"parameters", "parameters", "", 1},
                 {"first model", "model", "", 1},
                 {"precision", "precision", "", 1},
                 {"threads", "threads", "", 1},
                 {"processor", "processor", "", 1},
                 {"memory of a step", "memory_bytes", " MB", 1e-6}};
    if (!p->log.start)
        return;
    buf_text(&p->out, "<h2>What it was told</h2>\n<div class=\"columns\"><div class=\"card\"><dl>\n");
    for (size_t i = 0; i < COUNT(facts); i++)
        write_fact(p, facts[i].what, json_member(p->log.start, facts[i].key), facts[i].scale, facts[i].unit);
    buf_text(&p->out, "</dl></div><div class=\"card\"><dl>\n");
    write_settings(p, json_member(p->log.start, "config"), "", 0);
    buf_text(&p->out, "</dl></div></div>\n");
}

bool report_write(const char *run, const char *sheet, struct err *e)
{
    struct page p = {0};
    char path[4096];
    bool ok = report_log_read(&p.log, run, e);
    if (ok) {
        find_figures(&p);
        html_begin(&p.out, "anchord training run");
        write_title(&p);
        write_hero(&p);
        write_warnings(&p);
        write_curves(&p);
        write_table(&p);
        ok = write_sheet(&p, run, sheet, e);
        write_facts(&p);
        html_end(&p.out);
    }
    ok = ok && file_replace(path_join(path, run, RUN_REPORT), p.out.data, p.out.len, e);
    buf_clear(&p.out);
    report_log_clear(&p.log);
    return ok || err_wrap(e, "writing the report");
}
