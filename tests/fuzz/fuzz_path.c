/* fuzz_path.c - any bytes as the path of a file to import: its id, label and note are what the API takes, depend on the path
 * alone, and the file's first bytes are never read beyond their end. */
#include "base/utf8.h"
#include "server/commands/import_kind.h"
#include "server/commands/import_name.h"
#include "tests/fuzz/fuzz_file.h"

static void check_names(const char *path)
{
    char id[IMAGE_ID_MAX + 1], again[IMAGE_ID_MAX + 1], old[ID_MAX + 1];
    char *text = import_text(path), *label = import_label(path);
    import_id(path, id);
    import_id(path, again);
    FUZZ_CHECK(image_id_is_valid(id) && strcmp(id, again) == 0);
    FUZZ_CHECK(text && utf8_is_printable(text) && (strcmp(text, path) != 0 || import_may_be(id, path)));
    FUZZ_CHECK(!label || utf8_is_printable(label));
    for (int i = 0; i < IMPORT_OLD_IDS; i++) {
        import_old_id(path, i, old);
        FUZZ_CHECK(strlen(old) <= ID_MAX);
    }
    free(text);
    free(label);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[PATH_MAX];
    import_kind(fuzz_file("x", data, size));
    if (size == 0 || size >= sizeof path || memchr(data, 0, size))
        return 0;
    memcpy(path, data, size);
    path[size] = 0;
    check_names(path);
    return 0;
}
