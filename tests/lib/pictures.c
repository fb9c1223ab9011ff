/* pictures.c - writing files of unusual forms by libjpeg, libpng and libwebp. */
#include "tests/lib/pictures.h"

#include "tests/t.h"

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#include "engine/pictures/draw.h"
#include "engine/pictures/preprocess.h"

static void set_form(j_compress_ptr jpeg, const struct jpeg_form *form)
{
    static const jpeg_scan_info one_each[] = {
        {1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}, {1, {3}, 0, 63, 0, 0}};
    static const J_COLOR_SPACE spaces[] = {[JPEG_YCC] = JCS_YCbCr,
                                           [JPEG_GREY] = JCS_GRAYSCALE,
                                           [JPEG_RGB] = JCS_RGB,
                                           [JPEG_CMYK] = JCS_CMYK,
                                           [JPEG_YCCK] = JCS_YCCK};
    jpeg_set_defaults(jpeg);
    jpeg_set_colorspace(jpeg, spaces[form->colours]);
    jpeg_set_quality(jpeg, form->quality ? form->quality : 90, !form->deep_tables);
    if (form->deep_tables) /* one value over 255 makes the table 16-bit */
        for (int i = 0; i < NUM_QUANT_TBLS; i++)
            if (jpeg->quant_tbl_ptrs[i])
                jpeg->quant_tbl_ptrs[i]->quantval[63] = 300;
    if (form->across) {
        jpeg->comp_info[0].h_samp_factor = form->across;
        jpeg->comp_info[0].v_samp_factor = form->down;
    }
    if (form->progressive)
        jpeg_simple_progression(jpeg);
    if (form->apart) {
        jpeg->scan_info = one_each;
        jpeg->num_scans = jpeg->num_components;
    }
    if (form->unmarked)
        jpeg->write_Adobe_marker = FALSE;
    jpeg->arith_code = form->arithmetic;
    jpeg->restart_interval = form->restart;
}

/* One row in the colours that the encoder is given. */
static void fill_row(const struct image *img, size_t y, const struct jpeg_form *form, uint8_t *row)
{
    const uint8_t *p = img->rgb + y * img->width * 3;
    for (size_t x = 0; x < img->width; x++, p += 3) {
        if (form->colours < JPEG_CMYK) {
            memcpy(row + x * 3, p, 3);
            continue;
        }
        const unsigned most = p[0] > p[1] ? (p[0] > p[2] ? p[0] : p[2]) : (p[1] > p[2] ? p[1] : p[2]);
        for (size_t c = 0; c < 3; c++) /* light left by the ink, then by black */
            row[x * 4 + c] = (uint8_t)(most ? (p[c] * 255u + most / 2) / most : 255);
        row[x * 4 + 3] = (uint8_t)most;
    }
}

void t_jpeg(const struct image *img, const struct jpeg_form *form, struct buf *out)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors; /* the default one: prints and exits */
    unsigned char *bytes = NULL;
    unsigned long len = 0;
    const bool inks = form->colours >= JPEG_CMYK;
    uint8_t *row = calloc(img->width, 4);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &len);
    jpeg.image_width = img->width;
    jpeg.image_height = img->height;
    jpeg.input_components = inks ? 4 : 3;
    jpeg.in_color_space = inks ? JCS_CMYK : JCS_RGB;
    set_form(&jpeg, form);
    jpeg_start_compress(&jpeg, TRUE);
    for (size_t y = 0; y < img->height; y++) {
        fill_row(img, y, form, row);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    buf_add(out, bytes, len);
    free(bytes);
    free(row);
}

uint8_t t_alpha(size_t x, size_t y)
{
    return (uint8_t)((x * 7 + y * 13) % 256);
}

uint8_t t_low_byte(uint8_t high)
{
    return high ? (uint8_t)(255 - high) : 0; /* black stays black */
}

/* The channels of one pixel at 8 bits; gives how many. */
static size_t fill_pixel(const struct image *img, size_t x, size_t y, int colour_type, uint8_t *to)
{
    const uint8_t *p = img->rgb + (y * img->width + x) * 3;
    const bool colour = colour_type & PNG_COLOR_MASK_COLOR;
    size_t n = colour ? 3 : 1;
    memcpy(to, p, n);
    if (!colour)
        to[0] = (uint8_t)((p[0] + p[1] + p[2]) / 3);
    if (colour_type & PNG_COLOR_MASK_ALPHA)
        to[n++] = t_alpha(x, y);
    return n;
}

static void fill_png_row(const struct image *img, size_t y, const struct png_form *form, uint8_t *row)
{
    for (size_t x = 0; x < img->width; x++) {
        uint8_t values[4];
        size_t n = fill_pixel(img, x, y, form->colour_type, values);
        if (form->colour_type == PNG_COLOR_TYPE_PALETTE) {
            values[0] = (uint8_t)(x % 4);
            n = 1;
        } else if (form->depth < 8)
            values[0] = (uint8_t)(values[0] >> (8 - form->depth));
        for (size_t c = 0; c < n; c++) {
            *row++ = values[c];
            if (form->depth == 16)
                *row++ = t_low_byte(values[c]);
        }
    }
}

