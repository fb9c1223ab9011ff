/* images_batch.c - many images: put, count, delete, change their metadata. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/requests/fields.h"
#include "api/requests/form.h"
#include "api/requests/images.h"
#include "api/requests/picture.h"
#include "api/requests/upload.h"
#include "base/hash.h"
#include "base/num.h"

/* ---- put many ---- */

static void write_result(struct json_writer *w, const struct upload_item *item)
{
    if (!item->err.code) {
        write_image(w, &item->write->image.row, item->write->created ? 201 : 200);
        return;
    }
    jw_object(w, NULL);
    jw_text(w, "object", "image");
    jw_text(w, "id", item->id);
    jw_int(w, "status", err_status(item->err.code));
    write_error(w, "error", &item->err);
    jw_end(w);
}

static bool put_many_done(struct call *c)
{
    const struct upload *u = c->scratch;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < u->n; i++)
        write_result(&w, &u->items[i]);
    jw_end(&w);
    jw_end(&w);
    return call_done(c);
}

static int by_id(const void *a, const void *b)
{
    const struct upload_item *const *x = a, *const *y = b;
    int order = strcmp((*x)->id, (*y)->id);
    return order ? order : (*x > *y) - (*x < *y);
}

/* Of items with the same id the first is kept: the order of writes within a batch means nothing. */
static void refuse_twins(struct call *c, struct upload *u)
{
    struct upload_item **sorted = call_new(c, u->n, sizeof *sorted);
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++)
        if (u->items[i].id)
            sorted[n++] = &u->items[i];
    qsort(sorted, n, sizeof *sorted, by_id);
    for (size_t i = 1; i < n; i++)
        if (strcmp(sorted[i]->id, sorted[i - 1]->id) == 0)
            err_set(&sorted[i]->err, ERR_CONFLICT, "this id stands in the batch before");
}

/* A failed field fails its item. */
static void keep_error(struct call *c, struct upload_item *item)
{
    item->err = c->err;
    c->err = (struct err){0};
}

/* A version 4 UUID (RFC 9562). */
static const char *new_uuid(struct call *c)
{
    unsigned char b[16];
    hash_random(b, sizeof b);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    char *out = call_new(c, 37, 1), *p = out;
    for (size_t i = 0; i < sizeof b; i++)
        p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    return out;
}

/* The fields of a form that belong to its pictures: none of a kind, one for all, or one for each. */
struct form_fields {
    const char *const *ids, *const *labels, *const *metadata;
    size_t n_ids, n_labels, n_metadata;
};

static bool read_form_fields(struct call *c, const struct form *f, struct form_fields *out)
{
    return form_values(c, f, "id", false, &out->ids, &out->n_ids) &&
           form_values(c, f, "label", true, &out->labels, &out->n_labels) &&
           form_values(c, f, "metadata", true, &out->metadata, &out->n_metadata);
}

static const char *value_of(const char *const *values, size_t n, size_t i)
{
    return n == 0 ? NULL : values[n == 1 ? 0 : i];
}

/* "label", or "label[2]" where each picture has one. */
static const char *name_of(struct call *c, const char *field, size_t n, size_t i)
{
    return n > 1 ? arena_print(&c->arena, "%s[%zu]", field, i) : field;
}

static bool item_from_part(struct call *c, const struct part *file, const struct form_fields *f, size_t i,
                           struct upload_item *item)
{
    const char *id = value_of(f->ids, f->n_ids, i);
    item->param = arena_print(&c->arena, "file[%zu]", i);
    item->picture = (struct upload_picture){.bytes = file->data, .len = file->len};
    item->id = id && id[0] ? id : file->filename && file->filename[0] ? file->filename : new_uuid(c);
    return check_image_id(c, item->id, id && id[0] ? name_of(c, "id", f->n_ids, i) : item->param) &&
           read_label(c, value_of(f->labels, f->n_labels, i), name_of(c, "label", f->n_labels, i), &item->label) &&
           read_metadata_text(c, value_of(f->metadata, f->n_metadata, i), name_of(c, "metadata", f->n_metadata, i),
                              &item->metadata);
}

