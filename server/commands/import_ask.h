/* import_ask.h - a collection as one thread of an import asks about it: look up, put, patch.
 *
 * All give false with `e` when the import cannot go on: no server, no right, a full disk.  The meaning of an answer for
 * one picture is in asker->reply.
 */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_ASK_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_ASK_H

#include "base/json.h"
#include "server/commands/import_list.h"
#include "server/commands/import_target.h"

struct asker {
    struct import_link *link;
    const char *collection;
    struct http_reply reply; /* the last one */
};

struct asker asker_open(struct import_target *t, const char *collection,
                        struct err *e); /* ->link is NULL when it failed */
void asker_close(struct asker *a);

bool asker_is_ok(const struct asker *a); /* 2xx */
/* Moves the message of the error answer into e; gives false. */
bool asker_told(const struct asker *a, enum err_code code, struct err *e);

/* ERR_NOT_FOUND when there is none; *images: how many it has. */
MUST_CHECK bool asker_collection(struct asker *a, int64_t *images, struct err *e);

struct known {        /* what the collection has of an image; texts are borrowed from the document */
    struct json *doc; /* NULL: there is no such image */
    char id[IMAGE_ID_MAX + 1];
    const char *sha256, *label;
    const char *path;            /* its metadata's `path`, when that is a text */
    const struct json *metadata; /* NULL: none */
};
MUST_CHECK bool asker_look_up(struct asker *a, const char *id, struct known *out, struct err *e);
void known_clear(struct known *k);

/* Whether the file behind the image can be read: the server holds it against its hash. */
MUST_CHECK bool asker_is_whole(struct asker *a, const char *id, bool *whole, struct err *e);
/* `label`, `metadata` (JSON text): NULL for none. */
MUST_CHECK bool asker_put(struct asker *a, const char *id, const char *label, const char *metadata, const void *bytes,
                          size_t len, struct err *e);
/* Sets what is not NULL. */
MUST_CHECK bool asker_patch(struct asker *a, const char *id, const char *label, const char *path, struct err *e);

#endif
