/* jobs.c - the list of jobs: read at the start, added to, cancelled. */
#include "api/jobs/jobs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/jobs/job_check.h"
#include "api/jobs/jobs_parts.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum { QUEUE = 16, MAX_MINUTES = 1440 };

/* ---- opening ---- */

static struct job *add(struct jobs *x, const struct job *j)
{
    if (x->n == x->room) {
        x->room = x->room ? x->room * 2 : 16;
        x->items = mem_grow(x->items, x->room, sizeof(struct job *));
    }
    return x->items[x->n++] = mem_dup(j, sizeof *j);
}

static int by_age(const void *a, const void *b)
{
    const struct job *const *x = a, *const *y = b;
    if ((*x)->created_at != (*y)->created_at)
        return (*x)->created_at < (*y)->created_at ? -1 : 1;
    return strcmp((*x)->id, (*y)->id);
}

/* A folder without its job.json is one that was never acknowledged. */
static void load_one(struct jobs *x, const char *id)
{
    char folder[PATH_MAX];
    struct job j;
    struct err e = {0};
    jobs_folder(x, id, folder);
    if (!file_sync_dir(folder, &e)) /* job.json may have its name since a sync that failed */
        log_error("job_unsynced", "id=%s %s", id, e.text);
    e = (struct err){0};
    if (job_load(&j, folder, &e)) {
        if (job_is_over(&j))
            job_clean(folder);
        else
            job_clean_temporary(folder); /* of a worker that was killed */
        add(x, &j);
    } else if (e.code == ERR_NOT_FOUND)
        file_remove_tree(folder);
    else
        log_error("job_unreadable", "id=%s %s", id, e.text);
}

static bool load_all(struct jobs *x, struct err *e)
{
    struct dirent *entry;
    DIR *d = file_make_dirs(x->dir, e) ? opendir(x->dir) : NULL;
    if (!d)
        return err_sys(e, "listing the jobs");
    while ((entry = readdir(d)))
        if (job_id_is_valid(entry->d_name))
            load_one(x, entry->d_name);
    closedir(d);
    if (x->n > 1)
        qsort(x->items, x->n, sizeof(struct job *), by_age);
    return true;
}

static uint64_t half_of_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 2 : 0;
}

static void free_all(struct jobs *x)
{
    for (size_t i = 0; i < x->n; i++) {
        job_clear(x->items[i]);
        free(x->items[i]);
    }
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->changed);
    free(x->items);
    free(x->dir);
    free(x->program);
    free(x);
}

struct jobs *jobs_open(struct app *app, const char *dir, const struct jobs_options *o, struct err *e)
{
    struct jobs *x = mem_new(1, sizeof *x);
    *x = (struct jobs){
        .app = app, .o = *o, .dir = mem_text(dir), .program = mem_text(o->program), .cores = cores_usable()};
    x->o.queue = o->queue ? o->queue : QUEUE;
    x->o.memory = o->memory ? o->memory : half_of_memory();
    x->o.max_minutes = o->max_minutes > 0 ? o->max_minutes : MAX_MINUTES;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->changed, NULL);
    if (load_all(x, e) && thread_start(&x->thread, "jobs", jobs_run, x, e))
        return x;
    free_all(x);
    return NULL;
}

void jobs_close(struct jobs *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    x->stop = true;
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
    pthread_join(x->thread, NULL);
    free_all(x);
}

/* ---- asking ---- */

static struct job *find(struct jobs *x, const char *id, struct err *e)
{
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->items[i]->id, id) == 0)
            return x->items[i];
    err_set(e, ERR_NOT_FOUND, "no fine-tuning job %s", id);
    return NULL;
}

bool jobs_get(struct jobs *x, const char *id, struct job *out, struct err *e)
{
    pthread_mutex_lock(&x->lock);
    const struct job *j = find(x, id, e);
    if (j)
        job_copy(out, j);
    pthread_mutex_unlock(&x->lock);
    return j != NULL;
}

bool jobs_list(struct jobs *x, const char *after, size_t limit, struct job **out, size_t *n, bool *more, struct err *e)
{
    pthread_mutex_lock(&x->lock);
    size_t left = x->n;
    bool known = !after || find(x, after, e);
    while (known && after && left > 0 && strcmp(x->items[left - 1]->id, after) != 0)
        left--;
    left -= known && after ? 1 : 0;
    *n = known ? (left < limit ? left : limit) : 0;
    *more = left > *n;
    *out = mem_new(*n + 1, sizeof **out);
    for (size_t i = 0; i < *n; i++)
        job_copy(&(*out)[i], x->items[left - 1 - i]);
    pthread_mutex_unlock(&x->lock);
    if (!known)
        free(*out);
    return known;
}

bool jobs_events_folder(struct jobs *x, const char *id, char out[PATH_MAX], struct err *e)
{
    pthread_mutex_lock(&x->lock);
    bool known = find(x, id, e) != NULL;
    pthread_mutex_unlock(&x->lock);
    path_join(out, x->dir, "%s", id);
    return known;
}

bool jobs_events(struct jobs *x, const char *id, struct job_events *out, struct err *e)
{
    char folder[PATH_MAX];
    return jobs_events_folder(x, id, folder, e) && job_events_read(folder, out, e);
}

uint64_t jobs_version(const struct jobs *x)
{
    return atomic_load(&x->version);
}

/* ---- models that are about to go ---- */

struct jobs_spare {
    struct jobs_spare *next;
    struct jobs *jobs;
    char model[ID_MAX + 1];
};