static bool items_from_form(struct call *c, struct upload *u)
{
    struct form form;
    struct form_fields f;
    if (!form_read(c, "id label metadata", &form) || !read_form_fields(c, &form, &f))
        return false;
    u->n = form.n;
    u->items = call_new(c, u->n, sizeof *u->items);
    for (size_t i = 0; i < u->n; i++)
        if (!item_from_part(c, &form.files[i], &f, i, &u->items[i]))
            keep_error(c, &u->items[i]);
    return true;
}

static bool item_from_json(struct call *c, const struct json *v, struct upload_item *item)
{
    static const char *const known[] = {"id", "image", "label", "metadata"};
    if (!json_only(v, "", known, COUNT(known), &c->err) || !json_get_text(v, "id", 4096, &item->id, &c->err) ||
        !json_get_text(v, "label", LABEL_MAX, &item->label, &c->err))
        return false;
    item->id = item->id ? item->id : new_uuid(c);
    return check_image_id(c, item->id, "id") && read_label(c, item->label, "label", &item->label) &&
           compact_metadata(c, json_member(v, "metadata"), "metadata", &item->metadata) &&
           read_picture(c, json_member(v, "image"), "image", &item->picture);
}

static bool items_from_json(struct call *c, struct upload *u)
{
    static const char *const known[] = {"images"};
    const struct json *list = NULL;
    size_t max = c->app->options.items_max;
    if (!json_only(c->json, "", known, COUNT(known), &c->err) || !json_get_list(c->json, "images", &list, &c->err))
        return false;
    u->n = list ? json_count(list) : 0;
    if (u->n == 0)
        return err_field(&c->err, "images", "needs at least one image");
    if (u->n > max)
        return err_set(&c->err, ERR_TOO_LARGE, "there are %zu images, the limit is %zu", u->n, max);
    u->items = call_new(c, u->n, sizeof *u->items);
    for (size_t i = 0; i < u->n; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "images[%zu].", i);
        u->items[i].param = arena_print(&c->arena, "images[%zu].image", i);
        if (item_from_json(c, json_item(list, i), &u->items[i]))
            continue;
        err_prefix(&c->err, prefix);
        keep_error(c, &u->items[i]);
    }
    return true;
}

bool images_put(struct call *c)
{
    struct upload *u = c->scratch = call_new(c, 1, sizeof *u);
    u->finish = put_many_done;
    if (!(c->json ? items_from_json(c, u) : items_from_form(c, u)))
        return false;
    refuse_twins(c, u);
    return upload_start(c);
}

/* ---- count and delete ---- */

struct selection { /* of images: by filter, by ids, or neither */
    struct filter *filter;
    const char *const *ids;
    size_t n_ids;
    bool all; /* it says itself that all are meant */
};

/* `more` names the further fields of the request. */
static bool read_selection(struct call *c, const char *const *more, size_t n_more, struct selection *s)
{
    const char *known[8] = {"filter", "ids", "all"};
    const struct json *filter = NULL, *ids = NULL;
    *s = (struct selection){0};
    for (size_t i = 0; i < n_more; i++)
        known[3 + i] = more[i];
    if (!c->json)
        return true;
    if (!json_only(c->json, "", known, 3 + n_more, &c->err) || !json_get_bool(c->json, "all", &s->all, &c->err) ||
        !json_get_object(c->json, "filter", &filter, &c->err) || !json_get_list(c->json, "ids", &ids, &c->err))
        return false;
    if (filter && ids)
        return err_field(&c->err, "ids", "cannot stand beside filter");
    if (ids && !read_ids(c, ids, "ids", &s->ids, &s->n_ids))
        return false;
    if (filter && !(s->filter = call_own_filter(c, filter_parse(filter, "filter", &c->err))))
        return false;
    bool some = s->ids || (s->filter && !filter_keeps_all(s->filter));
    return !s->all || !some || err_field(&c->err, "all", "cannot stand beside what means some");
}

