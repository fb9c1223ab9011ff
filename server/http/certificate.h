/* certificate.h - the certificate that TLS sessions get, which may change while the server runs.
 *
 * libmicrohttpd takes a certificate once, at its start.  Its callback for the certificate of a session has no
 * context, so a process has one certificate for all its listeners.  Sessions that are open keep the one they began
 * with.
 *
 * Threads: any.
 */
#ifndef ANCHORD_SERVER_HTTP_CERTIFICATE_H
#define ANCHORD_SERVER_HTTP_CERTIFICATE_H

#include "base/err.h"
#include "base/hash.h"

/* From now on new sessions get this chain, the leaf first, and its key, both PEM.  ERR_BAD_INPUT when they are none
 * or do not belong together; then the one before stays. */
MUST_CHECK bool certificate_use(const char *chain_pem, const char *key_pem, struct err *e);
/* SHA-256 of the leaf's DER in hex, by which a client on this machine knows its server; "" without any. */
void certificate_fingerprint(char out[HASH_HEX]);

/* The function for MHD_OPTION_HTTPS_CERT_CALLBACK, as an array of libmicrohttpd's options has it. */
void *certificate_callback(void);

#endif
