/* backup.h - a whole copy of a store, made while it goes on, and its way back.
 *
 *     DIR/backups/<name>/  anchord.db   blobs/ab/<sha256>   models/<id>.safetensors   backup.json
 *
 * Image files are hard links where the file system allows, since they never change.  backup.json tells the
 * hash of the catalogue and of each model, and how many images there are; the image files' names are their
 * hashes.  Each file is read and checked on its way; one that is damaged or missing is left out and named in
 * backup.json.  Everything is synced, and the folder gets its name last.
 */
#ifndef ANCHORD_INDEX_BACKUP_H
#define ANCHORD_INDEX_BACKUP_H

#include "index/store_parts.h"

struct backup;

/* On the writer's thread.  Copies on a thread of its own and hands `write` to done(arg, write) there, with its name and result set.
 * While it runs no image file of the store may be removed.  NULL on failure. */
struct backup *backup_start(struct store *s, struct write *write, void (*done)(void *arg, struct write *write),
                            void *arg, struct err *e);
void backup_join(struct backup *b); /* on the writer's thread, after done() was called */
/* Instead of removing the file of a model that was deleted: keeps it for the backup that is being made.  False when none
 * is, or it cannot. */
bool backup_pin_model(const struct store *s, const struct model_row *row);

#endif
