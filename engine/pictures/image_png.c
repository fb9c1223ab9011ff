/* image_png.c - PNG files by libpng: bounded reading of every colour type. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/colour.h"
#include "engine/pictures/image_codec.h"
#include "engine/pictures/png_chunks.h"

enum { CHUNK_BYTES = 8 << 20, CHUNK_COUNT = 128, SIGNATURE = 8, CHUNK_FRAME = 12 };

struct reader {
    png_structp png;
    png_infop header;
    jmp_buf failed;
    const struct image_source *src;
    size_t at; /* bytes consumed */
    struct image_info *info;
    int64_t deadline;
    struct png_chunks chunks;
    struct buf icc;
    struct image out; /* with four bytes a pixel until it is flattened */
    bool alpha, colour;
    struct err *e;
};

static bool sniff(const uint8_t *bytes, size_t len)
{
    return len >= SIGNATURE && memcmp(bytes, "\x89PNG\r\n\x1a\n", SIGNATURE) == 0;
}

_Noreturn static void fail(struct reader *r, enum err_code code, const char *why)
{
    err_set(r->e, code, "%s", why);
    longjmp(r->failed, 1);
}

_Noreturn static void on_error(png_structp png, png_const_charp text)
{
    UNUSED(text);
    fail(png_get_error_ptr(png), ERR_UNDECODABLE, "the PNG is damaged");
}

static void on_warning(png_structp png, png_const_charp text)
{
    UNUSED(png); /* colour profiles and the like; damage of the pixels is an error */
    UNUSED(text);
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    struct reader *r = png_get_io_ptr(png);
    if (n > r->src->len - r->at)
        fail(r, ERR_UNDECODABLE, "the PNG is truncated");
    memcpy(to, r->src->bytes + r->at, n);
    r->at += n;
}

static uint32_t read_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- steps: each may longjmp, so none of them owns anything ---- */

static void read_header(struct reader *r)
{
    png_structp png = r->png;
    png_set_read_fn(png, r, on_read);
    png_set_user_limits(png, r->src->limits->side, r->src->limits->side);
    png_set_chunk_malloc_max(png, CHUNK_BYTES);
    png_set_chunk_cache_max(png, CHUNK_COUNT);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);  /* what holds no pixel may be damaged */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* skips all that no pixel needs */
    if (r->src->len >= SIGNATURE + CHUNK_FRAME + 13 && memcmp(r->src->bytes + 12, "IHDR", 4) == 0 &&
        !image_check_size(r->src->limits, read_be32(r->src->bytes + 16), read_be32(r->src->bytes + 20), r->e))
        longjmp(r->failed, 1); /* before libpng says the same without the numbers */
    png_read_info(png, r->header);
    r->chunks = png_chunks_read(r->src->bytes, r->src->len);
    if (r->chunks.damaged)
        fail(r, ERR_UNDECODABLE, "the PNG is damaged");
    *r->info = (struct image_info){.format = IMAGE_PNG,
                                   .width = png_get_image_width(png, r->header),
                                   .height = png_get_image_height(png, r->header),
                                   .orientation = r->chunks.orientation};
}

/* Whatever the file has becomes 8-bit RGB or RGBA. */
static void set_transforms(struct reader *r)
{
    r->colour = png_get_color_type(r->png, r->header) & PNG_COLOR_MASK_COLOR;
    png_set_expand(r->png);
    png_set_scale_16(r->png);
    png_set_gray_to_rgb(r->png);
    const int passes = png_set_interlace_handling(r->png);
    UNUSED(passes); /* asked for again below */
    png_read_update_info(r->png, r->header);
    const unsigned channels = png_get_channels(r->png, r->header);
    if (png_get_bit_depth(r->png, r->header) != 8 || (channels != 3 && channels != 4))
        fail(r, ERR_UNDECODABLE, "this kind of PNG is not supported");
    r->alpha = channels == 4;
}

static void read_picture(struct reader *r)
{
    read_header(r);
    const int passes = png_get_interlace_type(r->png, r->header) == PNG_INTERLACE_NONE ? 1 : 7;
    set_transforms(r);
    const size_t channels = r->alpha ? 4 : 3, stride = (size_t)r->info->width * channels;
    png_chunks_icc(&r->chunks, &r->icc);
    if (!image_prepare(r->src, r->info, r->info->width, r->info->height, channels, r->icc.len, &r->out, r->e))
        longjmp(r->failed, 1);
    r->deadline = image_deadline(r->src->limits);
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < r->info->height; y++) {
            png_read_row(r->png, r->out.rgb + y * stride, NULL);
            if (y % 64 == 0 && clock_ns() > r->deadline)
                fail(r, ERR_TOO_LARGE, "the PNG takes too long to decode");
        }
} /* libpng has seen the end of the compressed data with the last row; what follows is nobody's pixel */

/* Grey files have grey profiles.  Transparent pixels get their colour before they are laid over white. */
static void to_srgb(struct reader *r)
{
    struct colour_conversion *c =
        colour_open(r->icc.data, r->icc.len, r->colour ? COLOUR_RGB : COLOUR_GREY, r->alpha ? 4 : 3);
    if (c)
        colour_apply(c, r->out.rgb, (size_t)r->out.width * r->out.height);
    colour_close(c);
}

static bool run(struct reader *r, void (*steps)(struct reader *))
{
    volatile bool ok = false;
    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning);
    r->header = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->header)
        err_set(r->e, ERR_BUSY, "no memory to read a PNG");
    else if (setjmp(r->failed) == 0) {
        steps(r);
        ok = true;
    }
    png_destroy_read_struct(&r->png, &r->header, NULL);
    return ok;
}

static bool probe(const struct image_source *src, struct image_info *info, struct err *e)
{
    struct reader r = {.src = src, .info = info, .e = e};
    return run(&r, read_header);
}

static bool decode(const struct image_source *src, uint32_t goal, struct image *out, struct image_info *info,
                   struct err *e)
{
    UNUSED(goal);
    struct reader r = {.src = src, .info = info, .e = e};
    const bool ok = run(&r, read_picture);
    if (ok) {
        to_srgb(&r);
        if (r.alpha)
            image_flatten(&r.out);
        *out = r.out;
    } else
        image_clear(&r.out);
    buf_clear(&r.icc);
    return ok;
}

const struct codec codec_png = {IMAGE_PNG, "image/png", sniff, probe, decode};
