/* import_kind.c - signatures and endings of files that people keep among their pictures. */
#include "server/commands/import_kind.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "engine/pictures/image.h"

static const char camera_raw[] = "camera raw", no_picture[] = "no picture";

static const struct signature {
    size_t at;
    const char *bytes;
    size_t len;
    const char *kind;
} signatures[] = {
    {0, "GIF8", 4, "GIF"},
    {4, "ftypavi", 7, "AVIF"}, /* avif, avis */
    {4, "ftyphei", 7, "HEIC"}, /* heic, heix, heim, heis */
    {4, "ftyphev", 7, "HEIC"},
    {4, "ftypmif1", 8, "HEIC"},
    {4, "ftypmsf1", 8, "HEIC"},
    {4, "ftypcrx ", 8, camera_raw},
    {4, "ftyp", 4, "film"},
    {0, "\0\0\0\x0cJXL ", 8, "JPEG XL"},
    {0, "\xff\x0a", 2, "JPEG XL"},
    {0, "\0\0\0\x0cjP  ", 8, "JPEG 2000"},
    {0, "\xff\x4f\xff\x51", 4, "JPEG 2000"},
    {0, "8BPS", 4, "Photoshop"},
    {0, "FUJIFILM", 8, camera_raw},
    {0, "IIRO", 4, camera_raw},
    {0, "IIU\0", 4, camera_raw},
    {8, "CR\x02", 3, camera_raw},
};

/* TIFF and BMP stand here, for camera raw files begin like the first and much like the second. */
static const struct ending {
    const char *text, *kind; /* NULL: to be sent */
} endings[] = {
    {".jpg", NULL},       {".jpeg", NULL},      {".jpe", NULL},        {".jfif", NULL},       {".png", NULL},
    {".webp", NULL},      {".heic", "HEIC"},    {".heif", "HEIC"},     {".hif", "HEIC"},      {".avif", "AVIF"},
    {".gif", "GIF"},      {".jxl", "JPEG XL"},  {".jp2", "JPEG 2000"}, {".j2k", "JPEG 2000"}, {".psd", "Photoshop"},
    {".svg", "SVG"},      {".ico", "icon"},     {".tif", "TIFF"},      {".tiff", "TIFF"},     {".bmp", "BMP"},
    {".cr2", camera_raw}, {".cr3", camera_raw}, {".nef", camera_raw},  {".arw", camera_raw},  {".dng", camera_raw},
    {".orf", camera_raw}, {".rw2", camera_raw}, {".raf", camera_raw},  {".pef", camera_raw},  {".srw", camera_raw},
    {".mov", "film"},     {".mp4", "film"},     {".avi", "film"},      {".mkv", "film"},
};

/* False when neither tells. */
static bool kind_of_bytes(const unsigned char *head, size_t n, const char **out)
{
    for (size_t i = 0; i < COUNT(signatures); i++) {
        const struct signature *s = &signatures[i];
        *out = s->kind;
        if (n >= s->at + s->len && memcmp(head + s->at, s->bytes, s->len) == 0)
            return true;
    }
    return false;
}

static bool kind_of_name(const char *path, const char **out)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    for (size_t i = 0; dot && i < COUNT(endings); i++) {
        *out = endings[i].kind;
        if (strcasecmp(dot, endings[i].text) == 0)
            return true;
    }
    return false;
}

const char *import_kind(const char *path)
{
    unsigned char head[64]; /* the first bytes: it may be a film and shall not be read whole */
    const char *kind;
    FILE *f = fopen(path, "rbe");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f)
        fclose(f);
    if (image_sniff(head, n) != IMAGE_UNKNOWN)
        return NULL;
    if (kind_of_bytes(head, n, &kind) || kind_of_name(path, &kind))
        return kind;
    if (n >= 4 && (memcmp(head, "II*\0", 4) == 0 || memcmp(head, "MM\0*", 4) == 0))
        return "TIFF";
    return n >= 14 && memcmp(head, "BM", 2) == 0 && memcmp(head + 6, "\0\0\0\0", 4) == 0 ? "BMP" : no_picture;
}
