/* hash.c - SHA-256 by nettle. */
#include "base/hash.h"

#include <errno.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

struct hash {
    struct sha256_ctx ctx;
};

void hash_bytes(const void *data, size_t len, unsigned char out[HASH_SIZE])
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, len, data);
    sha256_digest(&ctx, HASH_SIZE, out);
}

void hash_hex(const unsigned char hash[HASH_SIZE], char out[HASH_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_SIZE; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[HASH_HEX - 1] = 0;
}

/* Each step is one to one in the state, so two texts that differ in one word never meet again. */
uint64_t hash_quick(const void *data, size_t len, uint64_t seed)
{
    uint64_t h = seed ^ len * 0x9e3779b97f4a7c15u;
    const unsigned char *at = data;
    for (; len > 0; len -= len < 4 ? len : 4, at += 4) {
        uint32_t word = 0;
        memcpy(&word, at, len < 4 ? len : 4);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

void hash_text(const void *data, size_t len, char out[HASH_HEX])
{
    unsigned char digest[HASH_SIZE];
    hash_bytes(data, len, digest);
    hash_hex(digest, out);
}

struct hash *hash_begin(void)
{
    struct hash *h = mem_new(1, sizeof *h);
    sha256_init(&h->ctx);
    return h;
}

void hash_add(struct hash *h, const void *data, size_t len)
{
    sha256_update(&h->ctx, len, data);
}

void hash_end(struct hash *h, unsigned char out[HASH_SIZE])
{
    sha256_digest(&h->ctx, HASH_SIZE, out);
    free(h);
}

bool hash_equal(const void *a, const void *b, size_t len)
{
    return memeql_sec(a, b, len) != 0;
}

void hash_random(void *out, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = getrandom((char *)out + got, len - got, 0);
        if (n < 0 && errno != EINTR) {
            perror("anchord: getrandom");
            abort();
        }
        if (n > 0)
            got += (size_t)n;
    }
}
