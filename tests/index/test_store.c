/* test_store.c - the store as its users see it: put, get, patch, delete, search, restart. */
#include "tests/t.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "index/store.h"
#include "tests/lib/stores.h"

struct fixture {
    char *dir;
    struct store *s;
};

static int open_store(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};
    f->dir = t_make_dir();
    f->s = stores_open(f->dir, &e);
    *state = f;
    return f->s && stores_create(f->s, "default", &e) ? 0 : -1;
}

static int close_store(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    t_remove_dir(f->dir);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    struct err e = {0};
    store_close(f->s);
    f->s = stores_open(f->dir, &e);
    if (!f->s)
        fail_msg("reopening: %s", e.text);
}

static void put(struct fixture *f, const char *id, unsigned content)
{
    struct err e = {0};
    assert_ok(stores_put(f->s, &(struct stores_image){.id = id, .content = content}, NULL, &e), e);
}

static struct filter *parse_filter(const char *text, struct json **doc)
{
    struct err e = {0};
    *doc = json_parse(text, strlen(text), 0, &e);
    struct filter *filter = *doc ? filter_parse(*doc, "filter", &e) : NULL;
    if (!filter)
        fail_msg("%s: %s", text, e.text);
    return filter;
}

static void an_image_is_stored_found_read_and_deleted(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row put_row, row;
    void *bytes;
    size_t len;
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "cat", .content = 1, .label = "a", .metadata = "{\"n\":1}"},
                         &put_row, &e),
              e);
    put(f, "dog", 2);
    assert_ok(store_image(f->s, "default", "cat", &row, &e), e);
    assert_int_equal(row.number, put_row.number);
    assert_int_equal(row.revision, put_row.revision);
    assert_string_equal(row.sha256, put_row.sha256);
    assert_string_equal(row.label, "a");
    assert_string_equal(row.metadata, "{\"n\":1}");
    assert_string_equal(row.media_type, "image/jpeg");
    assert_int_equal(row.width, 8);
    assert_ok(store_content(f->s, &row, &bytes, &len, &e), e);
    assert_int_equal(len, row.bytes);
    free(bytes);
    assert_true(stores_finds(f->s, 1, "cat"));
    assert_true(stores_finds(f->s, 2, "dog"));
    assert_ok(stores_delete(f->s, "cat", &e), e);
    assert_false(stores_finds(f->s, 1, "cat"));
    assert_int_equal(stores_count_files(f->dir), 1);
    image_row_clear(&row);
    image_row_clear(&put_row);
    assert_err(store_image(f->s, "default", "cat", &row, &e), e, ERR_NOT_FOUND);
    assert_err(stores_delete(f->s, "cat", &e), e, ERR_NOT_FOUND);
}

static void everything_is_there_again_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row row;
    for (unsigned i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%02u", i);
        put(f, id, i);
    }
    assert_ok(stores_delete(f->s, "i03", &e), e);
    reopen(f);
    assert_ok(stores_check(f->s, f->dir, &e), e);
    for (unsigned i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%02u", i);
        assert_int_equal(stores_finds(f->s, i, id), i != 3);
    }
    assert_ok(store_image(f->s, "default", "i04", &row, &e), e);
    image_row_clear(&row);
}

static void the_same_content_twice_is_one_file(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    put(f, "a", 5);
    put(f, "b", 5);
    assert_int_equal(stores_count_files(f->dir), 1);
    assert_ok(stores_delete(f->s, "a", &e), e);
    assert_int_equal(stores_count_files(f->dir), 1);
    assert_ok(stores_check(f->s, f->dir, &e), e);
    assert_ok(stores_delete(f->s, "b", &e), e);
    assert_int_equal(stores_count_files(f->dir), 0);
}

