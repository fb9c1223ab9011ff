/* secrets.h - what the settings keep in files of their own: the certificate, its key, the admin key.
 *
 * They are read at the start, and again when SIGHUP says that they have changed.
 */
#ifndef ANCHORD_SERVER_PROCESS_SECRETS_H
#define ANCHORD_SERVER_PROCESS_SECRETS_H

#include "base/conf.h"

struct secrets {      /* all owned */
    char *admin_key;  /* "": none */
    char *cert, *key; /* PEM; "": no TLS */
};

/* ERR_BAD_INPUT names the setting: one of a pair is missing, a file has nothing in it.  Other errors are the file's.
 * `out` is to be cleared in either case. */
MUST_CHECK bool secrets_read(struct secrets *out, const struct conf *c, struct err *e);
void secrets_clear(struct secrets *s);

#endif
