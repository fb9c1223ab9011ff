/* keys.h - making API keys.
 *
 * A key is `anch_<id>_<secret>`: 8 and 43 characters of base64url, 256 random bits in the secret.  Only the
 * id and the SHA-256 of the whole text are kept.
 */
#ifndef ANCHORD_API_REQUESTS_KEYS_H
#define ANCHORD_API_REQUESTS_KEYS_H

#include "index/store.h"

enum { KEY_TEXT_SIZE = 58 }; /* with the zero */

/* Makes a new key: fills the row, and the text that is shown this once. */
void key_make(const char *name, enum role role, struct key_row *row, char text[KEY_TEXT_SIZE]);
const char *role_name(enum role r); /* "read"; static */
/* ERR_BAD_INPUT for param "role". */
MUST_CHECK bool role_parse(const char *name, enum role *out, struct err *e);

#endif