static void replacing_keeps_the_number_and_drops_the_old_file(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row first, second;
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "a", .content = 1, .label = "old"}, &first, &e), e);
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "a", .content = 2}, &second, &e), e);
    assert_int_equal(first.number, second.number);
    assert_true(second.revision > first.revision);
    assert_null(second.label);
    assert_int_equal(second.created_at, first.created_at);
    assert_true(stores_finds(f->s, 2, "a"));
    assert_false(stores_finds(f->s, 1, "a"));
    assert_int_equal(stores_count_files(f->dir), 1);
    put(f, "a", 2); /* with the same bytes */
    assert_int_equal(stores_count_files(f->dir), 1);
    assert_ok(stores_check(f->s, f->dir, &e), e);
    image_row_clear(&first);
    image_row_clear(&second);
}

static void numbers_and_revisions_are_never_used_again(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row a, b;
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "a"}, &a, &e), e);
    assert_ok(stores_delete(f->s, "a", &e), e);
    reopen(f);
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "a"}, &b, &e), e);
    assert_true(b.number > a.number);
    assert_true(b.revision > a.revision);
    image_row_clear(&a);
    image_row_clear(&b);
}

static void preconditions_guard_a_put(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row row;
    struct stores_image image = {.id = "a", .content = 1, .pre = {.must_exist = true}};
    assert_err(stores_put(f->s, &image, NULL, &e), e, ERR_PRECONDITION);
    image.pre = (struct precondition){.must_be_new = true};
    e = (struct err){0};
    assert_ok(stores_put(f->s, &image, &row, &e), e);
    assert_err(stores_put(f->s, &image, NULL, &e), e, ERR_PRECONDITION);
    image.content = 2;
    image.pre = (struct precondition){.match_revision = row.revision + 1};
    assert_err(stores_put(f->s, &image, NULL, &e), e, ERR_PRECONDITION);
    image.pre = (struct precondition){.match_revision = row.revision, .match_sha256 = "00"};
    assert_err(stores_put(f->s, &image, NULL, &e), e, ERR_PRECONDITION);
    assert_int_equal(stores_count_files(f->dir), 1); /* what was refused left no file */
    image.pre.match_sha256 = row.sha256;
    e = (struct err){0};
    assert_ok(stores_put(f->s, &image, NULL, &e), e);
    image_row_clear(&row);
}

static void a_put_for_another_generation_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct stores_put p;
    stores_fill(&p, f->s, &(struct stores_image){.id = "a"});
    p.write.image.put.generation++;
    assert_err(store_write(f->s, &p.write, &e), e, ERR_STALE);
    p.write.image.put.generation--;
    p.vector[0] = NAN;
    assert_err(store_write(f->s, &p.write, &e), e, ERR_INTERNAL);
    p.write.image.put.id = "a\nb";
    assert_err(store_write(f->s, &p.write, &e), e, ERR_BAD_INPUT);
    p.write.collection = "nowhere";
    p.write.image.put.id = "a";
    assert_err(store_write(f->s, &p.write, &e), e, ERR_NOT_FOUND);
    stores_put_clear(&p);
    assert_int_equal(stores_count_files(f->dir), 0);
}

static int64_t count_matching(struct fixture *f, const char *text)
{
    struct err e = {0};
    struct json *doc;
    int64_t count = -1;
    struct filter *filter = parse_filter(text, &doc);
    assert_ok(store_count(f->s, "default", filter, NULL, 0, &count, &e), e);
    filter_free(filter);
    json_free(doc);
    return count;
}

/* What a search by the content shows of the best hit. */
static void assert_shown(struct fixture *f, unsigned content, const char *label, const char *metadata)
{
    struct err e = {0};
    struct hits hits = {0};
    float q[STORES_DIMENSIONS];
    stores_vector(content, q);
    struct view *v = store_view(f->s, "default", 0, &e);
    assert_ok(v && view_search(v, &(struct search){.vector = q, .limit = 1}, &hits, &e), e);
    assert_string_equal(hits.items[0].label, label);
    assert_string_equal(hits.items[0].metadata, metadata);
    hits_clear(&hits);
    view_release(v);
}