/* A list without ids means no image; no list at all means all. */
static bool is_empty(const struct selection *s)
{
    return s->ids && s->n_ids == 0;
}

static bool answer_count(struct call *c, const char *member, int64_t n)
{
    struct json_writer w = answer_json(&c->response, 200);
    jw_object(&w, NULL);
    jw_text(&w, "object", "count");
    jw_int(&w, member, n);
    jw_end(&w);
    return call_done(c);
}

bool images_count(struct call *c)
{
    struct selection s;
    int64_t n = 0;
    return read_selection(c, NULL, 0, &s) &&
           (is_empty(&s) || store_count(c->app->store, c->params[0], s.filter, s.ids, s.n_ids, &n, &c->err)) &&
           answer_count(c, "count", n);
}

static bool delete_done(struct call *c)
{
    return call_wrote(c) && answer_count(c, "deleted", c->writes[0]->count);
}

/* A filter whose lists came out empty means all images, which nobody may delete by accident. */
static bool check_restricts(struct call *c, const struct selection *s)
{
    if (s->all || s->ids)
        return true;
    if (!s->filter)
        return err_field(&c->err, "filter", "say by filter or ids which images; {\"all\": true} means all of them");
    return !filter_keeps_all(s->filter) ||
           err_field(&c->err, "filter", "restricts nothing; if all images are meant say {\"all\": true}");
}

static void select_images(struct write *w, const struct selection *s)
{
    w->images.filter = s->filter;
    w->images.ids = s->ids;
    w->images.n_ids = s->n_ids;
}

bool images_delete(struct call *c)
{
    struct selection s;
    if (!read_selection(c, NULL, 0, &s) || !check_restricts(c, &s))
        return false;
    if (is_empty(&s))
        return answer_count(c, "deleted", 0);
    struct write *w = call_new_write(c, WRITE_IMAGES_DELETE, c->params[0]);
    select_images(w, &s);
    return call_write(c, delete_done);
}

/* ---- metadata of many ---- */

static bool patch_done(struct call *c)
{
    return call_wrote(c) && answer_count(c, "changed", c->writes[0]->count);
}

/* A merge patch that removes these keys. */
static const struct json *removal_of(struct call *c, const struct json *keys)
{
    struct buf text = {0};
    struct json_writer w = jw_to(&text);
    size_t n = json_count(keys), i;
    jw_object(&w, NULL);
    for (i = 0; i < n && json_as_text(json_item(keys, i), NULL); i++)
        jw_null(&w, json_as_text(json_item(keys, i), NULL));
    jw_end(&w);
    struct json *patch = i == n ? call_own_json(c, json_parse(text.data, text.len, 0, &c->err)) : NULL;
    if (i < n || n == 0)
        err_field(&c->err, "delete", "must be a list of keys");
    buf_clear(&text);
    return n ? patch : NULL;
}

static bool read_change(struct call *c, struct image_patch *p)
{
    const struct json *set = NULL, *merge = NULL, *keys = NULL;
    if (!json_get_object(c->json, "set", &set, &c->err) || !json_get_object(c->json, "merge", &merge, &c->err) ||
        !json_get_list(c->json, "delete", &keys, &c->err))
        return false;
    if (!!set + !!merge + !!keys != 1)
        return err_set(&c->err, ERR_BAD_INPUT, "one of set, merge and delete must say what becomes of the metadata");
    p->clear_metadata = set != NULL;
    p->metadata = set ? set : merge ? merge : removal_of(c, keys);
    return p->metadata != NULL;
}

bool images_metadata(struct call *c)
{
    static const char *const more[] = {"set", "merge", "delete"};
    struct selection s;
    struct image_patch patch = {0};
    if (!read_selection(c, more, COUNT(more), &s) || !check_restricts(c, &s) || !read_change(c, &patch))
        return false;
    if (is_empty(&s))
        return answer_count(c, "changed", 0);
    struct write *w = call_new_write(c, WRITE_IMAGES_PATCH, c->params[0]);
    select_images(w, &s);
    w->images.patch = patch;
    return call_write(c, patch_done);
}
