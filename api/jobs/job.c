/* job.c - a job to its file and back. */
#include "api/jobs/job.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"

enum { JOB_FILE_MAX = 1 << 20, RANDOM_BYTES = 8 };

static const char prefix[] = "ftjob-";
static const char *const statuses[] = {[JOB_QUEUED] = "queued",
                                       [JOB_RUNNING] = "running",
                                       [JOB_SUCCEEDED] = "succeeded",
                                       [JOB_FAILED] = "failed",
                                       [JOB_CANCELLED] = "cancelled"};
static const char *const promotes[] = {
    [PROMOTE_NEVER] = "never", [PROMOTE_IF_BETTER] = "if_better", [PROMOTE_ALWAYS] = "always"};

void job_new_id(char out[JOB_ID_SIZE])
{
    unsigned char random[RANDOM_BYTES];
    hash_random(random, sizeof random);
    int n = snprintf(out, JOB_ID_SIZE, "%s", prefix);
    for (size_t i = 0; i < RANDOM_BYTES; i++)
        n += snprintf(out + n, JOB_ID_SIZE - (size_t)n, "%02x", random[i]);
}

bool job_id_is_valid(const char *id)
{
    size_t n = sizeof prefix - 1;
    return strncmp(id, prefix, n) == 0 && strlen(id + n) == 2 * RANDOM_BYTES &&
           strspn(id + n, "0123456789abcdef") == 2 * RANDOM_BYTES;
}

bool job_is_over(const struct job *j)
{
    return j->status != JOB_QUEUED && j->status != JOB_RUNNING;
}

const char *job_status_name(enum job_status s)
{
    return statuses[s];
}

const char *job_promote_name(enum job_promote p)
{
    return promotes[p];
}

/* The index of a name, or -1. */
static int find_name(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; name && i < n; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

bool job_promote_parse(const char *name, enum job_promote *out)
{
    int i = find_name(promotes, COUNT(promotes), name);
    if (i >= 0)
        *out = (enum job_promote)i;
    return i >= 0;
}

void job_model_id(const struct job *j, char out[ID_MAX + 1])
{
    const char *name = j->suffix[0] ? j->suffix : j->collection;
    int room = ID_MAX - 1 - (int)strlen(j->id);
    snprintf(out, ID_MAX + 1, "%.*s-%s", room, name, j->id);
}

/* ---- to the file ---- */

bool job_save(const struct job *j, const char *folder, struct err *e)
{
    struct buf text = {0};
    char path[PATH_MAX];
    struct json_writer w = jw_to(&text);
    jw_object(&w, NULL);
    jw_int(&w, "format", 1);
    jw_text(&w, "id", j->id);
    jw_text(&w, "status", job_status_name(j->status));
    jw_int(&w, "created_at", j->created_at);
    jw_int(&w, "started_at", j->started_at);
    jw_int(&w, "finished_at", j->finished_at);
    jw_text(&w, "model", j->model);
    jw_text(&w, "collection", j->collection);
    jw_text(&w, "validation", j->validation);
    jw_text(&w, "suffix", j->suffix);
    jw_int(&w, "seed", (int64_t)j->seed);
    jw_text(&w, "method", j->objective->name);
    jw_raw(&w, "hyperparameters", j->hyperparameters);
    jw_text(&w, "promote", job_promote_name(j->promote));
    jw_int(&w, "crashes", j->crashes);
    jw_bool(&w, "cancel", j->cancel);
    jw_text(&w, "made_model", j->made_model);
    jw_text(&w, "error_code", j->error_code);
    jw_text(&w, "error", j->error);
    jw_raw(&w, "result", j->result);
    jw_end(&w);
    bool ok = file_replace(path_join(path, folder, "job.json"), text.data, text.len, e);
    buf_clear(&text);
    return ok;
}

/* ---- and back ---- */

static bool copy_text(const struct json *doc, const char *key, char *out, size_t size, struct err *e)
{
    const char *text = json_as_text(json_member(doc, key), NULL);
    if (!text || strlen(text) >= size)
        return err_set(e, ERR_CORRUPT, "`%s` is missing", key);
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static char *copy_object(const struct json *doc, const char *key)
{
    struct buf text = {0};
    const struct json *v = json_member(doc, key);
    if (!v)
        return NULL;
    json_dump(v, &text);
    return buf_take(&text, NULL);
}

static bool read_numbers(struct job *j, const struct json *doc, struct err *e)
{
    int64_t format = 0, seed = 0, crashes = 0;
    if (!json_get_int(doc, "format", 1, 1, &format, e) ||
        !json_get_int(doc, "created_at", 0, INT64_MAX, &j->created_at, e) ||
        !json_get_int(doc, "started_at", 0, INT64_MAX, &j->started_at, e) ||
        !json_get_int(doc, "finished_at", 0, INT64_MAX, &j->finished_at, e) ||
        !json_get_int(doc, "seed", 0, INT64_MAX, &seed, e) || !json_get_int(doc, "crashes", 0, 1000, &crashes, e) ||
        !json_get_bool(doc, "cancel", &j->cancel, e))
        return false;
    j->seed = (uint64_t)seed;
    j->crashes = (int)crashes;
    return format == 1 || err_set(e, ERR_CORRUPT, "`format` is missing");
}

static bool read_job(struct job *j, const struct json *doc, struct err *e)
{
    char status[16], promote[16], method[32];
    if (!copy_text(doc, "id", j->id, sizeof j->id, e) || !copy_text(doc, "status", status, sizeof status, e) ||
        !copy_text(doc, "model", j->model, sizeof j->model, e) ||
        !copy_text(doc, "collection", j->collection, sizeof j->collection, e) ||
        !copy_text(doc, "validation", j->validation, sizeof j->validation, e) ||
        !copy_text(doc, "suffix", j->suffix, sizeof j->suffix, e) ||
        !copy_text(doc, "method", method, sizeof method, e) || !copy_text(doc, "promote", promote, sizeof promote, e) ||
        !copy_text(doc, "made_model", j->made_model, sizeof j->made_model, e) ||
        !copy_text(doc, "error_code", j->error_code, sizeof j->error_code, e) ||
        !copy_text(doc, "error", j->error, sizeof j->error, e) || !read_numbers(j, doc, e))
        return false;
    int found = find_name(statuses, COUNT(statuses), status);
    j->objective = objective_find(method);
    j->hyperparameters = copy_object(doc, "hyperparameters");
    j->result = copy_object(doc, "result");
    if (found < 0 || !j->objective || !j->hyperparameters || !job_promote_parse(promote, &j->promote))
        return err_set(e, ERR_CORRUPT, "its values are unknown here");
    j->status = (enum job_status)found;
    return true;
}

bool job_load(struct job *j, const char *folder, struct err *e)
{
    char path[PATH_MAX];
    void *text;
    size_t len;
    struct err why = {0};
    *j = (struct job){0};
    if (!file_read(path_join(path, folder, "job.json"), JOB_FILE_MAX, &text, &len, e))
        return false;
    struct json *doc = json_parse(text, len, 0, &why);
    bool ok = doc && read_job(j, doc, &why);
    json_free(doc);
    free(text);
    if (ok)
        return true;
    job_clear(j);
    return err_set(e, ERR_CORRUPT, "%s: %s", path, why.text);
}

void job_copy(struct job *to, const struct job *from)
{
    *to = *from;
    to->hyperparameters = mem_text(from->hyperparameters);
    to->result = mem_text(from->result);
}

void job_clear(struct job *j)
{
    free(j->hyperparameters);
    free(j->result);
    *j = (struct job){0};
}