static void patch(struct fixture *f, struct write *w, const char *id, const char *metadata)
{
    struct err e = {0};
    struct json *doc = metadata ? json_parse(metadata, strlen(metadata), 0, &e) : NULL;
    w->kind = WRITE_IMAGE_PATCH;
    w->collection = "default";
    w->image.id = id;
    w->image.patch.metadata = doc;
    assert_ok(store_write(f->s, w, &e), e);
    json_free(doc);
}

static void a_patch_changes_label_and_metadata_and_keeps_the_vector(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row before;
    assert_ok(stores_put(f->s,
                         &(struct stores_image){.id = "a", .content = 3, .label = "x", .metadata = "{\"n\":1,\"m\":2}"},
                         &before, &e),
              e);
    struct write w = {.image.patch = {.set_label = true, .label = "y"}};
    patch(f, &w, "a", "{\"n\":null,\"deep\":{\"k\":[1,2]}}");
    assert_true(w.image.row.revision > before.revision);
    assert_string_equal(w.image.row.label, "y");
    assert_string_equal(w.image.row.metadata, "{\"m\":2,\"deep\":{\"k\":[1,2]}}");
    assert_int_equal(count_matching(f, "{\"must\":[{\"key\":\"n\",\"match\":{\"value\":1}}]}"), 0);
    assert_int_equal(count_matching(f, "{\"must\":[{\"key\":\"deep.k\",\"match\":{\"value\":2}}]}"), 1);
    assert_shown(f, 3, "y", w.image.row.metadata);
    reopen(f);
    assert_true(stores_finds(f->s, 3, "a")); /* the vector followed the revision */
    write_clear(&w);
    w = (struct write){.image.patch = {.clear_metadata = true}};
    patch(f, &w, "a", NULL);
    assert_null(w.image.row.metadata);
    assert_string_equal(w.image.row.label, "y");
    write_clear(&w);
    image_row_clear(&before);
}

static void refused(struct write *w)
{
    int *n = w->user;
    __atomic_fetch_add(n, 1, __ATOMIC_SEQ_CST);
}

static void one_refused_write_does_not_hurt_its_group_and_each_sees_those_before(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    enum { N = 6 };
    struct stores_put p[N];
    struct write *writes[N];
    int done = 0;
    const struct stores_image images[N] = {
        {.id = "a", .content = 1},
        {.id = "b", .content = 2, .pre = {.must_exist = true}},  /* refused */
        {.id = "a", .content = 3, .pre = {.must_exist = true}},  /* sees the first */
        {.id = "c", .content = 4, .metadata = "{\"broken\":"},   /* refused late, when its file is staged */
        {.id = "a", .content = 5, .pre = {.must_be_new = true}}, /* refused */
        {.id = "d", .content = 1},
    };
    for (size_t i = 0; i < N; i++) {
        stores_fill(&p[i], f->s, &images[i]);
        p[i].write.done = refused;
        p[i].write.user = &done;
        writes[i] = &p[i].write;
    }
    assert_ok(store_submit(f->s, writes, N, &e), e);
    while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < N)
        usleep(1000);
    assert_int_equal(p[0].write.err.code, ERR_NONE);
    assert_int_equal(p[1].write.err.code, ERR_PRECONDITION);
    assert_int_equal(p[2].write.err.code, ERR_NONE);
    assert_false(p[2].write.created);
    assert_int_equal(p[3].write.err.code, ERR_BAD_INPUT);
    assert_int_equal(p[4].write.err.code, ERR_PRECONDITION);
    assert_int_equal(p[5].write.err.code, ERR_NONE);
    assert_int_equal(stores_count_files(f->dir), 2);
    assert_true(stores_finds(f->s, 3, "a"));
    assert_ok(stores_check(f->s, f->dir, &e), e);
    for (size_t i = 0; i < N; i++)
        stores_put_clear(&p[i]);
}

