/* training_fixture.c - drawn folders and small networks. */
#include "tests/lib/training_fixture.h"

#include "tests/t.h"

#include "base/file.h"
#include "engine/arch_resnet.h"
#include "engine/pictures/draw.h"

static void draw_to(const char *path, uint32_t kind, uint64_t seed, uint32_t side)
{
    struct err e = {0};
    struct image img = {0};
    struct buf png = {0};
    assert_ok(draw_picture(kind, seed, side, &img, &e) && image_write_png(&img, &png, &e) &&
                  file_replace(path, png.data, png.len, &e),
              e);
    image_clear(&img);
    buf_clear(&png);
}

void training_fixture_draw(const char *dir, uint32_t kind, size_t first, size_t each, uint32_t side)
{
    char path[400];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s", dir, draw_kind_name(kind));
    assert_ok(file_make_dirs(path, &e), e);
    for (size_t i = first; i < first + each; i++) {
        snprintf(path, sizeof path, "%s/%s/%03zu.png", dir, draw_kind_name(kind), i);
        draw_to(path, kind, i, side);
    }
}

void training_fixture_draw_flat(const char *dir, uint32_t kind, size_t each, uint32_t side)
{
    char path[400];
    for (size_t i = 0; i < each; i++) {
        snprintf(path, sizeof path, "%s/%s-%03zu.png", dir, draw_kind_name(kind), i);
        draw_to(path, kind, i, side);
    }
}

void training_fixture_open(struct training_fixture *l, const char *dir, uint32_t size)
{
    struct err e = {0};
    *l = (struct training_fixture){0};
    assert_ok(manifest_read_folder(&l->manifest, dir, &e), e);
    l->dataset =
        dataset_open(&l->manifest, &(struct dataset_options){.size = size, .limits = image_default_limits}, &e);
    assert_ok(l->dataset != NULL, e);
}

void training_fixture_close(struct training_fixture *l)
{
    dataset_close(l->dataset);
    manifest_clear(&l->manifest);
}

struct model *training_fixture_model(uint64_t seed)
{
    const struct arch a = RESNET(18, SMALL2, 8, 0);
    struct preprocess p = preprocess_imagenet;
    struct err e = {0};
    p.resize = p.size = 32;
    struct model *m = model_new_random(&a, &p, seed, &e);
    assert_ok(m != NULL, e);
    return m;
}