static bool is_needed(const struct jobs *x, const char *model)
{
    for (size_t i = 0; i < x->n; i++)
        if (!job_is_over(x->items[i]) && strcmp(x->items[i]->model, model) == 0)
            return true;
    return false;
}

struct jobs_spare *jobs_spare_model(struct jobs *x, const char *model, struct err *e)
{
    struct jobs_spare *s = mem_new(1, sizeof *s);
    s->jobs = x;
    snprintf(s->model, sizeof s->model, "%s", model);
    pthread_mutex_lock(&x->lock);
    bool free_to_go = !is_needed(x, model);
    if (free_to_go) {
        s->next = x->spared;
        x->spared = s;
    }
    pthread_mutex_unlock(&x->lock);
    if (free_to_go)
        return s;
    free(s);
    err_set(e, ERR_CONFLICT, "a fine-tuning job begins with this model");
    return NULL;
}

void jobs_spared(struct jobs_spare *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->jobs->lock);
    struct jobs_spare **at = &s->jobs->spared;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&s->jobs->lock);
    free(s);
}

/* Under the lock, so that nobody can begin to delete it before the job is in the list. */
static bool has_model(const struct jobs *x, const char *model, struct err *e)
{
    struct model_row row;
    struct err why = {0};
    for (const struct jobs_spare *s = x->spared; s; s = s->next)
        if (strcmp(s->model, model) == 0)
            return err_set(e, ERR_BUSY, "the model %.128s is being deleted; try again", model);
    if (!store_model(x->app->store, model, &row, &why))
        return why.code == ERR_NOT_FOUND ? err_field(e, "model", "no model %.128s", model) : err_move(e, &why);
    model_row_clear(&row);
    return true;
}

/* ---- adding and cancelling ---- */

static size_t count_queued(const struct jobs *x)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        n += x->items[i]->status == JOB_QUEUED;
    return n;
}

/* Its folder, and in it its file: only then it is a job. */
static bool create(struct jobs *x, struct job *j, struct err *e)
{
    char folder[PATH_MAX];
    if (x->stop)
        return err_set(e, ERR_BUSY, "the server is stopping");
    if (count_queued(x) >= x->o.queue)
        return err_set(e, ERR_BUSY, "%zu fine-tuning jobs are waiting already", x->o.queue);
    if (!has_model(x, j->model, e))
        return false;
    jobs_folder(x, j->id, folder);
    if (!store_has_room(x->app->store, 0, e))
        return false;
    if (file_make_dirs(folder, e) && job_save(j, folder, e) && file_sync_dir(x->dir, e))
        return true;
    file_remove_tree(folder);
    return false;
}

bool jobs_create(struct jobs *x, const struct job *draft, struct job *out, struct err *e)
{
    struct job j;
    if (!job_check_plan(x->app->store, draft, e))
        return false;
    job_copy(&j, draft);
    job_new_id(j.id);
    j.status = JOB_QUEUED;
    j.created_at = clock_unix();
    pthread_mutex_lock(&x->lock);
    bool ok = create(x, &j, e);
    if (ok) {
        job_copy(out, add(x, &j));
        x->version++;
        pthread_cond_broadcast(&x->changed);
    }
    pthread_mutex_unlock(&x->lock);
    if (!ok)
        job_clear(&j);
    return ok;
}

bool jobs_cancel(struct jobs *x, const char *id, struct job *out, struct err *e)
{
    pthread_mutex_lock(&x->lock);
    struct job *j = find(x, id, e);
    bool ok = j && (!job_is_over(j) || err_set(e, ERR_CONFLICT, "the job is %s already", job_status_name(j->status)));
    if (ok) {
        j->cancel = true;
        if (j->status == JOB_QUEUED) {
            j->status = JOB_CANCELLED;
            j->finished_at = clock_unix();
        }
        ok = jobs_changed(x, j, e); /* it stops in any case */
        if (ok)
            job_copy(out, j);
    }
    pthread_mutex_unlock(&x->lock);
    return ok;
}

/* ---- deleting ---- */

/* Without job.json a folder is no job: after a crash the next start removes the rest. */
static bool remove_folder(const char *folder, struct err *e)
{
    char path[PATH_MAX];
    if (unlink(path_join(path, folder, "job.json")) != 0 && errno != ENOENT)
        return err_sys(e, "removing %s", path);
    bool ok = file_sync_dir(folder, e);
    file_remove_tree(folder);
    return ok;
}

static void forget(struct jobs *x, struct job *j)
{
    size_t i = 0;
    while (x->items[i] != j)
        i++;
    memmove(&x->items[i], &x->items[i + 1], (x->n - i - 1) * sizeof *x->items);
    x->n--;
    job_clear(j);
    free(j);
    x->version++;
    pthread_cond_broadcast(&x->changed);
}

bool jobs_delete(struct jobs *x, const char *id, struct err *e)
{
    char folder[PATH_MAX];
    struct job *j;
    jobs_folder(x, id, folder);
    pthread_mutex_lock(&x->lock);
    while ((j = find(x, id, e)) && job_is_over(j) && x->current == j) /* its thread is just putting it away */
        pthread_cond_wait(&x->changed, &x->lock);
    bool ok = j && (job_is_over(j) ||
                    err_set(e, ERR_CONFLICT, "the job %s is %s: cancel it first", id, job_status_name(j->status)));
    ok = ok && remove_folder(folder, e);
    if (ok)
        forget(x, j);
    pthread_mutex_unlock(&x->lock);
    return ok;
}
