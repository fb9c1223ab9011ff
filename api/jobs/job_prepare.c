/* job_prepare.c - what a worker needs: the pictures, pinned and listed, and the configuration of its run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/jobs/job_pictures.h"
#include "api/jobs/job_settings.h"
#include "api/jobs/jobs_parts.h"
#include "api/services/models.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/data/manifest.h"
#include "engine/training/run_folder.h"

/* FOLDER/list, unless it is there from before a restart. */
static bool list_collection(struct job_run *r, const char *collection, const char *list, struct err *e)
{
    char path[PATH_MAX];
    return access(path_join(path, r->folder, "%s", list), F_OK) == 0 ||
           job_pictures_pin(r->jobs->app->store, collection, r->folder, list, e);
}

static bool count_pictures(const struct job_run *r, struct train_ground *g, struct err *e)
{
    char path[PATH_MAX];
    struct manifest m = {0};
    if (!manifest_read(&m, path_join(path, r->folder, RUN_MANIFEST), e))
        return false;
    size_t *each = mem_new(m.n_labels + 1, sizeof *each);
    for (size_t i = 0; i < m.n; i++)
        each[m.items[i].label + 1]++; /* NO_LABEL is -1 */
    train_ground_count(g, each, m.n_labels);
    free(each);
    manifest_clear(&m);
    return true;
}

/* What was "auto" is a value from now on, in the job too. */
static bool write_config(struct job_run *r, const struct train_ground *g, const char *path, struct err *e)
{
    struct buf config = {0}, settled = {0};
    bool ok =
        (job_plan(r->job, g, &config, &settled, e) || err_unfield(e)) && file_replace(path, config.data, config.len, e);
    if (ok) {
        pthread_mutex_lock(&r->jobs->lock);
        free(r->job->hyperparameters);
        r->job->hyperparameters = buf_take(&settled, NULL);
        (void)jobs_changed(r->jobs, r->job, NULL);
        pthread_mutex_unlock(&r->jobs->lock);
    }
    buf_clear(&config);
    buf_clear(&settled);
    return ok;
}

bool job_prepare(struct job_run *r, struct err *e)
{
    const struct jobs *x = r->jobs;
    const struct job *j = r->job; /* these fields never change once it runs */
    struct model_row row;
    char config[PATH_MAX], model[PATH_MAX];
    if (!list_collection(r, j->collection, RUN_MANIFEST, e) ||
        (j->validation[0] && !list_collection(r, j->validation, RUN_VALIDATION, e)))
        return false;
    if (access(path_join(config, r->folder, RUN_CONFIG), F_OK) == 0)
        return true;
    if (!store_model(x->app->store, j->model, &row, e))
        return false;
    store_model_path(x->app->store, j->model, model, sizeof model);
    struct train_ground g = {.trained = row.trained,
                             .small = model_is_small(&row),
                             .folder = r->folder,
                             .model = model,
                             .validation = j->validation[0] != 0,
                             .threads = x->o.threads,
                             .max_minutes = x->o.max_minutes};
    model_row_clear(&row);
    return count_pictures(r, &g, e) && write_config(r, &g, config, e);
}
