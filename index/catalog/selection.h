/* selection.h - a set of image numbers, each with a word of its own.
 *
 * Numbers of a collection are dense as a rule, so they lie in pages of 64.  A page is made when one of its numbers is
 * there.  That takes about eight bytes for each number of the table, and keeps them in order by itself.
 */
#ifndef ANCHORD_INDEX_CATALOG_SELECTION_H
#define ANCHORD_INDEX_CATALOG_SELECTION_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

enum { PAGE = 64 };

struct page { /* of 64 numbers */
    uint64_t present;
    uint64_t bits[PAGE];
};

struct selection {
    struct page **pages; /* [n_pages]; NULL where none of its numbers is present */
    size_t n_pages;
    struct arena arena; /* holds the pages */
};

struct selection *selection_new(size_t n_pages, struct err *e); /* NULL without memory */
void selection_free(struct selection *x);                       /* NULL is fine */
/* Numbers beyond the last page are passed over. */
void selection_add(struct selection *x, int64_t number, uint64_t bits);
bool selection_has(const struct selection *x, int64_t number);
size_t selection_count(const struct selection *x);
int64_t *selection_numbers(const struct selection *x, size_t *n); /* ascending; for free(), never NULL */

#endif
