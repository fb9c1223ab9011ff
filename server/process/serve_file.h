/* serve_file.h - DIR/serve.json: where the server that holds a data folder can be reached.
 *
 * `anchord serve` writes it when both listeners are open and removes it at the end.  After a crash an old one stays
 * behind, so its word counts only while the folder is locked.
 */
#ifndef ANCHORD_SERVER_PROCESS_SERVE_FILE_H
#define ANCHORD_SERVER_PROCESS_SERVE_FILE_H

#include "base/err.h"
#include "base/hash.h"

struct serve_addresses {
    char public_url[320], admin_url[320]; /* for clients on this machine: "http://127.0.0.1:8080" */
    char certificate[HASH_HEX];           /* its fingerprint, by which such a client knows the server; "": no TLS */
};

/* ERR_NOT_FOUND when there is none. */
MUST_CHECK bool serve_file_read(const char *dir, struct serve_addresses *out, struct err *e);
MUST_CHECK bool serve_file_write(const char *dir, const struct serve_addresses *a, struct err *e);
void serve_file_remove(const char *dir);

#endif