static void many_are_deleted_by_list_and_by_filter(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    int64_t count;
    struct json *doc;
    for (unsigned i = 0; i < 12; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%02u", i);
        assert_ok(
            stores_put(f->s, &(struct stores_image){.id = id, .content = i, .label = i % 2 ? "odd" : "even"}, NULL, &e),
            e);
    }
    struct filter *odd = parse_filter("{\"must\":[{\"key\":\"label\",\"match\":{\"value\":\"odd\"}}]}", &doc);
    const char *ids[] = {"i00", "nothing", "i02"};
    const char *wrong[] = {"i00", "no\tid"};
    struct write w = {.kind = WRITE_IMAGES_DELETE, .collection = "default", .images.ids = wrong, .images.n_ids = 2};
    assert_err(store_write(f->s, &w, &e), e, ERR_BAD_INPUT);
    assert_true(stores_finds(f->s, 0, "i00")); /* all or none */
    e = (struct err){0};
    w = (struct write){.kind = WRITE_IMAGES_DELETE, .collection = "default", .images.ids = ids, .images.n_ids = 3};
    assert_ok(store_count(f->s, "default", NULL, ids, 3, &count, &e), e);
    assert_int_equal(count, 2);
    assert_ok(store_write(f->s, &w, &e), e);
    assert_int_equal(w.count, 2);
    assert_ok(store_count(f->s, "default", odd, NULL, 0, &count, &e), e);
    assert_int_equal(count, 6);
    w = (struct write){.kind = WRITE_IMAGES_DELETE, .collection = "default", .images.filter = odd};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_int_equal(w.count, 6);
    assert_ok(store_count(f->s, "default", NULL, NULL, 0, &count, &e), e);
    assert_int_equal(count, 4);
    assert_int_equal(stores_count_files(f->dir), 4);
    assert_ok(stores_check(f->s, f->dir, &e), e);
    filter_free(odd);
    json_free(doc);
}

static void images_are_listed_in_pages_by_id(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row *rows;
    size_t n, seen = 0;
    bool more = true;
    char after[IMAGE_ID_MAX + 1] = "", last[IMAGE_ID_MAX + 1] = "";
    for (unsigned i = 0; i < 25; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%02u", (i * 7) % 25);
        put(f, id, i);
    }
    while (more) {
        assert_ok(store_images(f->s, "default", &(struct image_page){.after_id = *after ? after : NULL, .limit = 10},
                               &rows, &n, &more, &e),
                  e);
        for (size_t i = 0; i < n; i++) {
            assert_true(strcmp(rows[i].id, last) > 0);
            snprintf(last, sizeof last, "%s", rows[i].id);
            image_row_clear(&rows[i]);
        }
        snprintf(after, sizeof after, "%s", last);
        seen += n;
        free(rows);
    }
    assert_int_equal(seen, 25);
}

static void a_search_obeys_the_filter_and_shows_metadata(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct hits hits = {0};
    struct json *doc;
    float q[STORES_DIMENSIONS];
    for (unsigned i = 0; i < 10; i++) {
        char id[16], metadata[64];
        snprintf(id, sizeof id, "i%u", i);
        snprintf(metadata, sizeof metadata, "{\"n\":%u,\"tags\":[\"t%u\",\"all\"],\"a\":{\"b\":%s}}", i, i % 3,
                 i % 2 ? "true" : "false");
        assert_ok(stores_put(f->s, &(struct stores_image){.id = id, .content = i, .metadata = metadata}, NULL, &e), e);
    }
    struct filter *filter = parse_filter("{\"must\":[{\"key\":\"n\",\"range\":{\"gte\":4}},"
                                         "{\"key\":\"tags\",\"match\":{\"value\":\"t0\"}},"
                                         "{\"key\":\"a.b\",\"match\":{\"value\":true}}]}",
                                         &doc);
    struct view *v = store_view(f->s, "default", 0, &e);
    stores_vector(1, q);
    assert_ok(view_search(v, &(struct search){.vector = q, .limit = 5, .filter = filter}, &hits, &e), e);
    assert_int_equal(hits.n, 1); /* of 4 to 9: 6 and 9 have t0, 9 is odd */
    assert_string_equal(hits.items[0].id, "i9");
    assert_string_equal(hits.items[0].metadata, "{\"n\":9,\"tags\":[\"t0\",\"all\"],\"a\":{\"b\":true}}");
    hits_clear(&hits);
    assert_null(store_view(f->s, "default", view_generation(v) + 1, &e));
    assert_int_equal(e.code, ERR_PRECONDITION);
    view_release(v);
    filter_free(filter);
    json_free(doc);
}

