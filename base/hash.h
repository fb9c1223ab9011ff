/* hash.h - SHA-256 (FIPS 180-4, by nettle) and constant-time comparison. */
#ifndef ANCHORD_BASE_HASH_H
#define ANCHORD_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HASH_SIZE = 32, HASH_HEX = 65 };

void hash_bytes(const void *data, size_t len, unsigned char out[HASH_SIZE]);
void hash_hex(const unsigned char hash[HASH_SIZE], char out[HASH_HEX]); /* 64 lower-case digits, zero */
/* hash_bytes() and hash_hex() in one. */
void hash_text(const void *data, size_t len, char out[HASH_HEX]);

/* A checksum against accidents, not against people: 64 bits, and no change of four bytes that lie together goes unseen. */
uint64_t hash_quick(const void *data, size_t len, uint64_t seed);

/* A running hash, for what does not lie in one piece.  hash_end() gives the digest and frees. */
struct hash;
struct hash *hash_begin(void);
void hash_add(struct hash *h, const void *data, size_t len);
void hash_end(struct hash *h, unsigned char out[HASH_SIZE]);

/* Equal or not, in a time that depends on `len` only. */
bool hash_equal(const void *a, const void *b, size_t len);

/* Random bytes from the kernel, for keys and ids; aborts when there are none. */
void hash_random(void *out, size_t len);

#endif
