/* fine_tuning.c - /v1/fine_tuning: jobs in OpenAI's shapes, and what may be asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jobs/job_check.h"
#include "api/jobs/job_settings.h"
#include "api/jobs/jobs.h"
#include "api/requests/fields.h"
#include "api/requests/fine_tuning.h"
#include "base/num.h"

bool has_jobs(struct call *c)
{
    return c->app->jobs || err_set(&c->err, ERR_NOT_IMPLEMENTED, "this process runs no fine-tuning jobs");
}

/* ---- showing ---- */

static void write_failure(struct json_writer *w, const struct job *j)
{
    if (j->status != JOB_FAILED) {
        jw_null(w, "error");
        return;
    }
    jw_object(w, "error");
    jw_text(w, "code", j->error_code);
    jw_text(w, "message", j->error);
    jw_null(w, "param");
    jw_end(w);
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

void write_job(struct json_writer *w, const struct job *j)
{
    jw_object(w, NULL);
    jw_text(w, "object", "fine_tuning.job");
    jw_text(w, "id", j->id);
    jw_text(w, "status", job_status_name(j->status));
    jw_text(w, "model", j->model);
    jw_text(w, "fine_tuned_model", or_null(j->made_model));
    jw_text(w, "training_file", j->collection);
    jw_text(w, "validation_file", or_null(j->validation));
    jw_text(w, "suffix", or_null(j->suffix));
    jw_int(w, "seed", (int64_t)j->seed);
    jw_int(w, "created_at", j->created_at);
    write_time(w, "started_at", j->started_at);
    write_time(w, "finished_at", j->finished_at);
    write_failure(w, j);
    jw_raw(w, "hyperparameters", j->hyperparameters);
    jw_object(w, "method");
    jw_text(w, "type", j->objective->name);
    jw_object(w, j->objective->name);
    jw_raw(w, "hyperparameters", j->hyperparameters);
    jw_end(w);
    jw_end(w);
    jw_text(w, "promote", job_promote_name(j->promote));
    jw_raw(w, "result", j->result);
    jw_text(w, "organization_id", "anchord");
    jw_array(w, "result_files");
    jw_end(w);
    jw_null(w, "trained_tokens");
    jw_end(w);
}

static bool answer_job(struct call *c, struct job *j)
{
    struct json_writer w = answer_json(&c->response, 200);
    write_job(&w, j);
    job_clear(j);
    return call_done(c);
}

bool job_get(struct call *c)
{
    struct job j;
    return has_jobs(c) && jobs_get(c->app->jobs, c->params[0], &j, &c->err) && answer_job(c, &j);
}

bool job_cancel(struct call *c)
{
    struct job j;
    return has_jobs(c) && jobs_cancel(c->app->jobs, c->params[0], &j, &c->err) && answer_job(c, &j);
}

static bool delete_job(struct call *c)
{
    if (!jobs_delete(c->app->jobs, c->params[0], &c->err))
        return false;
    answer_empty(&c->response, 204);
    return call_done(c);
}

bool job_delete(struct call *c)
{
    return has_jobs(c) && call_next_heavy(c, delete_job); /* files are removed */
}

bool jobs_list_get(struct call *c)
{
    struct job *rows;
    size_t n;
    bool more;
    int64_t limit = JOBS_PAGE;
    if (!has_jobs(c) || !query_int(c, "limit", 1, JOBS_PAGE_MOST, &limit) ||
        !jobs_list(c->app->jobs, query_text(c, "after"), (size_t)limit, &rows, &n, &more, &c->err))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++) {
        write_job(&w, &rows[i]);
        job_clear(&rows[i]);
    }
    free(rows);
    answer_list_end(&w, more);
    return call_done(c);
}

/* ---- creating ---- */

