/* fuzz_backup.c - any bytes as backup.json: what is taken names only what a backup may hold, and is the same after it was
 * written and read again. */
#include "base/json.h"
#include "index/backup_file.h"
#include "tests/fuzz/fuzz_file.h"

static void check_values(const struct backup_file *f)
{
    FUZZ_CHECK(f->created_at >= 0 && f->images >= 0 && f->bytes >= 0 && f->left_out.files >= 0);
    FUZZ_CHECK(f->left_out.n <= FLAWS_MAX);
    for (size_t i = 0; i < f->n_models; i++)
        FUZZ_CHECK(id_is_valid(f->models[i].id)); /* it becomes a file's name */
}

static void check_same(const struct backup_file *a, const struct backup_file *b)
{
    FUZZ_CHECK(a->created_at == b->created_at && a->images == b->images && a->bytes == b->bytes);
    FUZZ_CHECK(strcmp(a->catalog_sha256, b->catalog_sha256) == 0);
    FUZZ_CHECK(a->n_models == b->n_models && a->left_out.n == b->left_out.n && a->left_out.files == b->left_out.files);
    for (size_t i = 0; i < a->n_models; i++)
        FUZZ_CHECK(strcmp(a->models[i].id, b->models[i].id) == 0 &&
                   strcmp(a->models[i].sha256, b->models[i].sha256) == 0);
    for (size_t i = 0; i < a->left_out.n; i++) {
        const struct flaw *x = &a->left_out.items[i], *y = &b->left_out.items[i];
        FUZZ_CHECK(x->missing == y->missing && strcmp(x->collection, y->collection) == 0 && strcmp(x->id, y->id) == 0);
        FUZZ_CHECK(strcmp(x->sha256, y->sha256) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backup_file first, again;
    struct err e = {0};
    json_init();
    fuzz_file("backup.json", data, size);
    if (!backup_file_read(&first, fuzz_folder, &e)) {
        FUZZ_CHECK(e.code == ERR_BAD_INPUT || e.code == ERR_TOO_LARGE || e.code == ERR_CORRUPT);
        FUZZ_CHECK(strstr(e.text, "backup.json") && !first.models && !first.left_out.n);
        return 0;
    }
    check_values(&first);
    FUZZ_CHECK(backup_file_write(&first, fuzz_folder, &e) && backup_file_read(&again, fuzz_folder, &e));
    check_same(&first, &again);
    backup_file_clear(&first);
    backup_file_clear(&again);
    return 0;
}
