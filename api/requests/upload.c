/* upload.c - embedding and storing the items of an upload, each on its own. */
#include "api/requests/upload.h"
#include "api/services/models.h"

#include <stdio.h>
#include <string.h>

enum { TRIES_MAX = 5 };

/* Not yet ended, well or badly. */
static bool is_open(const struct upload_item *item)
{
    return !item->err.code && !item->write;
}

static void take_picture_error(struct upload_item *item)
{
    item->err = item->embed->err;
    if (item->param)
        snprintf(item->err.param, sizeof item->err.param, "%s", item->param);
}

static bool writes_done(struct call *c);

static bool write_images(struct call *c)
{
    struct upload *u = c->scratch;
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++) {
        struct upload_item *item = &u->items[i];
        if (is_open(item) && !item->embed->err.code)
            n++;
        else if (is_open(item))
            take_picture_error(item);
    }
    call_new_writes(c, n, WRITE_IMAGE_PUT, c->params[0]);
    for (size_t i = 0, k = 0; i < u->n; i++) {
        struct upload_item *item = &u->items[i];
        if (!is_open(item))
            continue;
        const struct embed_item *embed = item->embed;
        struct write *w = c->writes[k++];
        item->write = w;
        item->picture = embed->picture; /* decoded by now, should it be needed again */
        w->image.pre = item->pre;
        w->image.put = (struct image_put){
            .id = item->id,
            .bytes = embed->picture.bytes,
            .len = embed->picture.len,
            .media_type = image_media_type(embed->info.format),
            .width = embed->info.width,
            .height = embed->info.height,
            .label = item->label,
            .metadata = item->metadata,
            .vector = embed->vector,
            .generation = u->generation,
        };
        memcpy(w->image.put.sha256, embed->sha256, sizeof w->image.put.sha256);
    }
    return call_write(c, writes_done);
}

static bool embed_images(struct call *c)
{
    struct upload *u = c->scratch;
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++)
        n += is_open(&u->items[i]);
    call_new_images(c, n);
    for (size_t i = 0, k = 0; i < u->n; i++) {
        struct upload_item *item = &u->items[i];
        if (!is_open(item))
            continue;
        item->embed = &c->images[k++];
        item->embed->picture = item->picture;
        item->embed->want_hash = true;
    }
    return call_embed(c, write_images);
}

static bool load_encoder(struct call *c)
{
    struct upload *u = c->scratch;
    struct collection_row row;
    if (!store_collection(c->app->store, c->params[0], &row, &c->err))
        return false;
    u->generation = row.generation;
    return call_load(c, row.model, precision_parse(row.precision), embed_images);
}

/* After others were stored: those that cannot go on say why, and the answer tells of all. */
static bool give_up(struct call *c)
{
    struct upload *u = c->scratch;
    for (size_t i = 0; i < u->n; i++)
        if (!u->items[i].err.code && !u->items[i].stored)
            u->items[i].err = c->err;
    return u->finish(c);
}

/* ERR_STALE means that the generation was switched while we embedded: that item goes round once more, and again when it
 * was switched back meanwhile.  Any other error is the item's own. */
static void note_end(struct upload *u, struct upload_item *item)
{
    const struct err *e = &item->write->err;
    if (!e->code)
        item->stored = true;
    else if (e->code != ERR_STALE || u->tries == TRIES_MAX)
        item->err = *e;
    if (e->code)
        item->write = NULL;
}

static bool writes_done(struct call *c)
{
    struct upload *u = c->scratch;
    bool any_open = false;
    for (size_t i = 0; i < u->n; i++) {
        struct upload_item *item = &u->items[i];
        if (item->write && !item->stored)
            note_end(u, item);
        any_open |= is_open(item);
        if (item->stored)
            c->part_done = give_up;
    }
    if (!any_open)
        return u->finish(c);
    u->tries++;
    return call_next(c, load_encoder);
}

bool upload_start(struct call *c)
{
    return load_encoder(c);
}
