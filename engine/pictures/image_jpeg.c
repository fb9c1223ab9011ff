/* image_jpeg.c - JPEG files by libjpeg: strict and bounded reading, plain writing. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/image_codec.h"
#include "engine/pictures/jpeg_markers.h"

/* The coefficients of a progressive picture of 50 million pixels, three components of 16 bits, fit. */
enum { COEFFICIENT_BYTES = 320 << 20, ROWS_AT_ONCE = 8 };

/* Everything that outlives a longjmp is in here and not in local variables. */
struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    const struct image_source *src;
    struct image_info *info;
    uint32_t min_side;
    int64_t deadline;
    struct image out;
    uint8_t *row; /* of four inks; NULL unless CMYK */
    struct err *e;
};

static bool sniff(const uint8_t *bytes, size_t len)
{
    return len >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

/* ---- refusals: libjpeg calls these, and they never return ---- */

_Noreturn static void fail(struct reader *r, enum err_code code, const char *why)
{
    err_set(r->e, code, "%s", why);
    longjmp(r->failed, 1);
}

_Noreturn static void on_error(j_common_ptr jpeg)
{
    struct reader *r = jpeg->client_data;
    switch (jpeg->err->msg_code) {
    case JERR_NO_BACKING_STORE:
    case JERR_OUT_OF_MEMORY:
        fail(r, ERR_TOO_LARGE, "the JPEG needs too much memory to decode");
    case JWRN_JPEG_EOF:
    case JERR_INPUT_EMPTY:
    case JERR_INPUT_EOF:
        fail(r, ERR_UNDECODABLE, "the JPEG is truncated");
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
        fail(r, ERR_UNDECODABLE, "this kind of JPEG is not supported");
    default:
        fail(r, ERR_UNDECODABLE, "the JPEG is damaged");
    }
}

static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0) /* a warning: libjpeg would go on with invented pixels */
        on_error(jpeg);
}

static void on_output(j_common_ptr jpeg)
{
    UNUSED(jpeg); /* the default writes on standard error */
}

/* Called for each row of blocks.  The markers were counted before, so the scans here are the second wall. */
static void on_progress(j_common_ptr common)
{
    struct reader *r = common->client_data;
    if (r->jpeg.input_scan_number > (int)r->src->limits->scans)
        fail(r, ERR_TOO_LARGE, "the JPEG has too many scans");
    if (clock_ns() > r->deadline)
        fail(r, ERR_TOO_LARGE, "the JPEG takes too long to decode");
}

/* ---- steps: each may longjmp, so none of them owns anything ---- */

static void read_header(struct reader *r)
{
    j_decompress_ptr jpeg = &r->jpeg;
    const struct jpeg_markers markers = jpeg_markers_read(r->src->bytes, r->src->len);
    if (markers.scans > r->src->limits->scans)
        fail(r, ERR_TOO_LARGE, "the JPEG has too many scans");
    jpeg_mem_src(jpeg, r->src->bytes, r->src->len);
    jpeg_read_header(jpeg, TRUE);
    if (!image_check_size(r->src->limits, jpeg->image_width, jpeg->image_height, r->e))
        longjmp(r->failed, 1);
    if (jpeg->data_precision != 8 ||
        (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4))
        fail(r, ERR_UNDECODABLE, "this kind of JPEG is not supported");
    *r->info = (struct image_info){.format = IMAGE_JPEG, .width = jpeg->image_width,
                                   .height = jpeg->image_height, .orientation = markers.orientation};
}

/* DCT scaling: libjpeg rounds sizes up.  Only the powers of two are fast. */
static unsigned pick_eighths(const struct image_info *info, uint32_t min_side)
{
    uint32_t shorter = info->width < info->height ? info->width : info->height;
    for (unsigned eighths = 1; min_side > 0 && eighths < 8; eighths *= 2)
        if ((shorter * eighths + 7) / 8 >= min_side)
            return eighths;
    return 8;
}

/* What libjpeg holds of a picture in several scans: all coefficients of all components. */
static size_t coefficient_bytes(j_decompress_ptr jpeg)
{
    size_t blocks = 0;
    for (int i = 0; jpeg_has_multiple_scans(jpeg) && i < jpeg->num_components; i++) {
        const jpeg_component_info *c = &jpeg->comp_info[i];
        blocks += ((size_t)c->width_in_blocks + (size_t)c->h_samp_factor) *
                  ((size_t)c->height_in_blocks + (size_t)c->v_samp_factor); /* they are padded to whole units */
    }
    return blocks * DCTSIZE2 * sizeof(JCOEF);
}

static void start(struct reader *r)
{
    j_decompress_ptr jpeg = &r->jpeg;
    jpeg->scale_num = pick_eighths(r->info, r->min_side);
    jpeg->scale_denom = 8;
    jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg->mem->max_memory_to_use = COEFFICIENT_BYTES;
    jpeg->progress = &r->progress;
    jpeg_calc_output_dimensions(jpeg);
    if (!image_prepare(r->src, r->info, jpeg->output_width, jpeg->output_height, 3, coefficient_bytes(jpeg), &r->out,
                       r->e))
        longjmp(r->failed, 1);
    r->deadline = image_deadline(r->src->limits); /* waiting for memory was not decoding */
    jpeg_start_decompress(jpeg);
    if (jpeg->out_color_space == JCS_CMYK && !(r->row = mem_try(jpeg->output_width, 4, r->e)))
        longjmp(r->failed, 1);
}

