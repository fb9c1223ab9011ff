/* keys.c - /v1/keys: making, listing and revoking API keys. */
#include <stdlib.h>

#include "api/requests/fields.h"
#include "api/services/keys.h"
#include "base/log.h"
#include "base/num.h"

/* `text`: the key itself, only in the answer that made it. */
static void write_key(struct json_writer *w, const struct key_row *row, const char *text)
{
    jw_object(w, NULL);
    jw_text(w, "object", "key");
    jw_text(w, "id", row->id);
    jw_text(w, "name", row->name);
    jw_text(w, "role", role_name(row->role));
    jw_int(w, "created_at", row->created_at);
    if (text)
        jw_text(w, "key", text);
    jw_end(w);
}

bool keys_list(struct call *c)
{
    struct key_row *rows;
    size_t n;
    if (!store_keys(c->app->store, &rows, &n, &c->err))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++)
        write_key(&w, &rows[i], NULL);
    answer_list_end(&w, false);
    free(rows);
    return call_done(c);
}

static bool create_done(struct call *c)
{
    if (!call_wrote(c))
        return false;
    atomic_fetch_add(&c->app->keys_version, 1);
    const struct key_row *row = &c->writes[0]->key.row;
    log_info("key_added", "id=%s role=%s", row->id, role_name(row->role));
    struct json_writer w = answer_json(&c->response, 201);
    write_key(&w, row, c->scratch);
    answer_header(&c->response, "cache-control", "no-store");
    return call_done(c);
}

bool key_create(struct call *c)
{
    static const char *const known[] = {"role", "name"};
    const char *role_text = NULL, *name = "";
    enum role role;
    if (!json_only(c->json, "", known, COUNT(known), &c->err) ||
        !json_get_text(c->json, "role", 16, &role_text, &c->err) ||
        !json_get_text(c->json, "name", ID_MAX, &name, &c->err) || !role_parse(role_text, &role, &c->err))
        return false;
    c->scratch = call_new(c, KEY_TEXT_SIZE, 1);
    key_add_draft(call_new_draft(c), name, role, c->app->options.admin_in_settings, c->scratch);
    return call_write(c, create_done);
}

/* The disk does not write.  The key is refused all the same, and the answer says for how long. */
static bool refuse_until_restart(struct call *c)
{
    const char *id = c->params[0];
    if (!store_refuse_key(c->app->store, id, c->app->options.admin_in_settings, &c->err))
        return false;
    atomic_fetch_add(&c->app->keys_version, 1);
    log_warn("key_refused", "id=%s the disk could not note that it is revoked: only until the next start", id);
    struct json_writer w = answer_json(&c->response, 500);
    jw_object(&w, NULL);
    jw_object(&w, "error");
    jw_text(&w, "message",
            "the key is refused from now on, but the disk could not note it: revoke it again after the next start");
    jw_text(&w, "type", "server_error");
    jw_text(&w, "param", NULL);
    jw_text(&w, "code", err_name(ERR_IO));
    jw_end(&w);
    jw_end(&w);
    return call_done(c);
}

static bool delete_done(struct call *c)
{
    enum err_code code = c->writes[0]->err.code;
    if (code == ERR_IO || code == ERR_CORRUPT || code == ERR_FULL)
        return refuse_until_restart(c);
    if (!call_no_content(c))
        return false;
    atomic_fetch_add(&c->app->keys_version, 1);
    log_info("key_revoked", "id=%s", c->params[0]);
    return true;
}

bool key_delete(struct call *c)
{
    if (!store_is_writable(c->app->store))
        return refuse_until_restart(c);
    key_revoke_draft(call_new_draft(c), c->params[0], c->app->options.admin_in_settings);
    return call_write(c, delete_done);
}
