/* form.c - sorting the parts of a multipart body. */
#include "api/requests/form.h"

#include <string.h>

#include "api/requests/fields.h"
#include "base/num.h"

enum { FIELDS_MAX = 16, PARTS_OF_A_PICTURE = 4 };

static bool is_picture(const char *name)
{
    static const char *const names[] = {"file", "files", "image", "images"};
    size_t len = strlen(name);
    if (len > 2 && strcmp(name + len - 2, "[]") == 0) /* how PHP and many forms name lists */
        len -= 2;
    for (size_t i = 0; i < COUNT(names); i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    return false;
}

static bool unknown(struct call *c, const char *name, const char *own)
{
    struct buf known = {0};
    for (const char *list = own; list; list = list == own ? c->route->query : NULL)
        for (const char *p = list; *p; p += strcspn(p, " ")) {
            p += strspn(p, " ");
            buf_print(&known, ", %.*s", (int)strcspn(p, " "), p);
        }
    err_field(&c->err, arena_print(&c->arena, "%.60s", name), "there is no part \"%.60s\": parts are called file%s",
              name, known.len ? known.data : "");
    buf_clear(&known);
    return false;
}

static bool add_field(struct call *c, const struct part *part, const char *own)
{
    bool is_own = is_listed(own, part->name);
    if (!is_own && !is_listed(c->route->query, part->name))
        return unknown(c, part->name, own);
    char *text = call_new(c, part->len + 1, 1);
    struct pair *field = &c->form[c->n_form++];
    memcpy(text, part->data, part->len);
    *field = (struct pair){part->name, text};
    if (!is_own && query_text(c, part->name) != text)
        return err_field(&c->err, part->name, "is given twice");
    return strlen(text) == part->len || err_field(&c->err, part->name, "holds a zero byte");
}

bool form_read(struct call *c, const char *own, struct form *out)
{
    const struct request *r = c->request;
    struct part *parts;
    size_t n_parts, max = c->app->options.items_max;
    if (!multipart_parse(r->content_type, r->body, r->body_len, max * PARTS_OF_A_PICTURE + FIELDS_MAX, &c->arena,
                         &parts, &n_parts, &c->err))
        return false;
    c->form = call_new(c, n_parts, sizeof *c->form);
    *out = (struct form){.files = parts};
    for (size_t i = 0; i < n_parts; i++) {
        if (is_picture(parts[i].name))
            out->files[out->n++] = parts[i];
        else if (!add_field(c, &parts[i], own))
            return false;
    }
    if (out->n > max)
        return err_set(&c->err, ERR_TOO_LARGE, "there are more than %zu files", max);
    return out->n > 0 || err_field(&c->err, "file", "the form has no part of this name");
}

bool form_values(struct call *c, const struct form *f, const char *name, bool shared, const char *const **values,
                 size_t *n)
{
    const char **all = call_new(c, c->n_form, sizeof *all);
    *n = 0;
    for (size_t i = 0; i < c->n_form; i++)
        if (strcmp(c->form[i].name, name) == 0)
            all[(*n)++] = c->form[i].value;
    *values = all;
    if (*n == 0 || *n == f->n || (*n == 1 && shared))
        return true;
    return err_field(&c->err, name, "is given %zu times for %zu pictures: give it %sonce for each, in their order", *n,
                     f->n, shared ? "once for all, or " : "");
}

bool body_picture(struct call *c, struct upload_picture *out, const char **param)
{
    struct form f;
    *param = "";
    *out = (struct upload_picture){.bytes = c->request->body, .len = c->request->body_len};
    if (content_of(c) != TAKES_MULTIPART)
        return true;
    *param = "file";
    if (!form_read(c, "", &f))
        return false;
    *out = (struct upload_picture){.bytes = f.files[0].data, .len = f.files[0].len};
    return f.n == 1 || err_field(&c->err, "file", "the form has %zu pictures, one is wanted here", f.n);
}
