/* test_manifest.c - folders as training data, a split that does not leak, and the batches drawn from it. */
#include "tests/t.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/rng.h"
#include "engine/data/manifest.h"
#include "engine/data/sampler.h"

/* `labels` labels of `each` items; every item of content (i modulo `contents`), or its own when 0. */
static struct manifest make(size_t labels, size_t each, size_t contents)
{
    struct manifest m = {0};
    for (size_t l = 0; l < labels; l++)
        for (size_t i = 0; i < each; i++) {
            char path[40], label[20], text[40], sha256[HASH_HEX];
            snprintf(path, sizeof path, "%03zu/%03zu", l, i);
            snprintf(label, sizeof label, "label%03zu", l);
            if (contents)
                snprintf(text, sizeof text, "%zu", i % contents);
            else
                snprintf(text, sizeof text, "%s", path);
            hash_text(text, strlen(text), sha256);
            manifest_add(&m, path, sha256, label);
        }
    manifest_seal(&m);
    return m;
}

static void a_folder_of_folders_gives_labels_and_a_stable_order(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300];
    static const char *const files[] = {"cat/2.jpg",  "cat/1.JPEG",   "cat/deep/3.png",
                                        "bee/1.webp", "bee/note.txt", ".hidden/1.jpg"};
    struct err e = {0};
    struct manifest m = {0};
    for (size_t i = 0; i < COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        *strrchr(path, '/') = 0;
        assert_ok(file_make_dirs(path, &e), e);
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        assert_ok(file_replace(path, files[i], 5, &e), e);
    }
    assert_ok(manifest_read_folder(&m, dir, &e), e);
    assert_int_equal(m.n, 4);
    assert_int_equal(m.n_labels, 2);
    assert_string_equal(m.labels[0], "bee");
    assert_string_equal(m.labels[1], "cat");
    assert_non_null(strstr(m.items[0].path, "bee/1.webp"));
    assert_int_equal(m.items[0].label, 0);
    assert_non_null(strstr(m.items[3].path, "cat/deep/3.png"));
    assert_int_equal(m.items[3].label, 1);
    manifest_clear(&m);
    snprintf(path, sizeof path, "%s/empty", dir);
    mkdir(path, 0700);
    assert_err(manifest_read_folder(&m, path, &e), e, ERR_NOT_FOUND);
    manifest_clear(&m);
    t_remove_dir(dir);
}

static size_t held_out_of(const struct manifest *m, int32_t label)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += m->items[i].label == label && m->items[i].held_out;
    return n;
}

static void the_split_is_stratified_reproducible_and_follows_the_seed(void **state)
{
    UNUSED(state);
    struct manifest a = make(10, 50, 0), b = make(10, 50, 0);
    size_t differ = 0;
    manifest_split(&a, 0.1, 7);
    manifest_split(&b, 0.1, 7);
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(a.items[i].held_out, b.items[i].held_out);
    for (int32_t l = 0; l < 10; l++)
        assert_int_equal(held_out_of(&a, l), 5);
    manifest_split(&b, 0.1, 8);
    for (size_t i = 0; i < a.n; i++)
        differ += a.items[i].held_out != b.items[i].held_out;
    assert_true(differ > 40);
    manifest_clear(&a);
    manifest_clear(&b);
}

static void small_labels_hold_out_two_or_none(void **state)
{
    UNUSED(state);
    struct manifest m = make(3, 6, 0);
    manifest_split(&m, 0.1, 1);
    assert_int_equal(held_out_of(&m, 1), 2);
    manifest_clear(&m);
    m = make(3, 3, 0);
    manifest_split(&m, 0.1, 1);
    assert_int_equal(held_out_of(&m, 1), 0);
    manifest_clear(&m);
}

static void equal_content_never_lies_on_both_sides(void **state)
{
    UNUSED(state);
    struct manifest m = make(8, 40, 0);
    struct rng r = rng_new(2);
    for (size_t i = 0; i < m.n; i++) /* duplicates within and across labels */
        if (rng_below(&r, 3) == 0)
            memcpy(m.items[i].sha256, m.items[rng_below(&r, m.n)].sha256, HASH_HEX);
    manifest_split(&m, 0.2, 5);
    size_t out = 0;
    for (size_t i = 0; i < m.n; i++) {
        out += m.items[i].held_out;
        for (size_t j = 0; j < i; j++)
            if (strcmp(m.items[i].sha256, m.items[j].sha256) == 0)
                assert_int_equal(m.items[i].held_out, m.items[j].held_out);
    }
    assert_true(out > 20);
    manifest_clear(&m);
}

