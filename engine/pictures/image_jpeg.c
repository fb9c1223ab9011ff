/* image_jpeg.c - JPEG files by libjpeg: bounded reading, in which no pixel is invented. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/colour.h"
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
    uint32_t goal;
    int64_t deadline;
    struct jpeg_markers markers;
    struct image out;
    struct buf icc;
    struct colour_conversion *colour; /* NULL: the pixels stay as they are */
    uint8_t *row;                     /* of four inks; NULL unless CMYK */
    bool at_end;                      /* the file has ended without its end marker */
    bool strayed; /* there were bytes that belong to no segment: one of them may have been a segment */
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
    case JERR_OUT_OF_MEMORY: fail(r, ERR_TOO_LARGE, "the JPEG needs too much memory to decode");
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
        fail(r, ERR_UNDECODABLE, "this kind of JPEG (lossless, hierarchical or of 12 bits) is not read");
    default: fail(r, ERR_UNDECODABLE, r->at_end ? "the JPEG is truncated" : "the JPEG is damaged");
    }
}

/* A warning tells of an oddity that leaves all pixels as they were written, or else libjpeg would go on with
 * invented ones.  Behind the file's end libjpeg reads an end marker: decoding that asks for more is JWRN_HIT_MARKER,
 * but an arithmetic decoder would be content with zeros. */
static void on_message(j_common_ptr common, int level)
{
    struct reader *r = common->client_data;
    if (level >= 0)
        return;
    switch (common->err->msg_code) {
    case JWRN_NOT_SEQUENTIAL: /* Samsung's phones: spectral selection of a picture that has none */
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM: return;
    case JWRN_EXTRANEOUS_DATA: /* in front of a marker: padding, or more than a scan needed */
        r->strayed = true;
        return;
    case JWRN_JPEG_EOF:
        r->at_end = true;
        if (!r->jpeg.arith_code)
            return;
    }
    on_error(common);
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
    jpeg_markers_read(r->src->bytes, r->src->len, &r->markers);
    if (r->markers.scans > r->src->limits->scans)
        fail(r, ERR_TOO_LARGE, "the JPEG has too many scans");
    jpeg_mem_src(jpeg, r->src->bytes, r->src->len);
    jpeg_read_header(jpeg, TRUE);
    if (!image_check_size(r->src->limits, jpeg->image_width, jpeg->image_height, r->e))
        longjmp(r->failed, 1);
    if (jpeg->data_precision != 8 ||
        (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4))
        fail(r, ERR_UNDECODABLE, "this kind of JPEG is not read");
    *r->info = (struct image_info){.format = IMAGE_JPEG,
                                   .width = jpeg->image_width,
                                   .height = jpeg->image_height,
                                   .orientation = r->markers.orientation};
}

enum { MARGIN = 2 }; /* what a box filter of whole blocks has done, another factor of two hides */

/* DCT scaling: libjpeg rounds sizes up.  Only the powers of two are fast. */
static unsigned pick_eighths(const struct image_info *info, uint32_t goal)
{
    uint32_t shorter = info->width < info->height ? info->width : info->height;
    for (unsigned eighths = 1; goal > 0 && eighths < 8; eighths *= 2)
        if ((shorter * eighths + 7) / 8 >= MARGIN * (uint64_t)goal)
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

/* Of a picture in one scan a missing byte is noticed in the decoding.  Of one in several, a whole scan may be missing:
 * each component needs one at least, and where a scan may have been overlooked, all bits of all coefficients. */
static bool is_complete(const struct reader *r)
{
    const struct jpeg_decompress_struct *jpeg = &r->jpeg;
    const bool all_bits = jpeg->progressive_mode && (r->at_end || r->strayed);
    for (int i = 0; i < jpeg->num_components; i++) {
        if (!jpeg->comp_info[i].quant_table) /* none began */
            return false;
        for (size_t k = 0; all_bits && k < DCTSIZE2; k++)
            if (jpeg->coef_bits[i][k] != 0)
                return false;
    }
    return true;
}

static void start(struct reader *r)
{
    j_decompress_ptr jpeg = &r->jpeg;
    jpeg->scale_num = pick_eighths(r->info, r->goal);
    jpeg->scale_denom = 8;
    jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg->mem->max_memory_to_use = COEFFICIENT_BYTES;
    jpeg->progress = &r->progress;
    jpeg_calc_output_dimensions(jpeg);
    jpeg_markers_icc(&r->markers, &r->icc);
    if (!image_prepare(r->src, r->info, jpeg->output_width, jpeg->output_height, 3,
                       coefficient_bytes(jpeg) + r->icc.len, &r->out, r->e))
        longjmp(r->failed, 1);
    r->colour = colour_open(r->icc.data, r->icc.len, (enum colour_model)jpeg->num_components,
                            jpeg->num_components == COLOUR_CMYK ? 4 : 3);
    r->deadline = image_deadline(r->src->limits); /* waiting for memory was not decoding */
    jpeg_start_decompress(jpeg);                  /* of a picture in several scans it reads them all */
    if (jpeg_has_multiple_scans(jpeg) && !is_complete(r))
        fail(r, ERR_UNDECODABLE, "the JPEG is truncated: scans are missing");
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
        n = jpeg_read_scanlines(&r->jpeg, rows, n);
        if (r->colour)
            colour_apply(r->colour, rows[0], (size_t)n * r->out.width);
    }
}

/* Inks to light, as if they were perfect: R = (1 - C)(1 - K).  255 - ink is stored, with Adobe's marker or without:
 * as all writers do and other readers (browsers, Pillow) believe. */
static void read_cmyk_rows(struct reader *r)
{
    while (r->jpeg.output_scanline < r->out.height) {
        uint8_t *to = r->out.rgb + (size_t)r->jpeg.output_scanline * r->out.width * 3;
        jpeg_read_scanlines(&r->jpeg, &r->row, 1);
        const uint8_t *from = r->row;
        if (r->colour)
            colour_of_inks(r->colour, from, r->out.width, to);
        for (size_t x = 0; !r->colour && x < r->out.width; x++, from += 4, to += 3)
            for (size_t c = 0; c < 3; c++)
                to[c] = (uint8_t)((from[c] * from[3] + 127) / 255);
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
} /* what follows the last row is nobody's pixel */

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
    colour_close(r->colour);
    buf_clear(&r->icc);
    free(r->row);
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
    struct reader r = {.src = src, .info = info, .goal = goal, .e = e};
    bool ok = run(&r, read_picture);
    if (ok)
        *out = r.out;
    else
        image_clear(&r.out);
    return ok;
}

const struct codec codec_jpeg = {IMAGE_JPEG, "image/jpeg", sniff, probe, decode};
