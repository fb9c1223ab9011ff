/* http_double.h - listeners on free ports in front of a service that is a double.
 *
 * Its routes:
 *
 *     GET /fast     answers path and query
 *     GET /slow     waits on a shelf until let go; with a query, DOUBLE_LARGE bytes more
 *     GET /none     204
 *     GET /rated    needs a key
 *     POST /echo    up to 700,000 bytes
 *     POST /write   needs a key with the role write
 *     GET /stream   an answer that goes on: "begins\n", then what stream_give() gives
 *     GET /flood    one that has 64 KB more whenever it is asked
 */
#ifndef ANCHORD_TESTS_LIB_HTTP_DOUBLE_H
#define ANCHORD_TESTS_LIB_HTTP_DOUBLE_H

#include <stdatomic.h>

#include "server/http/http.h"
#include "tests/lib/client.h"
#include "tests/t.h"

enum { DOUBLE_LARGE = (T_SLOWER > 1 ? 1 : 8) << 20 };
#define DOUBLE_KEY "anch_AAAAAAAA_0123456789012345678901234567890123456789-_x"

struct fixture {
    struct conf conf;
    struct auth *auth;
    struct gate *gate;
    struct http *http;
    uint16_t port;
};

/* `settings`: name, value, ..., NULL; NULL for the defaults.  `key`: the one key; NULL: none.  PEM texts or NULL. */
void fixture_open(struct fixture *f, const char *const *settings, const char *key, const char *cert,
                  const char *cert_key);
void fixture_close(struct fixture *f);

extern atomic_int double_executed; /* requests that reached the service since fixture_open() */
bool shelf_wait(size_t n);         /* until so many requests are on it; false after 5 s */
/* Answers what is on the shelf, 0.2 s later; a thread's main function. */
void *shelf_let_go(void *unused);

bool stream_wait(size_t n); /* until so many answers wait for more; false after 5 s */
/* Gives all that wait this text; `end`: and no more, `cut`: it fails there. */
enum stream_end { STREAM_MORE, STREAM_END, STREAM_CUT };
void stream_give(const char *text, enum stream_end end);
extern atomic_int double_pieces; /* of /flood, since fixture_open() */

/* Fails the test unless the header has this value; `want` NULL: unless it is absent. */
void assert_header(const struct reply *r, const char *name, const char *want);

#endif
