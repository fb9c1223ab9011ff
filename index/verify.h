/* verify.h - reads all that a data folder holds and tells what is not as it was stored; mends what can be made again.
 *
 * Works on a folder that no server has open: it takes its lock.  The catalogue is brought up to date as by a start.
 *
 *     damaged or missing image files    repaired from the newest backup that has the right bytes
 *     damaged or missing models         the same
 *     damaged vectors                   removed: the next server makes them again from the image files
 *     damaged segments                  removed: they are built again
 *     files that no row names           moved to DIR/strays
 *     the catalogue                     told only: restore a backup
 */
#ifndef ANCHORD_INDEX_VERIFY_H
#define ANCHORD_INDEX_VERIFY_H

#include "index/store.h"

enum verify_outcome { VERIFY_TOLD, VERIFY_REPAIRED, VERIFY_LOST /* could not be repaired */ };

struct verify_finding {
    const char *what;   /* "image file damaged"; static */
    const char *name;   /* file, image or number; borrowed */
    const char *remark; /* what was done about it, or whose it is; may be "" */
    enum verify_outcome outcome;
};

struct verify_options {
    const char *dir;
    bool repair;
    bool (*check_model)(const char *path, const char *fingerprint, struct err *e); /* as in store_options */
    void (*tell)(void *arg, const struct verify_finding *f);
    void *arg;
};

struct verify_result {
    int64_t image_files, vectors, models, segments; /* looked at */
    int64_t findings, repaired;
};

/* False when it could not look: ERR_BUSY when a server has the folder, ERR_NOT_FOUND when there is no catalogue. */
MUST_CHECK bool store_verify(const struct verify_options *o, struct verify_result *out, struct err *e);

#endif
