/* backup_file.h - backup.json, which tells what a backup holds, and files copied under their hash. */
#ifndef ANCHORD_INDEX_BACKUP_FILE_H
#define ANCHORD_INDEX_BACKUP_FILE_H

#include "index/flaw.h"

struct backup_model {
    char id[ID_MAX + 1];
    char sha256[HASH_HEX];
};

struct backup_file {
    int64_t created_at, images, bytes;
    char catalog_sha256[HASH_HEX];
    struct backup_model *models; /* owned */
    size_t n_models;
    struct flaws left_out; /* owned */
};

MUST_CHECK bool backup_file_write(const struct backup_file *f, const char *dir, struct err *e);
MUST_CHECK bool backup_file_read(struct backup_file *out, const char *dir, struct err *e);
void backup_file_clear(struct backup_file *f);

/* The hash of a file's content and its size. */
MUST_CHECK bool backup_hash_file(const char *path, char sha256[HASH_HEX], uint64_t *bytes, struct err *e);
/* The same while copying to the new file `to`, which is synced (its folder is not). */
MUST_CHECK bool backup_copy_file(const char *from, const char *to, char sha256[HASH_HEX], uint64_t *bytes,
                                 struct err *e);
MUST_CHECK bool backup_sync_file(const char *path, struct err *e);

#endif
