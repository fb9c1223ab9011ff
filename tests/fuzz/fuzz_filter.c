/* fuzz_filter.c - filters of any kind: refused with a field's name, or they keep what a walk through each image keeps. */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "index/catalog/catalog.h"
#include "index/values/filter.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/naive_filter.h"

static struct naive_image images[] = {
    {.id = "a",
     .label = "a",
     .metadata = "{\"n\":1,\"t\":\"x\",\"b\":true,\"l\":[1,2.5,\"x\"],\"o\":{\"p\":1,\"q\":[{\"r\":7}]}}"},
    {.id = "b",
     .label = NULL,
     .metadata = "{\"n\":[-1,9007199254740993],\"t\":\"2024-05-17T08:30:00Z\",\"label\":\"a\",\"x\":null}"},
    {.id = "c", .label = "", .metadata = NULL},
    {.id = "d", .label = "x", .metadata = "{\"\":\"\",\"id\":1,\"n\":1e300,\"l\":[],\"b\":false,\"t\":\"\"}"},
};
enum { IMAGES = sizeof images / sizeof *images };

static struct {
    struct catalog *catalog;
    struct session *session;
    int64_t collection, numbers[IMAGES];
    char hashes[IMAGES][HASH_HEX];
} world;

static void put(const struct collection_row *c, size_t i)
{
    static const float vector[1] = {1};
    struct image_row row;
    struct image_put p = {.id = images[i].id,
                          .label = images[i].label,
                          .metadata = images[i].metadata,
                          .media_type = "image/png",
                          .width = 10 * (uint32_t)(i + 1),
                          .height = 20,
                          .len = i,
                          .vector = vector,
                          .generation = c->generation};
    hash_text(p.id, 1, p.sha256);
    FUZZ_CHECK(catalog_image_put(world.session, c, &p, NULL, &row, NULL));
    world.numbers[i] = row.number;
    memcpy(world.hashes[i], row.sha256, HASH_HEX);
    images[i].sha256 = world.hashes[i];
    images[i].media_type = "image/png";
    images[i].width = row.width;
    images[i].height = row.height;
    images[i].bytes = row.bytes;
    images[i].created_at = row.created_at;
    images[i].updated_at = row.updated_at;
    image_row_clear(&row);
}

/* A few images, in files that have no name any more. */
static void open_world(void)
{
    char dir[] = "/tmp/anchord-fuzz-XXXXXX", path[64];
    struct collection_row row = {.name = "c", .model = "m", .dimensions = 1};
    if (world.catalog)
        return;
    json_init();
    FUZZ_CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/anchord.db", dir);
    world.catalog = catalog_open(path, NULL);
    FUZZ_CHECK(world.catalog);
    world.session = catalog_writer(world.catalog);
    FUZZ_CHECK(catalog_begin(world.session, NULL) && catalog_collection_add(world.session, &row, NULL));
    for (size_t i = 0; i < IMAGES; i++)
        put(&row, i);
    FUZZ_CHECK(catalog_commit(world.session, NULL));
    world.collection = row.number;
    file_remove_tree(dir);
}

static void check(const struct json *doc, const struct filter *f)
{
    int64_t *numbers = NULL;
    size_t n = 0, at = 0;
    struct err e = {0};
    FUZZ_CHECK(catalog_numbers(world.session, world.collection, f, &numbers, &n, &e));
    for (size_t i = 0; i < IMAGES; i++) {
        bool kept = at < n && numbers[at] == world.numbers[i];
        FUZZ_CHECK(kept == naive_keeps(doc, &images[i]));
        at += kept;
    }
    FUZZ_CHECK(at == n && (!filter_keeps_all(f) || n == IMAGES));
    free(numbers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    open_world();
    struct json *doc = json_parse((const char *)data, size, 0, &e);
    if (!doc)
        return 0;
    struct filter *f = filter_parse(doc, "filter", &e);
    FUZZ_CHECK((f != NULL) == (e.code == ERR_NONE));
    if (f)
        check(doc, f);
    else
        FUZZ_CHECK(e.code == ERR_BAD_INPUT && strncmp(e.param, "filter", 6) == 0 && e.text[0]);
    filter_free(f);
    json_free(doc);
    return 0;
}
