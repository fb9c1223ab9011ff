/* fuzz_multipart.c - forms: the first line is the content type, the rest the body. */
#include <string.h>

#include "api/requests/multipart.h"
#include "tests/fuzz/fuzz.h"

enum { PARTS_MAX = 20 };

/* Parts lie in the body, one after the other, and their texts are free of what headers may not hold. */
static void check_parts(const struct part *parts, size_t n, const char *body, size_t len)
{
    const char *at = body;
    for (size_t i = 0; i < n; i++) {
        FUZZ_CHECK(parts[i].name);
        FUZZ_CHECK(parts[i].data >= at && parts[i].data + parts[i].len <= body + len);
        at = parts[i].data + parts[i].len;
        for (const char *s = parts[i].name; *s; s++)
            FUZZ_CHECK(*s == '\t' || (unsigned char)*s >= 32);
        if (parts[i].filename)
            FUZZ_CHECK(strlen(parts[i].filename) < len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct err e = {0};
    struct part *parts;
    size_t n, first = 0;
    while (first < size && data[first] != '\n' && data[first] != 0)
        first++;
    char *type = arena_new(&a, first + 1, 1);
    memcpy(type, data, first);
    first += first < size;
    const char *body = (const char *)data + first;
    size_t len = size - first;
    if (multipart_parse(type, body, len, PARTS_MAX, &a, &parts, &n, &e)) {
        FUZZ_CHECK(e.code == ERR_NONE && n <= PARTS_MAX);
        check_parts(parts, n, body, len);
    } else {
        FUZZ_CHECK(e.code == ERR_BAD_INPUT || e.code == ERR_TOO_LARGE);
    }
    arena_clear(&a);
    return 0;
}