static void read_rgb_rows(struct reader *r)
{
    size_t stride = (size_t)r->out.width * 3;
    while (r->jpeg.output_scanline < r->out.height) {
        JSAMPROW rows[ROWS_AT_ONCE];
        uint32_t first = r->jpeg.output_scanline, n = 0;
        for (; n < ROWS_AT_ONCE && first + n < r->out.height; n++)
            rows[n] = r->out.rgb + (first + n) * stride;
        jpeg_read_scanlines(&r->jpeg, rows, n);
    }
}

/* Inks to light, as if they were perfect: R = (1 - C)(1 - K).  Adobe's writers store 255 - ink. */
static void read_cmyk_rows(struct reader *r)
{
    const unsigned flip = r->jpeg.saw_Adobe_marker ? 0 : 255;
    while (r->jpeg.output_scanline < r->out.height) {
        uint8_t *to = r->out.rgb + (size_t)r->jpeg.output_scanline * r->out.width * 3;
        jpeg_read_scanlines(&r->jpeg, &r->row, 1);
        const uint8_t *from = r->row;
        for (size_t x = 0; x < r->out.width; x++, from += 4, to += 3)
            for (size_t c = 0; c < 3; c++)
                to[c] = (uint8_t)(((from[c] ^ flip) * (from[3] ^ flip) + 127) / 255);
    }
}

static void read_picture(struct reader *r)
{
    read_header(r);
    start(r);
    if (r->row)
        read_cmyk_rows(r);
    else
        read_rgb_rows(r);
    jpeg_finish_decompress(&r->jpeg); /* demands the end marker */
}

/* The only setjmp: runs the steps and releases what libjpeg holds. */
static bool run(struct reader *r, void (*steps)(struct reader *))
{
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->errors.output_message = on_output;
    r->progress.progress_monitor = on_progress;
    r->jpeg.client_data = r;
    volatile bool ok = false;
    if (setjmp(r->failed) == 0) {
        jpeg_create_decompress(&r->jpeg);
        steps(r);
        ok = true;
    }
    jpeg_destroy_decompress(&r->jpeg);
    free(r->row);
    return ok;
}

static bool probe(const struct image_source *src, struct image_info *info, struct err *e)
{
    struct reader r = {.src = src, .info = info, .e = e};
    return run(&r, read_header);
}

static bool decode(const struct image_source *src, uint32_t min_side, struct image *out,
                   struct image_info *info, struct err *e)
{
    struct reader r = {.src = src, .info = info, .min_side = min_side, .e = e};
    bool ok = run(&r, read_picture);
    if (ok)
        *out = r.out;
    else
        image_clear(&r.out);
    return ok;
}

const struct codec codec_jpeg = {IMAGE_JPEG, "image/jpeg", sniff, probe, decode};

/* ---- writing ---- */

struct writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr to;
    jmp_buf failed;
    struct buf *out; /* borrowed; its bytes from `start` on are ours */
    uint8_t chunk[16384];
    struct err *e;
};

_Noreturn static void on_write_error(j_common_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    err_set(w->e, ERR_INTERNAL, "the JPEG could not be written");
    longjmp(w->failed, 1);
}

static void chunk_start(j_compress_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    w->to.next_output_byte = w->chunk;
    w->to.free_in_buffer = sizeof w->chunk;
}

static boolean chunk_full(j_compress_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    buf_add(w->out, w->chunk, sizeof w->chunk); /* libjpeg hands over whole chunks only */
    chunk_start(jpeg);
    return TRUE;
}

static void chunk_last(j_compress_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    buf_add(w->out, w->chunk, sizeof w->chunk - w->to.free_in_buffer);
}

static void write_picture(struct writer *w, const struct image *img, int quality)
{
    j_compress_ptr jpeg = &w->jpeg;
    w->to.init_destination = chunk_start;
    w->to.empty_output_buffer = chunk_full;
    w->to.term_destination = chunk_last;
    jpeg->dest = &w->to;
    jpeg->image_width = img->width;
    jpeg->image_height = img->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = img->rgb + (size_t)jpeg->next_scanline * img->width * 3;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

bool image_write_jpeg(const struct image *img, int quality, struct buf *out, struct err *e)
{
    struct writer *w = mem_new(1, sizeof *w);
    w->out = out;
    w->e = e;
    w->jpeg.err = jpeg_std_error(&w->errors);
    w->errors.error_exit = on_write_error;
    w->errors.output_message = on_output;
    w->jpeg.client_data = w;
    volatile bool ok = false;
    if (setjmp(w->failed) == 0) {
        jpeg_create_compress(&w->jpeg);
        write_picture(w, img, quality);
        ok = true;
    }
    jpeg_destroy_compress(&w->jpeg);
    free(w);
    return ok;
}
