/* train_display.c - draws the bar and words the log. */
#include "server/commands/train_display.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/training/run_events.h"
#include "server/commands/bar.h"
#include "server/commands/command.h"

struct train_display train_display_start(bool json)
{
    return (struct train_display){.terminal = !json && isatty(STDOUT_FILENO) == 1};
}

void train_display_progress(struct train_display *d, const struct train_progress *p)
{
    char bar[BAR_SIGNS + 1], left[DURATION_TEXT];
    double now = clock_s();
    bool training = strcmp(p->doing, "training") == 0;
    if (!d->terminal || p->all == 0 || (now - d->shown < 0.1 && p->done < p->all))
        return;
    d->shown = now;
    printf("\r%s [%s] %llu/%llu", p->doing, bar_text(p->done, p->all, bar), (unsigned long long)p->done,
           (unsigned long long)p->all);
    if (training)
        printf("  loss %.4f  %.0f images/s  %s left", p->loss, p->rate, duration_text(p->seconds_left, left));
    printf(" \033[K");
    fflush(stdout);
}

static double number(const struct json *v, const char *key)
{
    double x = 0;
    json_as_number(json_member(v, key), &x);
    return x;
}

static void say_figure(const struct json *figures, const char *key, const char *name)
{
    double x;
    if (json_as_number(json_member(figures, key), &x))
        printf(", %s %.4g", name, x);
}

static void say_start(const struct json *v)
{
    char arch[64], processor[192];
    snprintf(arch, sizeof arch, "%s", json_as_text(json_member(v, "arch"), NULL));
    snprintf(processor, sizeof processor, "%s", json_as_text(json_member(v, "processor"), NULL));
    printf("%s of %.1f million weights on %.0f pictures, %.0f held out, %.0f labels, %.0f damaged\n"
           "%.0f steps, %.0f an epoch; %s on %.0f threads (%s)\n",
           arch, number(v, "parameters") / 1e6, number(v, "images"), number(v, "held_out"), number(v, "labels"),
           number(v, "damaged"), number(v, "steps"), number(v, "steps_per_epoch"),
           json_as_text(json_member(v, "precision"), NULL), number(v, "threads"), processor);
}

static void say_evaluation(const struct json *v)
{
    bool best = false;
    const struct json *f = json_member(v, "figures");
    json_as_bool(json_member(v, "best"), &best);
    printf("step %.0f (epoch %.1f): score %.4f", number(v, "step"), number(v, "epoch"), number(f, "score"));
    say_figure(f, "map@r", "MAP@R");
    say_figure(f, "knn_20", "kNN");
    say_figure(f, "effective_rank", "effective rank");
    printf("%s\n", best ? "  <- best" : "");
}

void train_display_line(struct train_display *d, const char *line)
{
    if (!d->terminal) {
        puts(line);
        fflush(stdout);
        return;
    }
    struct json *v = json_parse(line, strlen(line), 0, NULL);
    const enum run_event event = run_event_of(v);
    const char *text = json_as_text(json_member(v, "message"), NULL);
    if (event != EVENT_STEP)
        printf("\r\033[K");
    if (event == EVENT_START)
        say_start(v);
    if (event == EVENT_RESUME)
        printf("going on from step %.0f\n", number(v, "step"));
    if (event == EVENT_EVALUATION)
        say_evaluation(v);
    if (event == EVENT_WARNING && text)
        printf("warning: %s\n", text);
    json_free(v);
}

void train_display_end(struct train_display *d)
{
    if (d->terminal) {
        printf("\r\033[K");
        fflush(stdout); /* what follows goes to standard error, which does not wait */
    }
}