/* However it came: with the image, or by a change. */
static void an_empty_label_counts_as_none(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    static const char *const labels[] = {"", "a", NULL, "", "a"};
    size_t *each, n;
    for (unsigned i = 0; i < COUNT(labels); i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i);
        assert_ok(stores_put(f->s, &(struct stores_image){.id = id, .content = i, .label = labels[i]}, NULL, &e), e);
    }
    struct write change = {.image.patch = {.set_label = true, .label = ""}};
    patch(f, &change, "i4", NULL);
    assert_ok(store_label_counts(f->s, "default", &each, &n, &e), e);
    assert_int_equal(n, 1);
    assert_int_equal(each[0], 4);
    assert_int_equal(each[1], 1);
    free(each);
}

static void what_another_collection_has_not_is_counted(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    int64_t n;
    assert_ok(stores_create(f->s, "zoo", &e), e);
    for (unsigned i = 0; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i);
        assert_ok(stores_put(f->s, &(struct stores_image){.id = id, .content = i % 4}, NULL, &e), e);
        assert_ok(stores_put(f->s, &(struct stores_image){.id = id, .content = 2 + i, .collection = "zoo"}, NULL, &e),
                  e);
    }
    assert_ok(store_count_unshared(f->s, "default", "zoo", 100, &n, &e), e);
    assert_int_equal(n, 2); /* 0 and 1 */
    assert_ok(store_count_unshared(f->s, "zoo", "default", 3, &n, &e), e);
    assert_int_equal(n, 3); /* of four */
    assert_ok(store_count_unshared(f->s, "zoo", "zoo", 100, &n, &e), e);
    assert_int_equal(n, 0);
}

static void collections_come_and_go_and_default_stays(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct collection_row *rows, c;
    size_t n;
    int64_t generation;
    assert_ok(stores_create(f->s, "zoo", &e), e);
    for (unsigned i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "z%u", i);
        assert_ok(stores_put(f->s, &(struct stores_image){.id = id, .content = i, .collection = "zoo"}, NULL, &e), e);
    }
    put(f, "shared", 1);
    assert_ok(store_collections(f->s, &rows, &n, &e), e);
    assert_int_equal(n, 2);
    assert_string_equal(rows[1].name, "zoo");
    assert_int_equal(rows[1].images, 3);
    generation = rows[1].generation;
    free(rows);
    struct write w = {.kind = WRITE_COLLECTION_DELETE, .collection = "default"};
    assert_err(store_write(f->s, &w, &e), e, ERR_CONFLICT);
    w.collection = "zoo";
    e = (struct err){0};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_err(store_collection(f->s, "zoo", &c, &e), e, ERR_NOT_FOUND);
    assert_int_equal(stores_count_files(f->dir), 1);
    reopen(f);
    e = (struct err){0};
    assert_ok(stores_create(f->s, "zoo", &e), e);
    assert_ok(store_collection(f->s, "zoo", &c, &e), e);
    assert_true(c.generation > generation);
    assert_int_equal(c.images, 0);
}

