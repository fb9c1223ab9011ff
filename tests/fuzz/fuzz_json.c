/* fuzz_json.c - any bytes as JSON: what is taken is dumped, read again and dumped to the same text. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "tests/fuzz/fuzz.h"

static void check_base64(const uint8_t *data, size_t size)
{
    struct buf again = {0};
    struct err e = {0};
    void *bytes, *twice;
    size_t len, len_twice;
    if (!base64_decode((const char *)data, size, &bytes, &len, &e)) {
        FUZZ_CHECK(e.code == ERR_BAD_INPUT);
        return;
    }
    FUZZ_CHECK(len <= size / 4 * 3 + 3);
    base64_encode(bytes, len, &again);
    FUZZ_CHECK(base64_decode(again.data ? again.data : "", again.len, &twice, &len_twice, &e));
    FUZZ_CHECK(len == len_twice && memcmp(bytes, twice, len) == 0);
    free(bytes);
    free(twice);
    buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct err e = {0};
    struct buf first = {0}, second = {0};
    if (!ready)
        json_init();
    ready = true;
    check_base64(data, size);
    struct json *doc = json_parse((const char *)data, size, 1 << 20, &e);
    if (!doc) {
        FUZZ_CHECK(e.code == ERR_BAD_INPUT || e.code == ERR_TOO_LARGE);
        return 0;
    }
    json_dump(doc, &first);
    struct json *again = json_parse(first.data, first.len, 1 << 22, &e);
    FUZZ_CHECK(again);
    json_dump(again, &second);
    FUZZ_CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    json_free(again);
    json_free(doc);
    buf_clear(&first);
    buf_clear(&second);
    return 0;
}
