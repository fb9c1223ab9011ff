/* auth.h - which role a request's key has.
 *
 * A key is `anch_<id>_<secret>`: 8 and 43 characters of base64url, 256 random bits in the secret.  The server keeps the
 * SHA-256 of the whole text, looks it up by id and compares it in constant time.  Keys are not passwords: there is
 * nothing to guess, so nothing to slow down.
 *
 * The table lives in memory and is read again when the source's version has changed.  So a revoked key ends with the
 * answer to the revocation.  Without any key everybody may do all, unless the server is exposed (listens beyond
 * loopback): then nobody may.
 *
 * Threads: any.
 */
#ifndef ANCHORD_SERVER_HTTP_AUTH_H
#define ANCHORD_SERVER_HTTP_AUTH_H

#include "index/store.h"

enum { KEY_ID = 8, KEY_SECRET = 43, KEY_LEN = 5 + KEY_ID + 1 + KEY_SECRET };

struct auth_source { /* where the stored keys are; api's store in the program */
    void *context;
    unsigned (*version)(void *context); /* changes whenever a key was added or revoked */
    bool (*list)(void *context, struct key_row **out, size_t *n, struct err *e);
};

struct auth;
/* `admin_key` is one more key, with the role admin, that the source does not know; NULL or "": none.
 * ERR_BAD_INPUT when it is not a key.  NULL on failure. */
struct auth *auth_new(const struct auth_source *source, const char *admin_key, bool exposed, struct err *e);
void auth_free(struct auth *a); /* NULL is fine */

/* Another admin key of the settings in place of the one before.  ERR_BAD_INPUT when it is no key (so is "": a server
 * that had one would be open to all); then the one before stays. */
MUST_CHECK bool auth_change_admin_key(struct auth *a, const char *admin_key, struct err *e);

bool auth_has_keys(struct auth *a);

struct caller {
    enum role role;
    char key_id[12]; /* empty: anonymous */
};
/* `key`: what the request carries, NULL for nothing.  ERR_UNAUTHENTICATED. */
MUST_CHECK bool auth_check(struct auth *a, const char *key, struct caller *out, struct err *e);

/* The key in `Authorization: Bearer KEY` (Bearer in any case), else in api-key, else in x-api-key; NULL when
 * there is none.  Another scheme gives an empty text, which is no key. */
const char *auth_find_key(const char *authorization, const char *api_key, const char *x_api_key);
bool key_is_well_formed(const char *key);

#endif
