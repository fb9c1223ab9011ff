/* import_target.h - where imported images go: into a data folder at hand, or through a running server.
 *
 * Both take the same requests of the HTTP API and give the same answers, so an import has one logic.  Working on the
 * folder uses the API's calls within this process, without a socket.
 *
 * A target is shared by all threads; a link is one thread's way to it.
 */
#ifndef ANCHORD_SERVER_COMMANDS_IMPORT_TARGET_H
#define ANCHORD_SERVER_COMMANDS_IMPORT_TARGET_H

#include "api/requests/call.h"
#include "base/conf.h"
#include "server/commands/http_client.h"

struct import_ask {
    enum method method; /* GET, HEAD, PUT or PATCH */
    const char *path;   /* percent-encoded */
    struct pair query[2];
    size_t n_query;
    const char *content_type;
    const void *body;
    size_t len;
};

struct import_target;
struct import_link;

/* Opens the data folder of the settings; ERR_BUSY when a server holds it. */
struct import_target *import_target_folder(const struct conf *c, struct err *e);
/* `key`: NULL for none.  ERR_BAD_INPUT for an address that is none. */
struct import_target *import_target_server(const char *url, const char *key, const struct tls_trust *trust,
                                           struct err *e);
void import_target_free(struct import_target *t); /* NULL is fine; its links first */
/* How many threads make it busy. */
size_t import_target_threads(const struct import_target *t);

struct import_link *import_link_open(struct import_target *t, struct err *e);
void import_link_close(struct import_link *l); /* NULL is fine */
/* Gives the answer, whatever its status; ERR_IO when there was none. */
MUST_CHECK bool import_link_ask(struct import_link *l, const struct import_ask *q, struct http_reply *r, struct err *e);

#endif
