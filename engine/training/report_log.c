/* report_log.c - reading a run's log, line by line. */
#include "engine/training/report_log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/training/run_events.h"
#include "engine/training/run_folder.h"

enum { LOG_BYTES_MAX = 512 << 20 };
#define STEP_MAX 1e15

const struct figure_name figure_names[FIGURES] = {
    [FIGURE_RECALL_1] = {"recall@1", "Recall@1", "the nearest picture has the query's label", 1},
    [FIGURE_RECALL_5] = {"recall@5", "Recall@5", "one of the five nearest has it", 1},
    [FIGURE_RECALL_10] = {"recall@10", "Recall@10", "one of the ten nearest has it", 1},
    [FIGURE_R_PRECISION] = {"r_precision", "R-precision",
                            "how many of the R nearest have it, R being how many there are", 1},
    [FIGURE_MAP_R] = {"map@r", "MAP@R", "the same, and the earlier the better", 1},
    [FIGURE_INSTANCE] = {"instance_recall@1", "Instance recall@1", "a changed view finds the picture it was made of",
                         1},
    [FIGURE_KNN_20] = {"knn_20", "kNN accuracy, k = 20", "the 20 nearest training pictures vote on the label", 1},
    [FIGURE_KNN_200] = {"knn_200", "kNN accuracy, k = 200", "200 of them vote", 1},
    [FIGURE_LINEAR] = {"linear_probe", "Linear probe", "accuracy of a linear classifier on the frozen vectors", 1},
    [FIGURE_FEW_SHOT] = {"few_shot", "Few-shot, 5-way 5-shot", "accuracy with five examples of each of five labels", 1},
    [FIGURE_ALIGNMENT] = {"alignment", "Alignment", "mean squared distance of pictures that belong together", 0},
    [FIGURE_UNIFORMITY] = {"uniformity", "Uniformity", "the lower, the more evenly all vectors are spread", 0},
    [FIGURE_STD] = {"std", "Standard deviation",
                    "of the unit vectors, mean over dimensions; near 0 they have collapsed", 0},
    [FIGURE_RANK] = {"effective_rank", "Effective rank", "how many dimensions are in use", 0},
    [FIGURE_RANK_ME] = {"rank_me", "RankMe", "the same of the vectors as they are, not centred", 0},
};

double report_log_number(const struct json *object, const char *key)
{
    double x;
    const struct json *v = json_member(object, key);
    return v && json_as_number(v, &x) ? x : (double)NAN;
}

void report_log_figures(const struct json *figures, double out[FIGURES])
{
    for (size_t i = 0; i < FIGURES; i++)
        out[i] = report_log_number(figures, figure_names[i].key);
}

/* Room for one more: capacities are powers of two. */
static void *grown(void *list, size_t n, size_t size)
{
    return n & (n - 1) ? list : mem_grow(list, n ? 2 * n : 1, size);
}

/* Drops what was logged from this step on. */
static void rewind_steps(struct report_log *log, double step)
{
    while (log->n_steps && !(log->steps[log->n_steps - 1].step < step))
        log->n_steps--;
}

static void rewind_evaluations(struct report_log *log, double step)
{
    while (log->n_evaluations && !(log->evaluations[log->n_evaluations - 1].step < step))
        log->n_evaluations--;
}

static void rewind_warnings(struct report_log *log, double step)
{
    while (log->n_warnings && !(log->warnings[log->n_warnings - 1].step < step))
        free(log->warnings[--log->n_warnings].message);
}

static void add_step(struct report_log *log, const struct json *v, double step)
{
    rewind_steps(log, step);
    log->steps = grown(log->steps, log->n_steps, sizeof *log->steps);
    log->steps[log->n_steps++] = (struct log_step){.step = step,
                                                   .loss = report_log_number(v, "loss"),
                                                   .active = report_log_number(v, "active"),
                                                   .learning_rate = report_log_number(v, "learning_rate"),
                                                   .gradient_norm = report_log_number(v, "gradient_norm"),
                                                   .std = report_log_number(v, "std"),
                                                   .images_per_second = report_log_number(v, "images_per_second"),
                                                   .seconds = report_log_number(v, "seconds")};
}

static void add_evaluation(struct report_log *log, const struct json *v, double step)
{
    const struct json *figures = json_member(v, "figures");
    rewind_evaluations(log, step);
    log->evaluations = grown(log->evaluations, log->n_evaluations, sizeof *log->evaluations);
    struct log_evaluation *line = &log->evaluations[log->n_evaluations++];
    *line = (struct log_evaluation){.step = step, .queries = report_log_number(figures, "queries")};
    report_log_figures(figures, line->figures);
    json_as_bool(json_member(v, "best"), &line->best);
}

static void add_warning(struct report_log *log, const struct json *v, double step)
{
    const char *message = json_as_text(json_member(v, "message"), NULL);
    log->warnings = grown(log->warnings, log->n_warnings, sizeof *log->warnings);
    log->warnings[log->n_warnings++] =
        (struct log_warning){step, mem_text(message ? message : "a warning without words")};
}

/* A run that goes on has not ended, and does again what came after its checkpoint. */
static void resume(struct report_log *log, double step)
{
    const double after = nextafter(step, HUGE_VAL);
    rewind_steps(log, after);
    rewind_evaluations(log, after);
    rewind_warnings(log, after);
    json_free(log->end);
    log->end = NULL;
    log->n_resumes++;
}

/* Takes the document when it is kept. */
static bool add_line(struct report_log *log, struct json *doc)
{
    const enum run_event event = run_event_of(doc);
    const double step = report_log_number(doc, "step");
    if (event == EVENT_START) {
        report_log_clear(log);
        log->start = doc;
        return true;
    }
    if (event == EVENT_END) {
        json_free(log->end);
        log->end = doc;
        return true;
    }
    if (!(step >= 0 && step < STEP_MAX) || !json_as_text(json_member(doc, "event"), NULL))
        log->unreadable++;
    else if (event == EVENT_STEP)
        add_step(log, doc, step);
    else if (event == EVENT_EVALUATION)
        add_evaluation(log, doc, step);
    else if (event == EVENT_WARNING)
        add_warning(log, doc, step);
    else if (event == EVENT_RESUME)
        resume(log, step);
    return false;
}

static void read_lines(struct report_log *log, const char *text, size_t len)
{
    for (const char *at = text, *stop = text + len; at < stop;) {
        const char *newline = memchr(at, '\n', (size_t)(stop - at));
        const size_t n = (size_t)((newline ? newline : stop) - at);
        struct json *doc = n ? json_parse(at, n, 0, NULL) : NULL;
        if (doc && !add_line(log, doc))
            json_free(doc);
        else if (!doc && n && newline)
            log->unreadable++;
        at += n + 1;
    }
}

bool report_log_read(struct report_log *log, const char *run, struct err *e)
{
    char path[PATH_MAX];
    void *text;
    size_t len;
    *log = (struct report_log){0};
    if (!file_read(path_join(path, run, RUN_LOG), LOG_BYTES_MAX, &text, &len, e))
        return false;
    read_lines(log, text, len);
    free(text);
    if (log->start || log->end || log->n_steps || log->n_evaluations)
        return true;
    report_log_clear(log);
    return err_set(e, ERR_CORRUPT, "%s has no line of a training run", path);
}

void report_log_clear(struct report_log *log)
{
    rewind_warnings(log, -HUGE_VAL);
    json_free(log->start);
    json_free(log->end);
    free(log->steps);
    free(log->evaluations);
    free(log->warnings);
    *log = (struct report_log){0};
}
