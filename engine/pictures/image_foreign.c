/* image_foreign.c - pictures that people have and that are not read, by their names. */
#include <string.h>

#include "base/num.h"
#include "engine/pictures/image.h"

struct mark { /* bytes at an offset */
    const char *name;
    size_t at;
    const char *bytes;
    size_t len;
};

const char *image_foreign_name(const void *bytes, size_t len)
{
    static const struct mark marks[] = {
        {"GIF", 0, "GIF87a", 6},
        {"GIF", 0, "GIF89a", 6},
        {"HEIC", 4, "ftypheic", 8},
        {"HEIC", 4, "ftypheix", 8},
        {"HEIC", 4, "ftyphevc", 8},
        {"HEIC", 4, "ftypheim", 8},
        {"HEIF", 4, "ftypmif1", 8},
        {"HEIF", 4, "ftypmsf1", 8},
        {"AVIF", 4, "ftypavif", 8},
        {"AVIF", 4, "ftypavis", 8},
        {"Canon CR3", 4, "ftypcrx ", 8},
        {"Canon CR2", 0, "II*\0\x10\0\0\0CR", 10},
        {"TIFF", 0, "II*\0", 4},
        {"TIFF", 0, "MM\0*", 4},
        {"JPEG XL", 0, "\xff\x0a", 2},
        {"JPEG XL", 0, "\0\0\0\x0cJXL \r\n\x87\n", 12},
        {"JPEG 2000", 0, "\0\0\0\x0cjP  \r\n\x87\n", 12},
        {"Photoshop", 0, "8BPS", 4},
        {"BMP", 0, "BM", 2},
        {"JPEG XR", 0, "II\xbc", 3},
        {"QOI", 0, "qoif", 4},
        {"Windows icon", 0, "\0\0\1\0", 4},
    };
    const char *start = bytes;
    for (size_t i = 0; i < COUNT(marks); i++)
        if (len >= marks[i].at + marks[i].len && memcmp(start + marks[i].at, marks[i].bytes, marks[i].len) == 0)
            return marks[i].name;
    return NULL;
}
