/* images.c - one image: put, get, patch, delete, and its content. */
#include "api/requests/images.h"

#include <stdlib.h>
#include <string.h>

#include "api/requests/fields.h"
#include "api/requests/form.h"
#include "api/requests/picture.h"
#include "api/requests/upload.h"
#include "base/num.h"
#include "engine/pictures/thumbnail.h"
#include "index/thumbnails.h"

void write_image_members(struct json_writer *w, const struct image_row *row)
{
    jw_text(w, "object", "image");
    jw_text(w, "id", row->id);
    jw_int(w, "revision", row->revision);
    jw_text(w, "sha256", row->sha256);
    jw_text(w, "media_type", row->media_type);
    jw_int(w, "bytes", row->bytes);
    jw_int(w, "width", row->width);
    jw_int(w, "height", row->height);
    jw_text(w, "label", row->label);
    jw_raw(w, "metadata", row->metadata);
    jw_int(w, "created_at", row->created_at);
    jw_int(w, "updated_at", row->updated_at);
}

void write_image(struct json_writer *w, const struct image_row *row, int status)
{
    jw_object(w, NULL);
    write_image_members(w, row);
    if (status)
        jw_int(w, "status", status);
    jw_end(w);
}

static bool answer_image(struct call *c, int status, const struct image_row *row)
{
    struct json_writer w = answer_json(&c->response, status);
    write_image(&w, row, 0);
    answer_header(&c->response, "etag", etag_of(c, row));
    return call_done(c);
}

/* ---- PUT ---- */

static bool put_done(struct call *c)
{
    const struct upload *u = c->scratch;
    const struct upload_item *item = u->items;
    return item->err.code ? fail_picture(c, &item->err, "", item->err.param)
                          : answer_image(c, item->write->created ? 201 : 200, &item->write->image.row);
}

bool image_put(struct call *c)
{
    struct upload_item *item = call_new(c, 1, sizeof *item);
    struct upload *u = c->scratch = call_new(c, 1, sizeof *u);
    *u = (struct upload){.items = item, .n = 1, .finish = put_done};
    item->id = c->params[1];
    if (!body_picture(c, &item->picture, &item->param))
        return false;
    return read_label(c, query_text(c, "label"), "label", &item->label) &&
           read_metadata_text(c, query_text(c, "metadata"), "metadata", &item->metadata) &&
           read_precondition(c, &item->pre) && upload_start(c);
}

/* ---- GET ---- */

static void release_row(void *p)
{
    image_row_clear(p);
}

/* The row of the image that the path names; the call's. */
static const struct image_row *find_row(struct call *c)
{
    struct image_row *row = call_new(c, 1, sizeof *row);
    return store_image(c->app->store, c->params[0], c->params[1], row, &c->err) ? call_own(c, row, release_row) : NULL;
}

static bool not_modified(struct call *c, const char *etag, int64_t whole)
{
    answer_not_modified(&c->response, etag, whole);
    answer_header(&c->response, "cache-control", "private, no-cache");
    return call_done(c);
}

bool image_get(struct call *c)
{
    const struct image_row *row = find_row(c);
    if (!row)
        return false;
    const char *etag = etag_of(c, row);
    if (!answer_image(c, 200, row))
        return false;
    return !etag_is_known(c, etag) || not_modified(c, etag, (int64_t)c->response.body.len);
}

/* ---- content ---- */

/* Reading a file means checking its hash: more than this takes longer than a light thread should. */
enum { LONG_CONTENT = 1 << 20 };

struct content {
    const struct image_row *row;
    int64_t size;     /* of the thumbnail's longer side; 0: the original */
    const char *etag; /* of a thumbnail that the client has; NULL: it has none */
};

/* The type is what we found in the bytes (the server adds nosniff to every answer); nothing in it is to run. */
static bool finish_content(struct call *c, const struct image_row *row)
{
    answer_header(&c->response, "etag", etag_of(c, row));
    answer_header(&c->response, "cache-control", "private, no-cache"); /* kept, and asked for again with its ETag */
    answer_header(&c->response, "content-security-policy", "default-src 'none'; sandbox");
    return call_done(c);
}

static bool fail_content(struct call *c, const struct err *why)
{
    if (why->code == ERR_NOT_FOUND) /* deleted since we looked */
        return err_set(&c->err, ERR_NOT_FOUND, "there is no such image");
    return call_fail(c, why);
}

