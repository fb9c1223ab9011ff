/* image_jpeg_write.c - JPEG files by libjpeg: plain writing. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/pictures/image.h"

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

static void on_output(j_common_ptr jpeg)
{
    UNUSED(jpeg); /* the default writes on standard error */
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
