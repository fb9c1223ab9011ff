/* command.c - the program as a command, and pictures in folders. */
#include "tests/t.h"

#include "base/buf.h"
#include "base/file.h"
#include "engine/pictures/draw.h"
#include "tests/lib/command.h"
#include "tests/lib/process.h"

enum { MAX_ARGS = 24 };

char *command(int exit_code, const char *first, ...)
{
    const char *args[MAX_ARGS] = {first};
    char *out = NULL;
    va_list ap;
    va_start(ap, first);
    for (size_t n = 0; args[n];) {
        assert_true(n + 2 < MAX_ARGS);
        args[++n] = va_arg(ap, const char *);
    }
    va_end(ap);
    int code = program_run(args, NULL, &out);
    if (code != exit_code)
        fail_msg("anchord %s %s: exit code %d, expected %d: %s", args[0], args[1] ? args[1] : "", code, exit_code, out);
    return out;
}

void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

void write_file(const char *dir, const char *path, const void *bytes, size_t len)
{
    char full[600], parent[600];
    struct err e = {0};
    snprintf(full, sizeof full, "%s/%s", dir, path);
    snprintf(parent, sizeof parent, "%s", full);
    *strrchr(parent, '/') = 0;
    assert_ok(file_make_dirs(parent, &e), e);
    assert_ok(file_replace(full, bytes, len, &e), e);
}

static void draw(const char *dir, const char *path, uint64_t seed, uint32_t side)
{
    struct image img;
    struct buf jpeg = {0};
    struct err e = {0};
    assert_ok(draw_picture((uint32_t)(seed % DRAW_KINDS), seed, side, &img, &e), e);
    assert_ok(image_write_jpeg(&img, 90, &jpeg, &e), e);
    write_file(dir, path, jpeg.data, jpeg.len);
    image_clear(&img);
    buf_clear(&jpeg);
}

void write_picture(const char *dir, const char *path, uint64_t seed)
{
    draw(dir, path, seed, 64);
}

void write_large_picture(const char *dir, const char *path, uint64_t seed)
{
    draw(dir, path, seed, 2048);
}
