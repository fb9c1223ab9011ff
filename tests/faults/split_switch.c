/* split_switch.c - linked in front of catalog_generation_switch(): the old generation retires in a transaction of its own.
 *
 * What is between the two is what one transaction must never show.
 */
#include <stdlib.h>
#include <unistd.h>

#include "index/catalog/catalog.h"

enum { BETWEEN_US = 50000 };

bool __real_catalog_generation_switch(struct session *s, const struct generation_row *row, size_t keep, struct err *e);
bool __wrap_catalog_generation_switch(struct session *s, const struct generation_row *row, size_t keep, struct err *e);

static bool retire_old(struct session *s, const struct generation_row *row, struct err *e)
{
    struct generation_row *rows;
    size_t n;
    bool ok = catalog_generations(s, row->collection_number, &rows, &n, e);
    for (size_t i = 0; ok && i < n; i++)
        if (rows[i].state == GENERATION_ACTIVE)
            ok = catalog_generation_set(s, rows[i].number, GENERATION_RETIRED, "", e);
    free(rows);
    return ok;
}

bool __wrap_catalog_generation_switch(struct session *s, const struct generation_row *row, size_t keep, struct err *e)
{
    if (!retire_old(s, row, e) || !catalog_keep(s, e) || !catalog_commit(s, e))
        return false;
    usleep(BETWEEN_US);
    return catalog_begin(s, e) && catalog_mark(s, e) && __real_catalog_generation_switch(s, row, keep, e);
}
