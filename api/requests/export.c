/* export.c - GET /v1/collections/{collection}/export: every image with its vector, one line of JSON each.
 *
 * Which images there are is decided at the beginning; each is shown as it is when its line is written, and one that was
 * deleted meanwhile is left out.  What is held at any time is one piece of lines and 8 bytes an image.
 */
#include <stdlib.h>

#include "api/requests/fields.h"
#include "api/requests/images.h"
#include "base/num.h"

enum { PIECE_IMAGES = 200 };

struct export
{
    int64_t *numbers; /* the call's */
    size_t n, done;
    struct shown_vectors vectors;
    struct image_row *rows; /* [PIECE_IMAGES], empty between two pieces */
};

static bool always(const struct call *c)
{
    UNUSED(c);
    return true;
}

static void write_line(struct buf *out, const struct image_row *row, const struct shown_vectors *v)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    write_image_members(&w, row);
    if (v->view)
        write_image_vector(&w, v, row->id);
    jw_end(&w);
    buf_text(out, "\n");
}

static bool send_piece(struct call *c)
{
    struct export *x = c->scratch;
    struct image_row *rows = x->rows;
    size_t n = min_size(x->n - x->done, PIECE_IMAGES), found = 0;
    if (!store_images_numbered(c->app->store, x->numbers + x->done, n, rows, &found, &c->err))
        return false;
    x->done += n;
    for (size_t i = 0; i < found; i++) {
        write_line(&c->response.body, &rows[i], &x->vectors);
        image_row_clear(&rows[i]);
    }
    return x->done == x->n ? call_done(c) : call_go_on(c, always, send_piece);
}

bool export_get(struct call *c)
{
    struct export *x = c->scratch = call_new(c, 1, sizeof *x);
    struct filter *filter = NULL;
    bool with_vector = true;
    if (!query_bool(c, "with_vector", &with_vector) || !query_filter(c, &filter) ||
        (with_vector && !show_vectors(c, query_text(c, "encoding_format"), &x->vectors)) ||
        !store_numbers(c->app->store, c->params[0], filter, &x->numbers, &x->n, &c->err))
        return false;
    call_own(c, x->numbers, free);
    x->rows = call_new(c, PIECE_IMAGES, sizeof *x->rows);
    c->response.status = 200;
    c->response.content_type = "application/x-ndjson";
    c->response.finite = true;
    answer_header(&c->response, "cache-control", "no-store");
    return send_piece(c);
}
