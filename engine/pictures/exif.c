/* exif.c - a bounded look into the first directory of a TIFF structure. */
#include "engine/pictures/exif.h"

#include <stdbool.h>
#include <string.h>

enum {
    TAG_ORIENTATION = 0x0112,
    TYPE_SHORT = 3,
    TYPE_LONG = 4, /* not what EXIF says, but what some write and all read */
    ENTRY_SIZE = 12,
    MAX_ENTRIES = 512,
    UPRIGHT = 1,
};

struct tiff {
    const uint8_t *bytes;
    size_t len;
    bool big_endian;
};

/* Both give 0 outside of the block. */
static uint32_t read16(const struct tiff *t, size_t at)
{
    if (at > t->len || t->len - at < 2)
        return 0;
    const uint8_t *p = t->bytes + at;
    return t->big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t read32(const struct tiff *t, size_t at)
{
    uint32_t a = read16(t, at), b = read16(t, at + 2);
    return t->big_endian ? a << 16 | b : b << 16 | a;
}

static bool open_tiff(struct tiff *t, const uint8_t *block, size_t len)
{
    if (len >= 6 && memcmp(block, "Exif\0\0", 6) == 0) {
        block += 6;
        len -= 6;
    }
    if (len < 8)
        return false;
    *t = (struct tiff){.bytes = block, .len = len, .big_endian = block[0] == 'M'};
    return (memcmp(block, "II", 2) == 0 || memcmp(block, "MM", 2) == 0) && read16(t, 2) == 42;
}

uint8_t exif_orientation(const uint8_t *block, size_t len)
{
    struct tiff t;
    if (!open_tiff(&t, block, len))
        return UPRIGHT;
    size_t directory = read32(&t, 4);
    size_t entries = read16(&t, directory);
    if (entries > MAX_ENTRIES)
        return UPRIGHT;
    for (size_t i = 0; i < entries; i++) {
        size_t at = directory + 2 + i * ENTRY_SIZE;
        if (read16(&t, at) != TAG_ORIENTATION)
            continue;
        const uint32_t type = read16(&t, at + 2);
        const uint32_t value = type == TYPE_SHORT ? read16(&t, at + 8) : type == TYPE_LONG ? read32(&t, at + 8) : 0;
        const bool valid = read32(&t, at + 4) == 1 && value >= 1 && value <= 8;
        return valid ? (uint8_t)value : UPRIGHT;
    }
    return UPRIGHT;
}
