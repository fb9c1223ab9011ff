/* keys.h - API keys and their roles.
 *
 * A key is `anch_<id>_<secret>`: 8 and 43 characters of base64url, 256 random bits in the secret.  Only the
 * id and the SHA-256 of the whole text are kept.
 */
#ifndef ANCHORD_API_SERVICES_KEYS_H
#define ANCHORD_API_SERVICES_KEYS_H

#include "index/store.h"

enum { KEY_TEXT_SIZE = 58 }; /* with the zero */

const char *role_name(enum role r); /* "read"; static */
/* ERR_BAD_INPUT for param "role". */
MUST_CHECK bool role_parse(const char *name, enum role *out, struct err *e);
/* Whether a caller's role will do.  ERR_UNAUTHENTICATED for one without any, else ERR_FORBIDDEN. */
MUST_CHECK bool role_allows(enum role has, enum role needed, struct err *e);

/* Each fills a write for whoever submits it; `admin_elsewhere`: the settings have an admin key.
 * A new key is w->key.row, and its text, which is kept nowhere, is in `text`. */
void key_add_draft(struct write *w, const char *name, enum role role, bool admin_elsewhere, char text[KEY_TEXT_SIZE]);
void key_revoke_draft(struct write *w, const char *id, bool admin_elsewhere);

#endif
