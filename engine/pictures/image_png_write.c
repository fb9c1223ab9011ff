/* image_png_write.c - PNG files by libpng: plain writing. */
#include <setjmp.h>
#include <stdlib.h>

#include <png.h>

#include "base/num.h"
#include "engine/pictures/image.h"

struct writer {
    png_structp png;
    png_infop header;
    jmp_buf failed;
    struct buf *out;
    struct err *e;
};

_Noreturn static void on_write_error(png_structp png, png_const_charp text)
{
    struct writer *w = png_get_error_ptr(png);
    UNUSED(text);
    err_set(w->e, ERR_INTERNAL, "the PNG could not be written");
    longjmp(w->failed, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    UNUSED(png);
    UNUSED(text);
}

static void on_write(png_structp png, png_bytep bytes, size_t n)
{
    struct writer *w = png_get_io_ptr(png);
    buf_add(w->out, bytes, n);
}

static void on_flush(png_structp png)
{
    UNUSED(png);
}

static void write_picture(struct writer *w, const struct image *img)
{
    png_set_write_fn(w->png, w, on_write, on_flush);
    png_set_IHDR(w->png, w->header, img->width, img->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->header);
    for (size_t y = 0; y < img->height; y++)
        png_write_row(w->png, img->rgb + y * img->width * 3);
    png_write_end(w->png, w->header);
}

bool image_write_png(const struct image *img, struct buf *out, struct err *e)
{
    struct writer w = {.out = out, .e = e};
    volatile bool ok = false;
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_write_error, on_warning);
    w.header = w.png ? png_create_info_struct(w.png) : NULL;
    if (!w.header)
        err_set(e, ERR_BUSY, "no memory to write a PNG");
    else if (setjmp(w.failed) == 0) {
        write_picture(&w, img);
        ok = true;
    }
    png_destroy_write_struct(&w.png, &w.header);
    return ok;
}