static void set_png_form(png_structp png, png_infop info, const struct image *img, const struct png_form *form)
{
    static const png_color palette[4] = {{10, 20, 30}, {200, 0, 0}, {0, 200, 0}, {0, 0, 200}};
    const png_byte clear = 0;
    const png_color_16 black = {0};
    png_set_IHDR(png, info, img->width, img->height, form->depth, form->colour_type,
                 form->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (form->colour_type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 4);
    if (form->keyed)
        png_set_tRNS(png, info, &clear, 1, &black);
}

static void png_to_buf(png_structp png, png_bytep bytes, size_t n)
{
    buf_add(png_get_io_ptr(png), bytes, n);
}

void t_png(const struct image *img, const struct png_form *form, struct buf *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    uint8_t *bytes = calloc(img->height, (size_t)img->width * 8);
    uint8_t **rows = calloc(img->height, sizeof *rows);
    png_set_write_fn(png, out, png_to_buf, NULL);
    set_png_form(png, info, img, form);
    png_write_info(png, info);
    png_set_packing(png);
    for (size_t y = 0; y < img->height; y++) {
        rows[y] = bytes + y * img->width * 8;
        fill_png_row(img, y, form, rows[y]);
    }
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(rows);
    free(bytes);
}

void t_webp(const struct image *img, bool lossless, bool alpha, struct buf *out)
{
    const int width = to_int(img->width), height = to_int(img->height);
    uint8_t *rgba = calloc((size_t)width * (size_t)height, 4), *encoded = NULL;
    for (size_t y = 0, i = 0; y < img->height; y++)
        for (size_t x = 0; x < img->width; x++, i++) {
            memcpy(rgba + i * 4, img->rgb + i * 3, 3);
            rgba[i * 4 + 3] = alpha ? t_alpha(x, y) : 255;
        }
    const size_t n = lossless ? WebPEncodeLosslessRGBA(rgba, width, height, width * 4, &encoded)
                              : WebPEncodeRGBA(rgba, width, height, width * 4, 90, &encoded);
    assert_true(n > 0);
    buf_add(out, encoded, n);
    WebPFree(encoded);
    free(rgba);
}

static void add16(struct buf *b, unsigned v, bool big_endian)
{
    buf_char(b, (char)(big_endian ? v >> 8 : v));
    buf_char(b, (char)(big_endian ? v : v >> 8));
}

void t_tiff(unsigned orientation, bool big_endian, struct buf *out)
{
    const bool be = big_endian;
    buf_text(out, be ? "MM" : "II");
    add16(out, 42, be);
    add16(out, be ? 0 : 8, be); /* offset of the directory, as two halves */
    add16(out, be ? 8 : 0, be);
    add16(out, 1, be); /* entries */
    add16(out, 0x0112, be);
    add16(out, 3, be);          /* SHORT */
    add16(out, be ? 0 : 1, be); /* one of them */
    add16(out, be ? 1 : 0, be);
    add16(out, orientation, be);
    for (size_t i = 0; i < 6; i++) /* the rest of the value, no further directory */
        buf_char(out, 0);
}

void t_exif(unsigned orientation, bool big_endian, struct buf *out)
{
    struct buf tiff = {0};
    t_tiff(orientation, big_endian, &tiff);
    buf_add(out, "\xff\xe1", 2);
    add16(out, (unsigned)(2 + 6 + tiff.len), true);
    buf_add(out, "Exif\0\0", 6);
    buf_add(out, tiff.data, tiff.len);
    buf_clear(&tiff);
}

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void add32_be(struct buf *b, uint32_t v)
{
    add16(b, v >> 16, true);
    add16(b, v & 0xffff, true);
}

void t_png_chunk(const char *type, const void *bytes, size_t n, struct buf *out)
{
    add32_be(out, (uint32_t)n);
    const size_t from = out->len;
    buf_text(out, type);
    buf_add(out, bytes, n);
    add32_be(out, crc32_of((const uint8_t *)out->data + from, out->len - from));
}

void t_png_exif(unsigned orientation, bool big_endian, struct buf *out)
{
    struct buf tiff = {0};
    t_tiff(orientation, big_endian, &tiff);
    t_png_chunk("eXIf", tiff.data, tiff.len, out);
    buf_clear(&tiff);
}

void t_insert(struct buf *b, size_t at, const void *bytes, size_t n)
{
    assert_true(at <= b->len);
    buf_reserve(b, n);
    memmove(b->data + at + n, b->data + at, b->len - at);
    memcpy(b->data + at, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
}

struct image t_picture(uint32_t kind, uint32_t width, uint32_t height)
{
    struct err e = {0};
    struct image drawn, out;
    const uint32_t side = width > height ? width : height, small = side < 256 ? side : 256;
    assert_ok(draw_picture(kind, 1, small < 8 ? 8 : small, &drawn, &e), e);
    assert_ok(image_resize(&drawn, width, height, RESIZE_BILINEAR, &out, &e), e);
    image_clear(&drawn);
    return out;
}

double t_difference(const struct image *a, const struct image *b)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    const size_t n = (size_t)a->width * a->height * 3;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += abs(a->rgb[i] - b->rgb[i]);
    return sum / (double)n;
}