/* {"type": T, T: {"hyperparameters": {...}}}; NULL: infonce with everything left to us. */
static bool read_method(struct call *c, struct job *j, const struct json *method)
{
    static const char *const inside[] = {"hyperparameters"};
    char where[96];
    const char *type = "infonce";
    const struct json *own = NULL, *values = NULL;
    struct buf text = {0};
    if (method && !json_get_text(method, "type", sizeof where / 2, &type, &c->err))
        return err_prefix(&c->err, "method.");
    j->objective = objective_find(type);
    if (!j->objective)
        return err_field(&c->err, "method.type", "\"%.40s\" is no objective: GET /v1/fine_tuning/objectives lists them",
                         type);
    const char *const known[] = {"type", type};
    snprintf(where, sizeof where, "method.%s.", type);
    if (method &&
        (!json_only(method, "method.", known, COUNT(known), &c->err) || !json_get_object(method, type, &own, &c->err)))
        return false;
    if (own && (!json_only(own, where, inside, COUNT(inside), &c->err) ||
                !json_get_object(own, "hyperparameters", &values, &c->err)))
        return false;
    snprintf(where, sizeof where, "method.%s.hyperparameters", type);
    if (!job_settings_check(j->objective, values, where, &c->err))
        return false;
    job_settings_copy(values, &text);
    j->hyperparameters = call_own(c, buf_take(&text, NULL), free);
    return true;
}

/* The name of a collection or a model, by the field that it stands in; "" when that is absent. */
static bool read_name(struct call *c, const char *field, char out[ID_MAX + 1])
{
    const char *name = NULL;
    if (!json_get_text(c->json, field, ID_MAX, &name, &c->err) || (name && !check_id(c, name, field)))
        return false;
    snprintf(out, ID_MAX + 1, "%s", name ? name : "");
    return true;
}

static bool read_rest(struct call *c, struct job *j)
{
    const char *suffix = NULL, *promote = "if_better";
    int64_t seed = 1;
    if (!json_get_text(c->json, "suffix", JOB_SUFFIX_MAX, &suffix, &c->err) ||
        (suffix && !check_id(c, suffix, "suffix")) ||
        !json_get_int(c->json, "seed", 0, INT64_C(1) << 53, &seed, &c->err) ||
        !json_get_text(c->json, "promote", 16, &promote, &c->err))
        return false;
    if (!job_promote_parse(promote, &j->promote))
        return err_field(&c->err, "promote", "must be never, if_better or always");
    snprintf(j->suffix, sizeof j->suffix, "%s", suffix ? suffix : "");
    j->seed = (uint64_t)seed;
    return true;
}

bool job_create(struct call *c)
{
    static const char *const known[] = {"model", "training_file", "validation_file", "suffix",
                                        "seed",  "method",        "promote"};
    struct job draft = {0}, made;
    const struct json *method = NULL;
    return has_jobs(c) && json_only(c->json, "", known, COUNT(known), &c->err) &&
           read_name(c, "training_file", draft.collection) && read_name(c, "validation_file", draft.validation) &&
           job_check_collections(c->app->store, &draft, &c->err) && read_name(c, "model", draft.model) &&
           job_check_model(c->app->store, &draft, &c->err) && json_get_object(c->json, "method", &method, &c->err) &&
           read_method(c, &draft, method) && read_rest(c, &draft) &&
           jobs_create(c->app->jobs, &draft, &made, &c->err) && answer_job(c, &made);
}

/* ---- objectives ---- */

bool objectives_get(struct call *c)
{
    size_t n;
    const struct objective *const *list = objective_list(&n);
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++) {
        jw_object(&w, NULL);
        jw_text(&w, "object", "fine_tuning.objective");
        jw_text(&w, "id", list[i]->name);
        jw_text(&w, "help", list[i]->help);
        jw_text(&w, "paper", list[i]->paper);
        job_settings_write(&w, "hyperparameters", list[i]);
        jw_end(&w);
    }
    answer_list_end(&w, false);
    return call_done(c);
}
