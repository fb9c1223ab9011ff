/* job_finish.c - what comes of a run that has ended: its model among the others, the verdict, the change of a collection's model. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/jobs/jobs_parts.h"
#include "api/services/change_model.h"
#include "api/services/models.h"
#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "engine/training/run_folder.h"

void job_clean_temporary(const char *folder)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    DIR *d = opendir(folder);
    while (d && (entry = readdir(d)))
        if (file_is_temporary(entry->d_name))
            unlink(path_join(path, folder, "%s", entry->d_name));
    if (d)
        closedir(d);
}

void job_clean(const char *folder)
{
    static const char *const parts[] = {RUN_PICTURES, RUN_MANIFEST, RUN_VALIDATION, RUN_CHECKPOINT,
                                        RUN_FIRST,    RUN_LAST,     RUN_BEST};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        file_remove_tree(path_join(path, folder, "%s", parts[i]));
    job_clean_temporary(folder);
}

/* ---- the model ---- */

/* It is there already when the server ended between keeping it and saying so. */
static bool keep_model(struct job_run *r, const char *id, struct err *e)
{
    char path[PATH_MAX];
    struct model *m = model_load(path_join(path, r->folder, RUN_BEST), NULL, e);
    const struct model_terms terms = {.encoder = &r->jobs->app->options.encoder};
    bool ok = m && model_keep(r->jobs->app->store, m, id, &terms, e);
    model_free(m);
    return ok;
}

/* ---- the verdict ---- */

struct verdict {
    bool better, certain; /* than step 0; enough for if_better */
    char doubt[200];
    int64_t generation; /* that the promotion began; 0: none */
    char note[256];     /* why there was none */
};

static void read_end(const struct json *end, struct verdict *v)
{
    int64_t best = 0;
    const char *doubt = json_as_text(json_member(end, "doubt"), NULL);
    json_as_int(json_member(end, "best_step"), &best);
    json_as_bool(json_member(end, "certain"), &v->certain);
    v->better = best > 0;
    snprintf(v->doubt, sizeof v->doubt, "%s", doubt ? doubt : "");
}

static void promote(struct job_run *r, const char *model, struct verdict *v)
{
    const struct job *j = r->job;
    struct generation_row row;
    struct collection_row c;
    struct err e = {0};
    if (j->promote == PROMOTE_NEVER)
        snprintf(v->note, sizeof v->note, "promotion was not asked for");
    else if (j->promote == PROMOTE_IF_BETTER && !v->certain)
        snprintf(v->note, sizeof v->note, "not promoted: %s", v->doubt);
    else if (store_collection(r->jobs->app->store, j->collection, &c, NULL) && strcmp(c.model, model) == 0)
        v->generation = c.generation; /* from before a restart */
    else if (change_model(r->jobs->app, j->collection, model, false, &row, &e))
        v->generation = row.number;
    else
        snprintf(v->note, sizeof v->note, "not promoted: %.200s", e.text);
}

/* ---- what the job says of it ---- */

static void copy_member(struct json_writer *w, const struct json *end, const char *key)
{
    struct buf text = {0};
    const struct json *v = json_member(end, key);
    if (v)
        json_dump(v, &text);
    jw_raw(w, key, text.data);
    buf_clear(&text);
}

static char *result_of(const struct json *end, const struct verdict *v)
{
    struct buf out = {0};
    struct json_writer w = jw_to(&out);
    jw_object(&w, NULL);
    jw_text(&w, "end", json_as_text(json_member(end, "reason"), NULL));
    copy_member(&w, end, "best_step");
    jw_text(&w, "summary", json_as_text(json_member(end, "message"), NULL));
    copy_member(&w, end, "before");
    copy_member(&w, end, "after");
    copy_member(&w, end, "gain");
    copy_member(&w, end, "left_out");
    jw_bool(&w, "certain", v->certain);
    jw_bool(&w, "promoted", v->generation > 0);
    if (v->generation)
        jw_int(&w, "generation", v->generation);
    jw_text(&w, "note", v->note[0] ? v->note : NULL);
    jw_end(&w);
    return buf_take(&out, NULL);
}

static void keep_result(struct job_run *r, const char *model, const struct json *end, const struct verdict *v)
{
    pthread_mutex_lock(&r->jobs->lock);
    free(r->job->result);
    r->job->result = result_of(end, v);
    snprintf(r->job->made_model, sizeof r->job->made_model, "%s", model);
    pthread_mutex_unlock(&r->jobs->lock);
}

void job_finish(struct job_run *r)
{
    char model[ID_MAX + 1];
    struct verdict v = {0};
    struct err e = {0};
    struct json *end = json_parse(r->end, strlen(r->end), 0, &e);
    if (!end) {
        job_fail(r, "internal_error", "the end of the run cannot be read: %s", e.text);
        return;
    }
    read_end(end, &v);
    job_model_id(r->job, model);
    if (!v.better) {
        snprintf(v.note, sizeof v.note, "no step was better than the model that it began with");
        keep_result(r, "", end, &v);
    } else if (!keep_model(r, model, &e)) {
        job_fail(r, err_name(e.code), "keeping the model: %s", e.text);
    } else {
        promote(r, model, &v);
        keep_result(r, model, end, &v);
        log_info("job_model", "id=%s model=%s generation=%lld", r->job->id, model, (long long)v.generation);
    }
    if (v.note[0])
        job_tell(r, "info", "%s", v.note);
    if (v.generation)
        job_tell(r, "info", "promoted: generation %lld of %s is being completed", (long long)v.generation,
                 r->job->collection);
    json_free(end);
}
