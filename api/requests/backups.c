/* backups.c - /v1/backups: restorable copies of the data folder, made below it. */
#include <stdlib.h>

#include "api/requests/fields.h"

/* The images (or, without a collection, models) whose files were damaged, or were missing. */
static void write_flaws(struct json_writer *w, const char *key, const struct flaws *f, bool missing)
{
    jw_array(w, key);
    for (size_t i = 0; i < f->n; i++) {
        const struct flaw *one = &f->items[i];
        if (one->missing != missing)
            continue;
        jw_object(w, NULL);
        jw_text(w, "collection", one->collection[0] ? one->collection : NULL);
        jw_text(w, one->collection[0] ? "id" : "model", one->id);
        jw_end(w);
    }
    jw_end(w);
}

static void write_backup(struct json_writer *w, const struct backup_row *row)
{
    jw_object(w, NULL);
    jw_text(w, "object", "backup");
    jw_text(w, "name", row->name);
    jw_int(w, "created_at", row->created_at);
    jw_int(w, "bytes", row->bytes);
    jw_int(w, "images", row->images);
    jw_int(w, "left_out", row->left_out.files);
    write_flaws(w, "damaged", &row->left_out, false);
    write_flaws(w, "missing", &row->left_out, true);
    jw_end(w);
}

bool backups_list(struct call *c)
{
    struct backup_row *rows;
    size_t n;
    if (!store_backups(c->app->store, &rows, &n, &c->err))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++) {
        write_backup(&w, &rows[i]);
        backup_row_clear(&rows[i]);
    }
    answer_list_end(&w, false);
    free(rows);
    return call_done(c);
}

static bool answer_backup(struct call *c, int status, const char *name)
{
    struct backup_row row;
    if (!store_backup(c->app->store, name, &row, &c->err))
        return false;
    struct json_writer w = answer_json(&c->response, status);
    write_backup(&w, &row);
    backup_row_clear(&row);
    return call_done(c);
}

bool backup_get(struct call *c)
{
    return answer_backup(c, 200, c->params[0]);
}

/* What was made, as the list tells it. */
static bool describe(struct call *c)
{
    return answer_backup(c, 201, c->writes[0]->backup);
}

static bool create_done(struct call *c)
{
    return call_wrote(c) && call_next(c, describe);
}

bool backup_create(struct call *c)
{
    if (c->json && !json_only(c->json, "", NULL, 0, &c->err))
        return false;
    call_new_write(c, WRITE_BACKUP, NULL);
    return call_write(c, create_done);
}

/* A million links take their time to go. */
static bool delete_files(struct call *c)
{
    if (!store_backup_delete(c->app->store, c->params[0], &c->err))
        return false;
    answer_empty(&c->response, 204);
    return call_done(c);
}

bool backup_delete(struct call *c)
{
    return call_next_heavy(c, delete_files);
}
