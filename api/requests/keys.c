/* keys.c - /v1/keys: making, listing and revoking API keys. */
#include "api/requests/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/requests/fields.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"

static const char *const role_names[] = {[ROLE_READ] = "read", [ROLE_WRITE] = "write", [ROLE_ADMIN] = "admin"};

const char *role_name(enum role r)
{
    return r == ROLE_NONE ? "none" : role_names[r];
}

bool role_parse(const char *name, enum role *out, struct err *e)
{
    for (size_t r = ROLE_READ; name && r < COUNT(role_names); r++)
        if (strcmp(name, role_names[r]) == 0) {
            *out = (enum role)r;
            return true;
        }
    return err_field(e, "role", "must be \"read\", \"write\" or \"admin\"");
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* n characters, each one of the first `size` of the alphabet. */
static void random_text(char *out, size_t n, unsigned size)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char byte;
        do
            hash_random(&byte, 1);
        while (byte >= 256 / size * size); /* the rest would favour the first ones */
        out[i] = alphabet[byte % size];
    }
    out[n] = 0;
}

void key_make(const char *name, enum role role, struct key_row *row, char text[KEY_TEXT_SIZE])
{
    enum { ID = 8, SECRET = 43 };
    char secret[SECRET + 1];
    *row = (struct key_row){.role = role, .created_at = clock_unix()};
    random_text(row->id, ID, 62); /* no hyphen: a command line would take it for a flag */
    random_text(secret, SECRET, 64);
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(text, KEY_TEXT_SIZE, "anch_%s_%s", row->id, secret);
    hash_bytes(text, strlen(text), row->hash);
}

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
    jw_end(&w);
    jw_bool(&w, "has_more", false);
    jw_end(&w);
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
    struct write *w = call_new_write(c, WRITE_KEY_ADD, NULL);
    w->key.admin_elsewhere = c->app->options.admin_in_settings;
    c->scratch = call_new(c, KEY_TEXT_SIZE, 1);
    key_make(name, role, &w->key.row, c->scratch);
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
    struct write *w = call_new_write(c, WRITE_KEY_REVOKE, NULL);
    w->key.id = c->params[0];
    w->key.admin_elsewhere = c->app->options.admin_in_settings;
    return call_write(c, delete_done);
}