static void a_manifest_comes_back_from_its_file(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[300], before[HASH_HEX], after[HASH_HEX];
    struct err e = {0};
    struct manifest m = make(3, 5, 0), back = {0};
    manifest_add(&m, "/elsewhere/x", m.items[0].sha256, NULL);
    manifest_seal(&m);
    snprintf(path, sizeof path, "%s/list.jsonl", dir);
    assert_ok(manifest_write(&m, path, &e) && manifest_read(&back, path, &e), e);
    assert_int_equal(back.n, 16);
    assert_int_equal(back.n_labels, 3);
    assert_string_equal(back.items[0].path, "/elsewhere/x"); /* as it was; the others lie beside the list */
    assert_int_equal(back.items[0].label, NO_LABEL);
    assert_true(strncmp(back.items[1].path, dir, strlen(dir)) == 0);
    manifest_digest(&m, before);
    manifest_digest(&back, after);
    assert_string_equal(before, after);
    back.items[3].held_out = true;
    manifest_digest(&back, after);
    assert_string_not_equal(before, after);
    manifest_clear(&back);

    static const char torn[] = "{\"path\":\"a\"}\n";
    assert_ok(file_replace(path, torn, sizeof torn - 1, &e), e);
    assert_err(manifest_read(&back, path, &e), e, ERR_BAD_INPUT);
    assert_non_null(strstr(e.text, "line 1"));
    manifest_clear(&back);
    assert_ok((e = (struct err){0}, file_replace(path, "", 0, &e)), e);
    assert_err(manifest_read(&back, path, &e), e, ERR_NOT_FOUND);
    manifest_clear(&back);
    manifest_clear(&m);
    t_remove_dir(dir);
}

static void the_empty_label_of_a_manifest_is_none(void **state)
{
    UNUSED(state);
    struct manifest m = {0};
    char sha256[HASH_HEX];
    hash_text("a", 1, sha256);
    manifest_add(&m, "a", sha256, "");
    assert_int_equal(m.n_labels, 0);
    assert_int_equal(m.items[0].label, NO_LABEL);
    manifest_clear(&m);
}

static void a_plain_epoch_shows_each_image_once_in_a_new_order(void **state)
{
    UNUSED(state);
    struct manifest m = make(4, 25, 0);
    struct err e = {0};
    size_t n, *all = manifest_side(&m, false, &n), batch[10], first[10], again = 0;
    struct sampler *s = sampler_new(&m, all, n, 10, 0, 3, &e);
    assert_non_null(s);
    assert_int_equal(sampler_batches(s), 10);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int seen[100] = {0};
        for (uint64_t b = 0; b < 10; b++) {
            sampler_batch(s, epoch * 10 + b, batch);
            for (size_t i = 0; i < 10; i++)
                seen[batch[i]]++;
            if (epoch == 0 && b == 0)
                memcpy(first, batch, sizeof first);
            if (epoch == 1 && b == 0)
                again = memcmp(first, batch, sizeof first) == 0;
        }
        for (size_t i = 0; i < 100; i++)
            assert_int_equal(seen[i], 1);
    }
    assert_false(again);
    sampler_batch(s, 0, batch); /* going back gives the same batch */
    assert_memory_equal(first, batch, sizeof first);
    sampler_free(s);
    free(all);
    manifest_clear(&m);
}

static void a_p_by_k_batch_holds_exactly_k_different_images_of_p_labels(void **state)
{
    UNUSED(state);
    struct manifest m = make(9, 7, 0);
    struct err e = {0};
    size_t n, *all = manifest_side(&m, false, &n), batch[16];
    int used[9] = {0};
    struct sampler *s = sampler_new(&m, all, n, 16, 4, 3, &e);
    assert_non_null(s);
    for (uint64_t step = 0; step < 200; step++) {
        int count[9] = {0}, labels = 0;
        sampler_batch(s, step, batch);
        for (size_t i = 0; i < 16; i++) {
            count[m.items[batch[i]].label]++;
            for (size_t j = 0; j < i; j++)
                assert_true(batch[i] != batch[j]);
        }
        for (size_t l = 0; l < 9; l++) {
            assert_true(count[l] == 0 || count[l] == 4);
            labels += count[l] == 4;
            used[l] += count[l] == 4;
        }
        assert_int_equal(labels, 4);
    }
    for (size_t l = 0; l < 9; l++)
        assert_true(used[l] > 70 && used[l] < 110); /* 200 x 4 / 9 = 89 */
    sampler_free(s);
    free(all);
    manifest_clear(&m);
}

static void batches_that_cannot_be_are_refused_by_name(void **state)
{
    UNUSED(state);
    struct manifest m = make(3, 5, 0);
    struct err e;
    size_t n, *all = manifest_side(&m, false, &n);
    assert_err(sampler_new(&m, all, n, 16, 0, 1, &e) != NULL, e, ERR_BAD_INPUT);
    assert_string_equal(e.param, "batch_size");
    assert_err(sampler_new(&m, all, n, 10, 4, 1, &e) != NULL, e, ERR_BAD_INPUT);
    assert_err(sampler_new(&m, all, n, 16, 4, 1, &e) != NULL, e, ERR_BAD_INPUT);
    free(all);
    manifest_clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_of_folders_gives_labels_and_a_stable_order),
        cmocka_unit_test(the_split_is_stratified_reproducible_and_follows_the_seed),
        cmocka_unit_test(small_labels_hold_out_two_or_none),
        cmocka_unit_test(equal_content_never_lies_on_both_sides),
        cmocka_unit_test(a_manifest_comes_back_from_its_file),
        cmocka_unit_test(the_empty_label_of_a_manifest_is_none),
        cmocka_unit_test(a_plain_epoch_shows_each_image_once_in_a_new_order),
        cmocka_unit_test(a_p_by_k_batch_holds_exactly_k_different_images_of_p_labels),
        cmocka_unit_test(batches_that_cannot_be_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
