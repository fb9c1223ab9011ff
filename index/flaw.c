/* flaw.c - see flaw.h. */
#include "index/flaw.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "index/catalog/catalog.h"

void flaws_add(struct flaws *f, const struct flaw *one)
{
    if (f->n == FLAWS_MAX)
        return;
    if ((f->n & (f->n - 1)) == 0)
        f->items = mem_grow(f->items, f->n ? f->n * 2 : 1, sizeof *f->items);
    f->items[f->n++] = *one;
}

void flaws_clear(struct flaws *f)
{
    free(f->items);
    *f = (struct flaws){0};
}

bool is_flaw(const struct err *why)
{
    return why->code == ERR_CORRUPT || why->code == ERR_NOT_FOUND || why->code == ERR_IO;
}

bool flaws_add_file(struct flaws *f, struct session *s, const char *sha256, const struct err *why, struct err *e)
{
    struct image_user *users;
    size_t n;
    if (!catalog_hash_users(s, sha256, FLAWS_MAX - f->n, &users, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct flaw one = {.missing = why->code == ERR_NOT_FOUND};
        snprintf(one.collection, sizeof one.collection, "%s", users[i].collection);
        snprintf(one.id, sizeof one.id, "%s", users[i].id);
        snprintf(one.sha256, sizeof one.sha256, "%s", sha256);
        flaws_add(f, &one);
    }
    f->files++;
    free(users);
    return true;
}

void flaws_add_model(struct flaws *f, const char *id, const struct err *why)
{
    struct flaw one = {.missing = why->code == ERR_NOT_FOUND};
    snprintf(one.id, sizeof one.id, "%s", id);
    flaws_add(f, &one);
    f->files++;
}
