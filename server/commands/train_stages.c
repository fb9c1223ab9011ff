/* train_stages.c - the configurations of the stages, made from the one that has them all. */
#include "server/commands/train_stages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/training/run_folder.h"

/* *text becomes its merge with the patch. */
static bool patch(char **text, const struct json *with, struct err *e)
{
    struct buf merged = {0};
    bool ok = json_merge_patch(*text, with, &merged, e);
    if (ok) {
        free(*text);
        *text = buf_take(&merged, NULL);
    }
    buf_clear(&merged);
    return ok;
}

/* Stage i's own folder, and the model that it begins with; it has no stages. */
static bool set_folders(char **text, const char *out, size_t i, struct err *e)
{
    char path[PATH_MAX];
    struct buf with = {0};
    struct json_writer w = jw_to(&with);
    jw_object(&w, NULL);
    jw_null(&w, "stages");
    jw_text(&w, "out", path_join(path, out, "%zu", i + 1));
    if (i > 0) {
        jw_text(&w, "model", path_join(path, out, "%zu/" RUN_LAST, i));
        jw_null(&w, "arch");
    }
    jw_end(&w);
    struct json *doc = json_parse(with.data, with.len, 0, e);
    bool ok = doc && patch(text, doc, e);
    json_free(doc);
    buf_clear(&with);
    return ok;
}

static bool check_stage(const struct json *stage, size_t i, struct err *e)
{
    static const char *const refused[] = {"out", "model", "stages", "arch"};
    char where[40];
    snprintf(where, sizeof where, "stages[%zu]", i);
    if (json_kind(stage) != JSON_KIND_OBJECT)
        return err_field(e, where, "must be an object: what is different in this stage");
    for (size_t k = 0; k < COUNT(refused) - (i == 0); k++) {
        snprintf(where, sizeof where, "stages[%zu].%s", i, refused[k]);
        if (json_member(stage, refused[k]))
            return err_field(
                e, where,
                "cannot be given: a stage has a folder below `out`, and begins with the model of the one before");
    }
    return true;
}

static char **add(struct train_stages *s, const struct json *doc)
{
    struct buf whole = {0};
    json_dump(doc, &whole);
    s->texts[s->n] = buf_take(&whole, NULL);
    return &s->texts[s->n++];
}

static bool read_list(struct train_stages *s, const struct json *doc, const struct json *list, struct err *e)
{
    const char *out = json_as_text(json_member(doc, "out"), NULL);
    size_t n = json_count(list);
    if (json_kind(list) != JSON_KIND_LIST || n < 1 || n > STAGES_MAX)
        return err_field(e, "stages", "must be a list of 1 to %d objects", STAGES_MAX);
    if (!out)
        return err_field(e, "out", "is missing: the folder of the run");
    for (size_t i = 0; i < n; i++) {
        const struct json *stage = json_item(list, i);
        if (!check_stage(stage, i, e))
            return false;
        char **text = add(s, doc);
        if (!patch(text, stage, e) || !set_folders(text, out, i, e))
            return false;
    }
    return true;
}

bool train_stages_read(struct train_stages *s, const char *text, size_t len, struct err *e)
{
    *s = (struct train_stages){0};
    struct json *doc = json_parse(text, len, 0, e);
    const struct json *list = doc ? json_member(doc, "stages") : NULL;
    bool ok = doc != NULL;
    if (list)
        ok = read_list(s, doc, list, e);
    else if (doc)
        add(s, doc);
    json_free(doc);
    return ok;
}

void train_stages_clear(struct train_stages *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->texts[i]);
    *s = (struct train_stages){0};
}
