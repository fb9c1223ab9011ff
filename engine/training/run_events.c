/* run_events.c - names of events and endings, and back. */
#include "engine/training/run_events.h"

#include <string.h>

#include "base/num.h"

static const char *const events[] = {"",
#define X(name, text) text,
                                     RUN_EVENTS(X)
#undef X
};

static const struct {
    const char *name, *words;
} ends[] = {{"", "Not ended yet"},
#define X(name, text, words) {text, words},
            TRAIN_ENDS(X)
#undef X
};

struct json_writer run_event_begin(struct buf *line, enum run_event event)
{
    struct json_writer w = jw_to(line);
    jw_object(&w, NULL);
    jw_text(&w, "event", events[event]);
    return w;
}

enum run_event run_event_of(const struct json *line)
{
    const char *text = json_as_text(json_member(line, "event"), NULL);
    for (size_t i = 1; text && i < COUNT(events); i++)
        if (strcmp(text, events[i]) == 0)
            return (enum run_event)i;
    return EVENT_UNKNOWN;
}

const char *train_end_name(enum train_end end)
{
    return ends[end].name;
}

const char *train_end_words(enum train_end end)
{
    return ends[end].words;
}

enum train_end train_end_parse(const struct json *text)
{
    const char *name = json_as_text(text, NULL);
    for (size_t i = 1; name && i < COUNT(ends); i++)
        if (strcmp(name, ends[i].name) == 0)
            return (enum train_end)i;
    return TRAIN_UNENDED;
}
