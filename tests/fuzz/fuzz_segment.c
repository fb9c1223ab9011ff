/* fuzz_segment.c - segment files whose checksum is right and whose content is anything: whatever is loaded can be searched, and
 * finds only what the catalogue has.
 *
 * An input is the header behind its magic and byte order, then the rest.  The digests of vectors that there are and the checksum
 * are put right, for no fuzzer finds them.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "index/vectors/segment.h"
#include "tests/fuzz/fuzz_file.h"

enum { D = 4, N = 24, GENERATION = 5 };

static float vectors[N][D];

/* Number i + 1 has the vector i and the slot i. */
static bool find(void *arg, int64_t number, size_t *slot, const float **row)
{
    (void)arg;
    if (number < 1 || number > N)
        return false;
    *slot = (size_t)number - 1;
    *row = vectors[number - 1];
    return true;
}

static void fill(void)
{
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < D; k++)
            vectors[i][k] = (i >> k & 1) != 0 ? 0.5f : -0.5f; /* 16 and more are twins of others */
}

static void mend(unsigned char *file, size_t len)
{
    enum { MEMBERS_AT = 48, NUMBERS_AT = 64 };
    uint64_t n = 0, digest;
    int64_t number;
    if (len >= NUMBERS_AT + HASH_SIZE)
        memcpy(&n, file + MEMBERS_AT, sizeof n);
    for (size_t i = 0; i < n && n <= (len - NUMBERS_AT - HASH_SIZE) / 16; i++) {
        memcpy(&number, file + NUMBERS_AT + i * 8, sizeof number);
        if (number < 1 || number > N)
            continue;
        digest = members_digest(vectors[number - 1], D);
        memcpy(file + NUMBERS_AT + (n + i) * 8, &digest, sizeof digest);
    }
    hash_bytes(file, len - HASH_SIZE, file + len - HASH_SIZE);
}

static void search(const struct segment *s)
{
    struct scored *best;
    struct err e = {0};
    size_t n;
    const struct segment_query q = {.vector = vectors[3], .k = 5, .ef = 16};
    if (!segment_search(s, &q, &best, &n, &e))
        return;
    for (size_t i = 0; i < n; i++)
        FUZZ_CHECK(best[i].slot < N);
    free(best);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[12] = "anchGR2\0\4\3\2\1";
    struct err e = {0};
    size_t len = sizeof head + size + HASH_SIZE;
    unsigned char *file = mem_new(len, 1);
    fill();
    memcpy(file, head, sizeof head);
    memcpy(file + sizeof head, data, size);
    mend(file, len);
    struct segment *s = segment_load(fuzz_file("1.faiss", file, len), GENERATION, D, find, NULL, &e);
    free(file);
    FUZZ_CHECK((s != NULL) == (e.code == ERR_NONE));
    if (s) {
        FUZZ_CHECK(segment_members(s)->n <= N);
        search(s);
    }
    segment_release(s);
    return 0;
}
