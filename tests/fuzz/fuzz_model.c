/* fuzz_model.c - model files: whatever is accepted is a whole, finite model, and everything else is said why.
 *
 * A model is mostly numbers, which teach a fuzzer nothing.  So the first byte chooses: 'F' is followed by a
 * whole file; any other by a header alone, which gets its length in front and zeros as data behind it, as
 * many as it can claim within DATA_MAX.  Zeros are fine weights.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/model.h"
#include "tests/fuzz/fuzz.h"

enum { DATA_MAX = 1 << 20 };

static void check(const void *bytes, size_t len)
{
    struct err e = {0};
    bool foreign = false;
    struct model *m = model_parse(bytes, len, &foreign, &e);
    FUZZ_CHECK((m != NULL) == (e.code == ERR_NONE));
    if (!m) {
        FUZZ_CHECK(e.text[0] && (e.code == ERR_BAD_INPUT || e.code == ERR_TOO_LARGE));
        return;
    }
    FUZZ_CHECK(arch_check(&m->arch, NULL) && preprocess_check(&m->pre, NULL));
    FUZZ_CHECK(strlen(m->fingerprint) == HASH_HEX - 1);
    for (size_t i = 0; i < m->n_weights; i++)
        for (size_t k = 0; k < m->weights[i].count; k++)
            FUZZ_CHECK(isfinite(m->weights[i].data[k]));
    model_free(m);
}

/* The largest number in the header: the most bytes of data that it can hope for. */
static size_t largest_number(const uint8_t *text, size_t len)
{
    size_t largest = 0, n = 0;
    for (size_t i = 0; i < len; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        n = digit && n < DATA_MAX ? n * 10 + (size_t)(text[i] - '0') : 0;
        if (n > largest && n <= DATA_MAX)
            largest = n;
    }
    return largest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'F') {
        check(data + 1, size - 1);
        return 0;
    }
    uint64_t header = size - 1;
    size_t len = 8 + header + largest_number(data + 1, header);
    char *file = mem_new(len, 1);
    memcpy(file, &header, 8);
    memcpy(file + 8, data + 1, header);
    check(file, len);
    free(file);
    return 0;
}
