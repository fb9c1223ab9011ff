/* pin.h - the image files of a collection, held in a folder of their own for somebody who reads them for hours.
 *
 *     PINS/ab/<sha256>      hard links to the store's files (checked copies where links cannot be): no second copy on the disk
 *
 * Training reads hundreds of thousands of files over and over, while clients go on deleting and replacing images.  A deleted
 * image vanishes from answers at once; its bytes stay until the last folder that pins them is removed.
 */
#ifndef ANCHORD_INDEX_PIN_H
#define ANCHORD_INDEX_PIN_H

#include "index/store.h"

struct pinned { /* one image; borrowed during the call */
    const char *id, *sha256;
    const char *label; /* NULL: none */
    char file[80];     /* below the folder: "ab/<sha256>" */
};

/* Pins every image that the collection has, and calls `each` for each, by order of id.  Images that are deleted meanwhile may be
 * left out.  A folder that pins some already gets the others.  ERR_NOT_FOUND: no such collection.  Durable when true. */
MUST_CHECK bool store_pin(struct store *s, const char *collection, const char *dir,
                          void (*each)(const struct pinned *p, void *context), void *context, struct err *e);

#endif
