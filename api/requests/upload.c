/* upload.c - embedding and storing the items of an upload, each on its own. */
#include "api/requests/upload.h"

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
    item->err = item->job->err;
    if (item->param)
        snprintf(item->err.param, sizeof item->err.param, "%s", item->param);
}

static bool settle(struct call *c);

static bool write_images(struct call *c)
{
    struct upload *u = c->scratch;
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++) {
        struct upload_item *item = &u->items[i];
        if (is_open(item) && !item->job->err.code)
            n++;
        else if (is_open(item))
            take_picture_error(item);
    }
    call_new_writes(c, n, WRITE_IMAGE_PUT, c->params[0]);
    for (size_t i = 0, k = 0; i < u->n; i++) {
        struct upload_item *item = &u->items[i];
        if (!is_open(item))
            continue;
        const struct image_job *job = item->job;
        struct write *w = c->writes[k++];
        item->write = w;
        item->picture = job->picture; /* decoded by now, should it be needed again */
        w->pre = item->pre;
        w->put = (struct image_put){
            .id = item->id,
            .bytes = job->picture.bytes,
            .len = job->picture.len,
            .media_type = image_media_type(job->info.format),
            .width = job->info.width,
            .height = job->info.height,
            .label = item->label,
            .metadata = item->metadata,
            .vector = job->vector,
            .generation = u->generation,
        };
        memcpy(w->put.sha256, job->sha256, sizeof w->put.sha256);
    }
    return call_write(c, settle);
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
        item->job = &c->images[k++];
        item->job->picture = item->picture;
        item->job->want_hash = true;
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
static void settle_item(struct upload *u, struct upload_item *item)
{
    const struct err *e = &item->write->err;
    if (!e->code)
        item->stored = true;
    else if (e->code != ERR_STALE || u->tries == TRIES_MAX)
        item->err = *e;
    if (e->code)
        item->write = NULL;
}

static bool settle(struct call *c)
{
    struct upload *u = c->scratch;
    bool any_open = false;
    for (size_t i = 0; i < u->n; i++) {
        struct upload_item *item = &u->items[i];
        if (item->write && !item->stored)
            settle_item(u, item);
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