static void keys_and_models_are_kept(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct key_row *keys;
    struct model_row *models, model;
    size_t n;
    struct write w = {.kind = WRITE_KEY_ADD, .key.row = {.id = "abcd1234", .role = ROLE_ADMIN, .name = "ci"}};
    memset(w.key.row.hash, 0xa5, HASH_SIZE);
    assert_ok(store_write(f->s, &w, &e), e);
    assert_err(store_write(f->s, &w, &e), e, ERR_CONFLICT);
    struct write m = {
        .kind = WRITE_MODEL_ADD,
        .model.row = {
            .id = "another", .arch = "resnet18", .dimensions = 512, .size = 224, .lineage = (char[]){"{\"seed\":1}"}}};
    e = (struct err){0};
    assert_ok(store_write(f->s, &m, &e), e);
    m.model.row = (struct model_row){.id = "other", .arch = "resnet50", .trained = true};
    assert_ok(store_write(f->s, &m, &e), e);
    reopen(f);
    assert_ok(store_keys(f->s, &keys, &n, &e), e);
    assert_int_equal(n, 1);
    assert_string_equal(keys[0].name, "ci");
    assert_int_equal(keys[0].role, ROLE_ADMIN);
    assert_int_equal(keys[0].hash[31], 0xa5);
    free(keys);
    assert_ok(store_models(f->s, &models, &n, &e), e);
    assert_int_equal(n, 3);
    assert_string_equal(models[0].id, "anchord-base"); /* of `default` */
    assert_string_equal(models[1].lineage, "{\"seed\":1}");
    assert_true(models[2].trained);
    for (size_t i = 0; i < n; i++)
        model_row_clear(&models[i]);
    free(models);
    w = (struct write){.kind = WRITE_MODEL_DELETE, .model.id = "anchord-base"};
    assert_err(store_write(f->s, &w, &e), e, ERR_CONFLICT); /* `default` uses it */
    w.model.id = "other";
    e = (struct err){0};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_err(store_model(f->s, "other", &model, &e), e, ERR_NOT_FOUND);
    w = (struct write){.kind = WRITE_KEY_REVOKE, .key.id = "abcd1234"};
    e = (struct err){0};
    assert_ok(store_write(f->s, &w, &e), e);
    assert_err(store_write(f->s, &w, &e), e, ERR_NOT_FOUND);
}

static void leftovers_of_a_crash_are_swept_and_damage_is_told(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct image_row row;
    void *bytes;
    size_t len;
    char path[512];
    assert_ok(stores_put(f->s, &(struct stores_image){.id = "a", .content = 1}, &row, &e), e);
    const char *strays[] = {"blobs/00/00aa000000000000000000000000000000000000000000000000000000000000",
                            "blobs/07/07aa000000000000000000000000000000000000000000000000000000000000.tmp",
                            "backups/old.tmp"};
    for (size_t i = 0; i < COUNT(strays); i++) {
        snprintf(path, sizeof path, "%s/%s", f->dir, strays[i]);
        assert_ok(file_replace(path, "x", 1, &e), e);
    }
    reopen(f);
    assert_int_equal(stores_count_files(f->dir), 1);
    for (size_t i = 0; i < COUNT(strays); i++) {
        snprintf(path, sizeof path, "%s/%s", f->dir, strays[i]);
        assert_int_equal(access(path, F_OK), -1);
    }
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", f->dir, row.sha256, row.sha256);
    assert_ok(file_replace(path, "flipped", 7, &e), e);
    assert_err(store_content(f->s, &row, &bytes, &len, &e), e, ERR_CORRUPT);
    put(f, "b", 1); /* the same content comes again, and heals the file */
    e = (struct err){0};
    assert_ok(store_content(f->s, &row, &bytes, &len, &e), e);
    free(bytes);
    image_row_clear(&row);
}

static void a_second_opening_is_refused_and_so_is_what_is_not_ours(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char path[512];
    assert_null(stores_open(f->dir, &e));
    assert_int_equal(e.code, ERR_BUSY);
    store_close(f->s);
    snprintf(path, sizeof path, "%s/anchord.db", f->dir);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "\0\0\0\x63", 4, 60), 4); /* user_version 99 */
    e = (struct err){0};
    f->s = stores_open(f->dir, &e);
    assert_null(f->s);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_int_equal(pwrite(fd, "not a database  ", 16, 0), 16);
    close(fd);
    e = (struct err){0};
    f->s = stores_open(f->dir, &e);
    assert_null(f->s);
    assert_int_equal(e.code, ERR_CORRUPT);
}

