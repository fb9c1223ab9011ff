/* backups.c - /v1/backups: restorable copies of the data folder, made below it. */
#include <stdlib.h>
#include <string.h>

#include "api/fields.h"

static void write_backup(struct json_writer *w, const struct backup_row *row)
{
    jw_object(w, NULL);
    jw_text(w, "object", "backup");
    jw_text(w, "name", row->name);
    jw_int(w, "created_at", row->created_at);
    jw_int(w, "bytes", row->bytes);
    jw_int(w, "images", row->images);
    jw_end(w);
}

bool backups_list(struct call *c)
{
    struct backup_row *rows;
    size_t n;
    if (!store_backups(c->app->store, &rows, &n, &c->err))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++)
        write_backup(&w, &rows[i]);
    jw_end(&w);
    jw_bool(&w, "has_more", false);
    jw_end(&w);
    free(rows);
    return call_done(c);
}

/* What was made, as the list tells it. */
static bool describe(struct call *c)
{
    struct backup_row *rows;
    size_t n;
    if (!store_backups(c->app->store, &rows, &n, &c->err))
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].name, c->writes[0]->name) == 0) {
            struct json_writer w = answer_json(&c->response, 201);
            write_backup(&w, &rows[i]);
        }
    free(rows);
    return c->response.status ? call_done(c)
                              : err_set(&c->err, ERR_INTERNAL, "the backup that was made is not listed");
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