static bool send_original(struct call *c)
{
    const struct content *q = c->scratch;
    struct err why = {0};
    uint64_t len;
    int fd = store_content_file(c->app->store, q->row, &len, &why);
    if (fd < 0)
        return fail_content(c, &why);
    answer_file(&c->response, q->row->media_type, fd, len);
    return finish_content(c, q->row);
}

static bool finish_thumbnail(struct call *c, struct buf *bytes)
{
    const struct content *q = c->scratch;
    answer_bytes(&c->response, "image/jpeg", bytes);
    return q->etag ? not_modified(c, q->etag, (int64_t)c->response.body.len) : finish_content(c, q->row);
}

static bool make_thumbnail(struct call *c)
{
    const struct content *q = c->scratch;
    struct buf small = {0};
    struct err why = {0};
    void *bytes;
    size_t len;
    if (!store_content(c->app->store, q->row, &bytes, &len, &why))
        return fail_content(c, &why);
    bool ok = thumbnail_write(bytes, len, &c->app->options.limits, (uint32_t)q->size, &small, &c->err);
    free(bytes);
    if (ok)
        store_keep_thumbnail(c->app->store, q->row->sha256, q->size, small.data, small.len);
    ok = ok && finish_thumbnail(c, &small);
    buf_clear(&small);
    return ok;
}

static bool send_thumbnail(struct call *c)
{
    const struct content *q = c->scratch;
    struct buf kept = {0};
    void *bytes;
    if (!store_thumbnail(c->app->store, q->row->sha256, q->size, &bytes, &kept.len))
        return call_next_heavy(c, make_thumbnail);
    kept.data = bytes;
    kept.room = kept.len;
    return finish_thumbnail(c, &kept);
}

bool image_content(struct call *c)
{
    struct content *q = c->scratch = call_new(c, 1, sizeof *q);
    if (!query_int(c, "size", THUMBNAIL_MIN_SIDE, THUMBNAIL_MAX_SIDE, &q->size) || !(q->row = find_row(c)))
        return false;
    const char *etag = etag_of(c, q->row);
    if (etag_is_known(c, etag) && !q->size)
        return not_modified(c, etag, q->row->bytes);
    if (q->size) {
        q->etag = etag_is_known(c, etag) ? etag : NULL; /* even then its length must be known */
        return send_thumbnail(c);
    }
    return q->row->bytes > LONG_CONTENT ? call_next_heavy(c, send_original) : send_original(c);
}

/* ---- PATCH ---- */

static bool patch_done(struct call *c)
{
    return call_wrote(c) && answer_image(c, 200, &c->writes[0]->image.row);
}

/* In a merge patch null is a value: it clears. */
static bool read_patch(struct call *c, struct image_patch *p)
{
    static const char *const known[] = {"label", "metadata"};
    const char *key;
    const struct json *value;
    if (!json_only(c->json, "", known, COUNT(known), &c->err))
        return false;
    for (void *it = NULL; (it = json_next(c->json, it, &key, &value));) {
        bool is_null = json_kind(value) == JSON_KIND_NULL;
        if (strcmp(key, "label") == 0) {
            p->set_label = true;
            p->label = json_as_text(value, NULL);
            if (!is_null && !p->label)
                return err_field(&c->err, "label", "must be a string or null");
        } else {
            p->clear_metadata = is_null;
            p->metadata = is_null ? NULL : value;
            if (!is_null && json_kind(value) != JSON_KIND_OBJECT)
                return err_field(&c->err, "metadata", "must be an object or null");
        }
    }
    return read_label(c, p->label, "label", &p->label);
}

bool image_patch(struct call *c)
{
    struct write *w = call_new_write(c, WRITE_IMAGE_PATCH, c->params[0]);
    w->image.id = c->params[1];
    return read_patch(c, &w->image.patch) && read_precondition(c, &w->image.pre) && call_write(c, patch_done);
}

/* ---- DELETE ---- */

bool image_delete(struct call *c)
{
    struct write *w = call_new_write(c, WRITE_IMAGE_DELETE, c->params[0]);
    w->image.id = c->params[1];
    return read_precondition(c, &w->image.pre) && call_write(c, call_no_content);
}
