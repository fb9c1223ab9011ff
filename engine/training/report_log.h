/* report_log.h - a run's log.jsonl read back (run_events.h).
 *
 * The log is as torn as a killed process leaves it: the last line may be half of one, and steps may come twice.  Numbers
 * that are missing or null are NaN here.
 */
#ifndef ANCHORD_ENGINE_TRAINING_REPORT_LOG_H
#define ANCHORD_ENGINE_TRAINING_REPORT_LOG_H

#include "base/json.h"

enum report_figure {
    FIGURE_RECALL_1,
    FIGURE_RECALL_5,
    FIGURE_RECALL_10,
    FIGURE_R_PRECISION,
    FIGURE_MAP_R,
    FIGURE_INSTANCE,
    FIGURE_KNN_20,
    FIGURE_KNN_200,
    FIGURE_LINEAR,
    FIGURE_FEW_SHOT,
    FIGURE_ALIGNMENT,
    FIGURE_UNIFORMITY,
    FIGURE_STD,
    FIGURE_RANK,
    FIGURE_RANK_ME,
    FIGURES
};

struct figure_name {
    const char *key; /* as judgement_write() has it */
    const char *title, *help;
    int better; /* 1: more is better; 0: it depends */
};
extern const struct figure_name figure_names[FIGURES];

struct log_step {
    double step, loss, active, learning_rate, gradient_norm, std, images_per_second, seconds;
};

struct log_evaluation {
    double step, queries;
    double figures[FIGURES];
    bool best;
};

struct log_warning {
    double step;
    char *message; /* owned */
};

struct report_log {                     /* released by report_log_clear() */
    struct json *start, *end;           /* NULL: not there (yet); owned */
    struct log_step *steps;             /* ascending by step; owned, as are the others */
    struct log_evaluation *evaluations; /* ascending by step */
    struct log_warning *warnings;
    size_t n_steps, n_evaluations, n_warnings, n_resumes;
    size_t unreadable; /* lines, the last one not counted */
};

/* Reads "<run>/log.jsonl".  ERR_NOT_FOUND without one, ERR_CORRUPT when no line of it can be read. */
MUST_CHECK bool report_log_read(struct report_log *log, const char *run, struct err *e);
void report_log_clear(struct report_log *log);

/* The figures of "before" and "after" objects, and of evaluations. */
void report_log_figures(const struct json *figures, double out[FIGURES]);
/* The number of a member; NaN when there is none. */
double report_log_number(const struct json *object, const char *key);

#endif
