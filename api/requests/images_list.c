/* images_list.c - pages of images, several by their ids, and the labels. */
#include <stdlib.h>
#include <string.h>

#include "api/requests/fields.h"
#include "api/requests/images.h"
#include "base/num.h"

enum { LIST_STANDARD = 100, LIST_MAX = 1000, LABELS_MAX = 10000 };

/* ---- vectors beside images ---- */

bool show_vectors(struct call *c, const char *encoding, struct shown_vectors *out)
{
    out->base64 = encoding && strcmp(encoding, "base64") == 0;
    if (encoding && !out->base64 && strcmp(encoding, "float") != 0)
        return err_field(&c->err, "encoding_format", "must be \"float\" or \"base64\"");
    out->view = call_own_view(c, store_view(c->app->store, c->params[0], 0, &c->err));
    if (!out->view)
        return false;
    out->room = call_new(c, view_dimensions(out->view), sizeof *out->room);
    return true;
}

void write_image_vector(struct json_writer *w, const struct shown_vectors *v, const char *id)
{
    struct err missing = {0};
    if (!view_vector(v->view, id, v->room, &missing))
        jw_null(w, "vector");
    else if (v->base64)
        write_vector_base64(w, "vector", v->room, view_dimensions(v->view));
    else
        write_vector(w, "vector", v->room, view_dimensions(v->view));
}

static void write_row(struct json_writer *w, const struct image_row *row, const struct shown_vectors *v)
{
    jw_object(w, NULL);
    write_image_members(w, row);
    if (v->view)
        write_image_vector(w, v, row->id);
    jw_end(w);
}

/* ---- a page ---- */

static bool read_order(struct call *c, struct image_page *page)
{
    static const char *const names[] = {
        [IMAGES_BY_ID] = "id", [IMAGES_BY_CREATED_AT] = "created_at", [IMAGES_BY_UPDATED_AT] = "updated_at"};
    const char *text = query_text(c, "order");
    if (!text)
        return true;
    page->descending = *text == '-';
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(text + page->descending, names[i]) == 0) {
            page->order = (enum image_order)i;
            return true;
        }
    return err_field(&c->err, "order", "must be id, created_at or updated_at, with - in front for the last first");
}

/* An id, or in an order of time "SECONDS:ID", as the page before had it in `next`. */
static bool read_after(struct call *c, struct image_page *page)
{
    const char *text = query_text(c, "after");
    char *end = NULL;
    if (!text)
        return true;
    page->after_id = text;
    if (page->order != IMAGES_BY_ID) {
        page->after_time = strtoll(text, &end, 10);
        if (end == text || *end != ':')
            return err_field(&c->err, "after", "must be the `next` of the page before");
        page->after_id = end + 1;
    }
    return check_image_id(c, page->after_id, "after");
}

static void write_next(struct json_writer *w, const struct image_page *page, const struct image_row *last)
{
    struct buf text = {0};
    if (page->order != IMAGES_BY_ID)
        buf_print(&text,
                  "%lld:", (long long)(page->order == IMAGES_BY_CREATED_AT ? last->created_at : last->updated_at));
    buf_text(&text, last->id);
    jw_text(w, "next", text.data);
    buf_clear(&text);
}

static bool answer_page(struct call *c, const struct image_page *page, const struct shown_vectors *v)
{
    struct image_row *rows;
    size_t n;
    bool more;
    if (!store_images(c->app->store, c->params[0], page, &rows, &n, &more, &c->err))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++)
        write_row(&w, &rows[i], v);
    jw_end(&w);
    jw_bool(&w, "has_more", more);
    if (more)
        write_next(&w, page, &rows[n - 1]);
    jw_end(&w);
    for (size_t i = 0; i < n; i++)
        image_row_clear(&rows[i]);
    free(rows);
    return call_done(c);
}

bool images_list(struct call *c)
{
    int64_t limit = LIST_STANDARD;
    struct image_page page = {0};
    struct shown_vectors v = {0};
    struct filter *filter = NULL;
    bool with_vector = false;
    if (!query_int(c, "limit", 1, LIST_MAX, &limit) || !read_order(c, &page) || !read_after(c, &page) ||
        !query_bool(c, "with_vector", &with_vector) || !query_filter(c, &filter) ||
        (with_vector && !show_vectors(c, query_text(c, "encoding_format"), &v)))
        return false;
    page.filter = filter;
    page.limit = (size_t)limit;
    return answer_page(c, &page, &v);
}

/* ---- several by their ids ---- */

static void write_missing(struct json_writer *w, const char *id, const struct err *e)
{
    jw_object(w, NULL);
    jw_text(w, "object", "image");
    jw_text(w, "id", id);
    jw_int(w, "status", err_status(e->code));
    write_error(w, "error", e);
    jw_end(w);
}

static bool write_listed(struct call *c, struct json_writer *w, const char *id, const struct shown_vectors *v)
{
    struct image_row row;
    struct err e = {0};
    if (store_image(c->app->store, c->params[0], id, &row, &e)) {
        write_row(w, &row, v);
        image_row_clear(&row);
        return true;
    }
    if (e.code != ERR_NOT_FOUND)
        return call_fail(c, &e);
    write_missing(w, id, &e);
    return true;
}

bool images_get(struct call *c)
{
    static const char *const known[] = {"ids", "with_vector", "encoding_format"};
    const struct json *list = NULL;
    const char *encoding = NULL, *const * ids;
    struct shown_vectors v = {0};
    struct collection_row collection;
    bool with_vector = false;
    size_t n;
    if (!json_only(c->json, "", known, COUNT(known), &c->err) || !json_get_list(c->json, "ids", &list, &c->err) ||
        !json_get_bool(c->json, "with_vector", &with_vector, &c->err) ||
        !json_get_text(c->json, "encoding_format", 16, &encoding, &c->err))
        return false;
    if (!list)
        return err_field(&c->err, "ids", "must say which images");
    if (json_count(list) > LIST_MAX)
        return err_set(&c->err, ERR_TOO_LARGE, "there are %zu ids, the limit is %d", json_count(list), LIST_MAX);
    if (!read_ids(c, list, "ids", &ids, &n) || !store_collection(c->app->store, c->params[0], &collection, &c->err) ||
        (with_vector && !show_vectors(c, encoding, &v)))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++)
        if (!write_listed(c, &w, ids[i], &v))
            return false;
    jw_end(&w);
    jw_end(&w);
    return call_done(c);
}

/* ---- labels ---- */

static void write_label(struct json_writer *w, const struct label_row *row)
{
    jw_object(w, NULL);
    jw_text(w, "object", "label");
    jw_text(w, "label", row->label);
    jw_int(w, "images", row->images);
    jw_end(w);
}

bool labels_list(struct call *c)
{
    int64_t limit = LIST_MAX, unlabelled;
    struct label_row *rows;
    size_t n;
    bool more;
    if (!query_int(c, "limit", 1, LABELS_MAX, &limit) ||
        !store_labels(c->app->store, c->params[0], query_text(c, "after"), (size_t)limit, &rows, &n, &more, &unlabelled,
                      &c->err))
        return false;
    struct json_writer w = answer_list(&c->response);
    for (size_t i = 0; i < n; i++) {
        write_label(&w, &rows[i]);
        free(rows[i].label);
    }
    free(rows);
    jw_end(&w);
    jw_int(&w, "unlabelled", unlabelled);
    jw_bool(&w, "has_more", more);
    jw_end(&w);
    return call_done(c);
}
