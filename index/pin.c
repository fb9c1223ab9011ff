/* pin.c - links the files of a collection. */
#include "index/pin.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "index/store_parts.h"

enum { PAGE = 500, GROUP = 64 };

/* False in *there: the image was deleted since its row was read. */
static bool pin_one(struct store *s, struct blobs *to, const struct image_row *row, bool *there, struct err *e)
{
    struct err why = {0};
    uint64_t bytes;
    *there = true;
    if (blobs_present(to, row->sha256, (uint64_t)row->bytes) ||
        blobs_stage_from(to, s->blobs, row->sha256, &bytes, &why))
        return blobs_staged(to) < GROUP || blobs_commit(to, e);
    *there = false;
    return why.code == ERR_NOT_FOUND || err_move(e, &why);
}

static bool pin_page(struct store *s, struct blobs *to, const struct image_row *rows, size_t n,
                     void (*each)(const struct pinned *p, void *context), void *context, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        bool there;
        if (!pin_one(s, to, &rows[i], &there, e))
            return false;
        struct pinned p = {.id = rows[i].id, .sha256 = rows[i].sha256, .label = rows[i].label};
        snprintf(p.file, sizeof p.file, "%.2s/%s", rows[i].sha256, rows[i].sha256);
        if (there)
            each(&p, context);
    }
    return true;
}

bool store_pin(struct store *s, const char *collection, const char *dir,
               void (*each)(const struct pinned *p, void *context), void *context, struct err *e)
{
    struct blobs *to = file_make_dirs(dir, e) ? blobs_open(dir, e) : NULL;
    bool ok = to != NULL, more = true;
    char after[IMAGE_ID_MAX + 1] = "";

    while (ok && more) {
        struct image_row *rows = NULL;
        size_t n = 0;
        const struct image_page page = {.after_id = after[0] ? after : NULL, .limit = PAGE};
        ok = store_images(s, collection, &page, &rows, &n, &more, e) && pin_page(s, to, rows, n, each, context, e);
        if (n > 0)
            snprintf(after, sizeof after, "%s", rows[n - 1].id);
        for (size_t i = 0; i < n; i++)
            image_row_clear(&rows[i]);
        free(rows);
    }
    ok = ok && blobs_commit(to, e);
    blobs_close(to);
    return ok;
}
