/* run_events.h - what a training run tells, one JSON object a line, and how it ends.
 *
 *     {"event":"start", ...}         what is trained, on what, with what
 *     {"event":"resume","step":N}    went on from that step; lines of later steps before this one were undone
 *     {"event":"step", ...}          loss, learning rate, rate, norms; every few steps
 *     {"event":"evaluation", ...}    figures on the held-out pictures
 *     {"event":"checkpoint","step":N}
 *     {"event":"warning","step":N,"code":C,"message":M}
 *     {"event":"end","reason":R, ...}     why, best step, before and after
 *
 * These are its log (run_log.h).  A worker's output has three more:
 *
 *     {"event":"progress","step":N,"steps":N,"loss":X,"images_per_second":X,"seconds_left":X}    about once a second
 *     {"event":"outcome","end":"done",...}            the last line of a run that came to an end
 *     {"event":"failed","code":C,"message":M}         the last line of one that did not
 */
#ifndef ANCHORD_ENGINE_TRAINING_RUN_EVENTS_H
#define ANCHORD_ENGINE_TRAINING_RUN_EVENTS_H

#include "base/json.h"
#include "base/json_writer.h"

#define RUN_EVENTS(X)                                                                                                  \
    X(START, "start")                                                                                                  \
    X(RESUME, "resume")                                                                                                \
    X(STEP, "step")                                                                                                    \
    X(EVALUATION, "evaluation")                                                                                        \
    X(SAVED, "checkpoint")                                                                                             \
    X(WARNING, "warning")                                                                                              \
    X(END, "end")                                                                                                      \
    X(PROGRESS, "progress")                                                                                            \
    X(OUTCOME, "outcome")                                                                                              \
    X(FAILED, "failed")

enum run_event {
    EVENT_UNKNOWN,
#define X(name, text) EVENT_##name,
    RUN_EVENTS(X)
#undef X
};

/* name, as lines have it, as people read it */
#define TRAIN_ENDS(X)                                                                                                  \
    X(DONE, "done", "Done")                                                                                            \
    X(MAX_MINUTES, "max_minutes", "Stopped when its time was up")                                                      \
    X(STOPPED, "stopped", "Stopped") /* by a signal: it can go on */                                                   \
    X(DIVERGED, "diverged", "Diverged")

enum train_end {
    TRAIN_UNENDED,
#define X(name, text, words) TRAIN_##name,
    TRAIN_ENDS(X)
#undef X
};

/* Begins a line; the caller adds members and ends the object. */
struct json_writer run_event_begin(struct buf *line, enum run_event event);
/* EVENT_UNKNOWN for NULL and for what is no event. */
enum run_event run_event_of(const struct json *line);

const char *train_end_name(enum train_end end);           /* "max_minutes"; static */
const char *train_end_words(enum train_end end);          /* "Stopped when its time was up"; static */
enum train_end train_end_parse(const struct json *text);  /* TRAIN_UNENDED for NULL and for what is none */
static inline bool train_end_is_whole(enum train_end end) /* it trained for as long as it was to */
{
    return end == TRAIN_DONE || end == TRAIN_MAX_MINUTES;
}

#endif
