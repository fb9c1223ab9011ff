/* pictures.h - encoded pictures for tests, of every form that the product itself never writes. */
#ifndef ANCHORD_TESTS_LIB_PICTURES_H
#define ANCHORD_TESTS_LIB_PICTURES_H

#include "base/buf.h"
#include "engine/pictures/image.h"

enum jpeg_colours { JPEG_YCC, JPEG_GREY, JPEG_RGB, JPEG_CMYK, JPEG_YCCK };

struct jpeg_form {
    enum jpeg_colours colours;
    bool progressive, arithmetic, deep_tables; /* 16-bit quantisation tables */
    bool unmarked;                             /* CMYK without Adobe's marker, its values the same */
    int across, down;                          /* chroma sampling; 0: 2 x 2 */
    bool apart;                                /* a scan for each component */
    unsigned restart;                          /* blocks between restart markers */
    int quality;                               /* 0: 90 */
};

struct png_form {
    int colour_type, depth; /* as libpng names them; palettes have 4 entries */
    bool interlaced;
    bool keyed; /* a transparent colour (tRNS): palette entry 0, or black */
};

/* All append to out and fail the test when they cannot. */
void t_jpeg(const struct image *img, const struct jpeg_form *form, struct buf *out);
/* Colours are rounded to what the form can hold; alpha, where there is one, is t_alpha(). */
void t_png(const struct image *img, const struct png_form *form, struct buf *out);
uint8_t t_alpha(size_t x, size_t y); /* of all degrees */
uint8_t t_low_byte(uint8_t high);    /* what stands below the 8 bits of a 16-bit PNG */
void t_webp(const struct image *img, bool lossless, bool alpha, struct buf *out);

/* An APP1 segment with one EXIF directory that holds only this orientation. */
void t_exif(unsigned orientation, bool big_endian, struct buf *out);
/* A TIFF structure of that kind, without marker and "Exif". */
void t_tiff(unsigned orientation, bool big_endian, struct buf *out);
/* A PNG chunk with its checksum; t_png_exif() one with an orientation. */
void t_png_chunk(const char *type, const void *bytes, size_t n, struct buf *out);
void t_png_exif(unsigned orientation, bool big_endian, struct buf *out);

/* Puts bytes into the middle. */
void t_insert(struct buf *b, size_t at, const void *bytes, size_t n);
/* A drawn picture cut to width x height. */
struct image t_picture(uint32_t kind, uint32_t width, uint32_t height);
/* Mean absolute difference of two pictures of the same size, in steps of 255. */
double t_difference(const struct image *a, const struct image *b);

#endif