static void a_full_queue_is_said_at_once_and_closing_finishes_it(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    enum { N = 200 };
    static struct stores_put p[N];
    int done = 0;
    size_t sent = 0;
    store_close(f->s);
    f->s = store_open(&(struct store_options){.dir = f->dir, .queue = 4}, &e);
    assert_non_null(f->s);
    for (size_t i = 0; i < N; i++) {
        static char ids[N][16];
        snprintf(ids[i], sizeof ids[i], "q%zu", i);
        stores_fill(&p[i], f->s, &(struct stores_image){.id = ids[i], .content = (unsigned)i});
        p[i].write.done = refused;
        p[i].write.user = &done;
        struct write *w = &p[i].write;
        e = (struct err){0};
        if (store_submit(f->s, &w, 1, &e))
            sent++;
        else
            assert_int_equal(e.code, ERR_BUSY);
    }
    store_close(f->s);
    assert_int_equal(done, sent);
    assert_true(sent < N); /* or the queue was never full, and this shows nothing */
    f->s = stores_open(f->dir, &e);
    int64_t count;
    assert_ok(store_count(f->s, "default", NULL, NULL, 0, &count, &e), e);
    assert_int_equal(count, sent);
    for (size_t i = 0; i < N; i++)
        stores_put_clear(&p[i]);
}

static void a_nearly_full_disk_refuses_uploads_and_lets_deletes_pass(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    put(f, "a", 1);
    store_close(f->s);
    f->s = store_open(&(struct store_options){.dir = f->dir, .min_free_bytes = UINT64_MAX / 2}, &e);
    assert_non_null(f->s);
    assert_err(stores_put(f->s, &(struct stores_image){.id = "b", .content = 2}, NULL, &e), e, ERR_FULL);
    assert_err(stores_put(f->s, &(struct stores_image){.id = "b", .content = 1}, NULL, &e), e, ERR_FULL);
    e = (struct err){0};
    assert_ok(stores_delete(f->s, "a", &e), e);
    assert_true(store_is_writable(f->s));
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_stored_found_read_and_deleted),
        cmocka_unit_test(everything_is_there_again_after_a_restart),
        cmocka_unit_test(the_same_content_twice_is_one_file),
        cmocka_unit_test(replacing_keeps_the_number_and_drops_the_old_file),
        cmocka_unit_test(numbers_and_revisions_are_never_used_again),
        cmocka_unit_test(preconditions_guard_a_put),
        cmocka_unit_test(a_put_for_another_generation_is_refused),
        cmocka_unit_test(a_patch_changes_label_and_metadata_and_keeps_the_vector),
        cmocka_unit_test(one_refused_write_does_not_hurt_its_group_and_each_sees_those_before),
        cmocka_unit_test(many_are_deleted_by_list_and_by_filter),
        cmocka_unit_test(images_are_listed_in_pages_by_id),
        cmocka_unit_test(a_search_obeys_the_filter_and_shows_metadata),
        cmocka_unit_test(an_empty_label_counts_as_none),
        cmocka_unit_test(what_another_collection_has_not_is_counted),
        cmocka_unit_test(collections_come_and_go_and_default_stays),
        cmocka_unit_test(keys_and_models_are_kept),
        cmocka_unit_test(leftovers_of_a_crash_are_swept_and_damage_is_told),
        cmocka_unit_test(a_second_opening_is_refused_and_so_is_what_is_not_ours),
        cmocka_unit_test(a_full_queue_is_said_at_once_and_closing_finishes_it),
        cmocka_unit_test(a_nearly_full_disk_refuses_uploads_and_lets_deletes_pass),
    };
    return T_RUN_EACH(tests, open_store, close_store);
}
