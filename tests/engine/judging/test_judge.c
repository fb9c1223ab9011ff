/* test_judge.c - the same pictures judged each time, by figures that can be recomputed from what is kept. */
#include "tests/t.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "engine/judging/judge_parts.h"
#include "engine/pictures/draw.h"
#include "engine/pictures/sheet.h"
#include "tests/lib/training_fixture.h"

enum { KINDS = 4, EACH = 12, SIDE = 40, SEED = 5 };

static char *make_folder(size_t each)
{
    char *dir = t_make_dir();
    for (uint32_t k = 0; k < KINDS; k++)
        training_fixture_draw(dir, k, 0, each, SIDE);
    return dir;
}

static struct judge *open_judge(struct judge_options o, const struct training_fixture *l)
{
    struct err e = {0};
    o.manifest = &l->manifest;
    o.dataset = l->dataset;
    o.precision = PRECISION_FP32;
    o.seed = SEED;
    struct judge *j = judge_new(&o, &e);
    assert_ok(j != NULL, e);
    return j;
}

static struct judgement run(const struct judge *j, uint64_t seed, bool thoroughly)
{
    struct err e = {0};
    struct judgement out;
    struct model *m = training_fixture_model(seed);
    assert_ok(thoroughly ? judge_run_thoroughly(j, m, &out, &e) : judge_run(j, m, &out, &e), e);
    model_free(m);
    return out;
}

static double cosine(const float *a, const float *b, size_t d)
{
    double sum = 0;
    for (size_t k = 0; k < d; k++)
        sum += (double)a[k] * (double)b[k];
    return sum;
}

static size_t nearest_by_hand(const struct judgement *v, size_t query)
{
    size_t best = query ? 0 : 1;
    for (size_t i = 0; i < v->images; i++)
        if (i != query &&
            cosine(v->vectors + i * v->dimensions, v->vectors + query * v->dimensions, v->dimensions) >
                cosine(v->vectors + best * v->dimensions, v->vectors + query * v->dimensions, v->dimensions))
            best = i;
    return best;
}

static void the_held_out_pictures_are_judged_by_their_labels(void **state)
{
    UNUSED(state);
    char *dir = make_folder(EACH);
    struct training_fixture l;
    struct err e = {0};
    training_fixture_open(&l, dir, 32);
    manifest_split(&l.manifest, 0.4, 1);
    struct pool *pool = pool_new(&(struct pool_options){.name = "t", .threads = 3, .capacity = 3}, &e);
    struct judge *j = open_judge((struct judge_options){.bank_max = 20}, &l),
                 *many = open_judge((struct judge_options){.bank_max = 20, .pool = pool}, &l);
    struct judgement v = run(j, 1, false), again = run(many, 1, false), other = run(j, 2, false);
    size_t held_out, hits = 0;
    free(manifest_side(&l.manifest, true, &held_out));
    assert_true(v.labelled && v.images == held_out && v.queries == held_out && v.images >= 16);
    for (size_t i = 0; i < v.images; i++) {
        assert_true(l.manifest.items[j->judged.items[i]].held_out);
        const int32_t found = j->judged.labels[nearest_by_hand(&v, i)];
        assert_int_equal(v.hits[i], found == j->judged.labels[i]);
        hits += v.hits[i] == 1;
    }
    assert_true(hits > 0 && fabs(v.score - (double)hits / (double)v.images) < 1e-12);
    assert_true(v.figures.knn_20 >= 0 && v.figures.linear < 0 && v.figures.few_shot.episodes == 0 && v.seconds > 0);
    assert_memory_equal(v.vectors, again.vectors, v.images * v.dimensions * sizeof(float));
    assert_memory_equal(v.hits, again.hits, v.images);
    assert_true(v.figures.knn_20 == again.figures.knn_20);
    assert_memory_not_equal(v.vectors, other.vectors, v.images * v.dimensions * sizeof(float));
    assert_int_equal(j->bank.n, 20);
    for (size_t i = 0; i < j->bank.n; i++)
        assert_false(l.manifest.items[j->bank.items[i]].held_out);
    judgement_clear(&v);
    judgement_clear(&again);
    judgement_clear(&other);
    v = run(j, 1, true);
    assert_true(v.figures.linear >= 0);
    judgement_clear(&v);
    judge_free(j);
    judge_free(many);
    pool_free(pool);
    training_fixture_close(&l);
    t_remove_dir(dir);
}

static void without_labels_a_view_has_to_find_its_picture(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir();
    struct training_fixture l;
    training_fixture_draw_flat(dir, 1, 20, SIDE);
    training_fixture_draw_flat(dir, 2, 20, SIDE);
    training_fixture_open(&l, dir, 32);
    manifest_split(&l.manifest, 0.5, 1);
    struct judge *j = open_judge((struct judge_options){0}, &l);
    struct judge *easy = open_judge((struct judge_options){.augment = recipe_find("none")->view}, &l);
    struct judgement v = run(j, 1, true), again = run(j, 1, false), whole = run(easy, 1, false);
    assert_true(!v.labelled && v.images == 20 && v.queries == 20 && v.figures.instance.queries == 20);
    assert_true(v.score == v.figures.instance.recall_1 && v.score < 1);
    assert_true(v.figures.retrieval.queries == 0 && v.figures.knn_20 < 0 && v.figures.linear < 0);
    assert_memory_equal(v.hits, again.hits, v.images);
    assert_true(whole.score == 1); /* views that are the pictures themselves */
    judgement_clear(&v);
    judgement_clear(&again);
    judgement_clear(&whole);
    judge_free(j);
    judge_free(easy);
    training_fixture_close(&l);
    t_remove_dir(dir);
}

static void copy_picture(const char *dir, const char *from, const char *to)
{
    char command[700];
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s/%s')\" && cp '%s/%s' '%s/%s'", dir, to, dir, from, dir,
             to);
    assert_int_equal(system(command), 0);
}

static void a_validation_folder_is_judged_whole_but_for_copies_and_the_unlabelled(void **state)
{
    UNUSED(state);
    char *dir = make_folder(EACH), *other = t_make_dir(), from[64];
    struct training_fixture l, v;
    training_fixture_draw(other, 7, 0, 4, SIDE);
    training_fixture_draw(other, 8, 0, 5, SIDE);
    snprintf(from, sizeof from, "%s/001.png", draw_kind_name(7));
    copy_picture(other, from, "zebra/copy.png");
    snprintf(from, sizeof from, "%s/002.png", draw_kind_name(8));
    copy_picture(other, from, "000.png"); /* comes first, but a label counts more */
    training_fixture_draw_flat(other, 9, 2, SIDE);
    training_fixture_open(&l, dir, 32);
    training_fixture_open(&v, other, 32);
    manifest_split(&l.manifest, 0.4, 1);
    assert_int_equal(v.manifest.n, 13);
    struct judge *j =
        open_judge((struct judge_options){.validation = &v.manifest, .validation_dataset = v.dataset}, &l);
    struct judgement out = run(j, 1, true);
    assert_true(out.labelled && out.images == 9);
    for (size_t i = 0; i < out.images; i++)
        assert_true(j->judged.labels[i] >= 0);
    for (size_t i = 0; i < out.images; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(v.manifest.items[j->judged.items[i]].sha256,
                                    v.manifest.items[j->judged.items[k]].sha256);
    assert_true(out.figures.knn_20 < 0 && out.figures.linear < 0); /* its labels may be others than those trained on */
    judgement_clear(&out);
    judge_free(j);
    training_fixture_close(&l);
    training_fixture_close(&v);
    t_remove_dir(dir);
    t_remove_dir(other);
}

static void one_label_says_nothing_and_pictures_all_different_cannot_be_judged(void **state)
{
    UNUSED(state);
    char *dir = t_make_dir(), path[64], name[64];
    struct training_fixture l;
    struct err e = {0};
    training_fixture_draw(dir, 3, 0, 10, SIDE);
    training_fixture_open(&l, dir, 32);
    manifest_split(&l.manifest, 0.4, 1);
    struct judge *j = open_judge((struct judge_options){0}, &l);
    assert_false(j->labelled);
    judge_free(j);
    training_fixture_close(&l);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "%s/%03d.png", draw_kind_name(3), i);
        snprintf(path, sizeof path, "own%d/x.png", i);
        copy_picture(dir, name, path);
    }
    snprintf(path, sizeof path, "%s/%s", dir, draw_kind_name(3));
    file_remove_tree(path);
    training_fixture_open(&l, dir, 32);
    manifest_split(&l.manifest, 0.4, 1);
    assert_err(judge_new(&(struct judge_options){.manifest = &l.manifest, .dataset = l.dataset}, &e) != NULL, e,
               ERR_BAD_INPUT);
    assert_string_equal(e.param, "held_out");
    assert_non_null(strstr(e.text, "10 pictures with 10 labels"));
    j = open_judge((struct judge_options){.validation = &l.manifest, .validation_dataset = l.dataset}, &l);
    assert_true(!j->labelled && j->judged.n == 10);
    judge_free(j);
    training_fixture_close(&l);
    t_remove_dir(dir);
}

/* `sizes[label]` pictures of each label, all of different content. */
static struct manifest numbered(const size_t *sizes, size_t labels)
{
    struct manifest m = {0};
    for (size_t l = 0; l < labels; l++)
        for (size_t i = 0; i < sizes[l]; i++) {
            char path[40], label[20], sha256[HASH_HEX];
            snprintf(path, sizeof path, "%zu/%zu", l, i);
            snprintf(label, sizeof label, "%zu", l);
            hash_text(path, strlen(path), sha256);
            manifest_add(&m, path, sha256, label);
        }
    manifest_seal(&m);
    return m;
}

static void a_choice_takes_the_same_part_of_each_label_and_is_always_the_same(void **state)
{
    UNUSED(state);
    static const size_t sizes[] = {100, 40, 20, 10};
    struct manifest m = numbered(sizes, 4);
    struct choice c[3] = {0};
    size_t count[4] = {0};
    for (size_t i = 0; i < 3; i++) {
        choice_gather(&m, CHOOSE_ALL, &c[i]);
        assert_int_equal(c[i].n, 170);
        choice_limit(&c[i], &m, 34, i == 2 ? 8 : 7);
        assert_int_equal(c[i].n, 34);
    }
    for (size_t i = 0; i < 34; i++) {
        count[c[0].labels[i]]++;
        assert_int_equal(m.items[c[0].items[i]].label, c[0].labels[i]);
    }
    for (size_t l = 0; l < 4; l++)
        assert_true(count[l] >= sizes[l] / 5 - 1 && count[l] <= sizes[l] / 5 + 1);
    assert_memory_equal(c[0].items, c[1].items, 34 * sizeof(size_t));
    assert_memory_not_equal(c[0].items, c[2].items, 34 * sizeof(size_t));
    for (size_t i = 0; i < 3; i++)
        choice_clear(&c[i]);
    manifest_clear(&m);
}

/* A judgement of n queries of which the first `found` find something. */
static struct judgement made(size_t n, size_t found)
{
    struct judgement v = {.labelled = true, .images = n, .queries = n, .score = (double)found / (double)n};
    v.hits = mem_new(n, 1);
    memset(v.hits, 1, found);
    return v;
}

static void gain_has_an_interval_and_few_queries_or_a_loss_promote_nothing(void **state)
{
    UNUSED(state);
    struct judgement few = made(99, 20), low = made(100, 20), high = made(100, 60);
    struct err e = {0};
    struct interval gain = judge_gain(&low, &high);
    assert_true(fabs(gain.mean - 0.4) < 1e-12);
    assert_true(gain.low > 0.29 && gain.low < 0.34 && gain.high > 0.46 && gain.high < 0.53); /* 0.4 -+ 1.96 * 0.049 */
    assert_ok(judge_may_promote(&low, &high, &e), e);
    assert_err(judge_may_promote(&low, &low, &e), e, ERR_PRECONDITION); /* no gain */
    assert_err(judge_may_promote(&high, &low, &e), e, ERR_PRECONDITION);
    assert_non_null(strstr(e.text, "recall@1 went from 0.600 to 0.200"));
    assert_err(judge_may_promote(&few, &few, &e), e, ERR_PRECONDITION);
    assert_non_null(strstr(e.text, "99 queries"));
    judgement_clear(&few);
    judgement_clear(&low);
    judgement_clear(&high);
}

static void a_judgement_is_written_with_all_its_figures(void **state)
{
    UNUSED(state);
    struct judgement v = made(4, 3);
    struct buf text = {0};
    struct json_writer w = jw_to(&text);
    struct err e = {0};
    double score;
    v.figures = (struct evaluation){
        .knn_20 = -1, .knn_200 = 0.5, .linear = -1, .retrieval = {.queries = 4, .recall_1 = 0.75}, .rank_me = NAN};
    v.seconds = 1.5;
    jw_object(&w, NULL);
    judgement_write(&v, &w, "figures");
    jw_end(&w);
    struct json *doc = json_parse(text.data, text.len, 0, &e);
    assert_ok(doc != NULL, e);
    const struct json *figures = json_member(doc, "figures");
    assert_true(json_as_number(json_member(figures, "score"), &score) && score == 0.75);
    assert_true(json_as_number(json_member(figures, "recall@1"), &score) && score == 0.75);
    assert_true(json_as_number(json_member(figures, "seconds"), &score) && score == 1.5);
    assert_true(json_as_number(json_member(figures, "images"), &score) && score == 4);
    assert_null(json_member(figures, "knn_20"));
    assert_null(json_member(figures, "rank_me"));
    assert_non_null(json_member(figures, "labelled"));
    json_free(doc);
    buf_clear(&text);
    judgement_clear(&v);
}

static void a_model_without_directions_is_told(void **state)
{
    UNUSED(state);
    char *dir = make_folder(EACH);
    struct training_fixture l;
    struct err e = {0};
    struct judgement v;
    struct model *m = training_fixture_model(1);
    training_fixture_open(&l, dir, 32);
    manifest_split(&l.manifest, 0.4, 1);
    struct judge *j = open_judge((struct judge_options){0}, &l);
    for (size_t i = 0; i < m->n_weights; i++)
        if (strstr(m->weights[i].name, "conv"))
            memset(m->weights[i].data, 0, m->weights[i].count * sizeof(float));
    assert_err(judge_run(j, m, &v, &e), e, ERR_UNDECODABLE);
    assert_non_null(strstr(e.text, "judging the model"));
    assert_true(!v.hits && !v.vectors);
    model_free(m);
    judge_free(j);
    training_fixture_close(&l);
    t_remove_dir(dir);
}

/* ---- the sheet, looked at pixel by pixel ---- */

/* Vectors by which each picture's nearest is one of its own label (right), or of the next one (wrong). */
static void point(struct judgement *v, const struct judge *j, size_t only, bool right)
{
    memset(v->vectors, 0, v->images * v->dimensions * sizeof *v->vectors);
    for (size_t i = 0; i < v->images; i++) {
        const bool astray = i == only && !right;
        const int32_t axis = (j->judged.labels[i] + astray) % KINDS;
        v->vectors[i * v->dimensions + (size_t)axis] = 1;
        v->hits[i] = !astray;
    }
}

static const uint8_t *pixel(const struct image *img, size_t column, size_t row, size_t inside)
{
    const size_t pitch = 80 + 14, x = 6 + column * pitch + inside, y = 6 + row * pitch + inside;
    return img->rgb + (y * img->width + x) * 3;
}

static void assert_shows(const struct judge *j, const struct image *sheet, size_t column, size_t row, size_t i)
{
    struct image img;
    bool owned;
    struct err e = {0};
    struct sheet alone = {.columns = 1, .rows = 1, .side = 80};
    assert_ok(dataset_image(j->dataset, j->judged.items[i], &img, &owned, &e) && sheet_init(&alone, &e) &&
                  sheet_place(&alone, 0, 0, &img, SHEET_BLUE, &e),
              e);
    for (size_t k = 0; k < 88; k += 3)
        assert_memory_equal(pixel(sheet, column, row, k), pixel(&alone.image, 0, 0, k), 3);
    sheet_clear(&alone);
    if (owned)
        image_clear(&img);
}

static struct image sheet_of(const struct judge *j, const struct judgement *before, const struct judgement *after,
                             size_t rows)
{
    struct buf png = {0};
    struct err e = {0};
    struct image img = {0};
    assert_ok(judge_sheet(j, before, after, rows, &png, &e) &&
                  image_decode(png.data, png.len, &image_default_limits, 0, &img, &e),
              e);
    buf_clear(&png);
    return img;
}

static void a_sheet_shows_the_query_that_changed_with_its_answers_framed(void **state)
{
    UNUSED(state);
    static const char green[] = "\x28\xa0\x46", red[] = "\xd2\x32\x28", white[] = "\xff\xff\xff";
    char *dir = make_folder(EACH);
    struct training_fixture l;
    training_fixture_open(&l, dir, 32);
    manifest_split(&l.manifest, 0.5, 1);
    struct judge *j = open_judge((struct judge_options){0}, &l);
    struct judgement before = run(j, 1, false), after = run(j, 1, false);
    for (size_t changed = 0; changed < before.images; changed += 7) {
        point(&before, j, changed, false);
        point(&after, j, changed, true);
        struct image img = sheet_of(j, &before, &after, 1);
        assert_int_equal(img.height, 94 + 6);
        assert_shows(j, &img, 0, 0, changed);
        for (size_t k = 0; k < 5; k++) {
            assert_memory_equal(pixel(&img, 1 + k, 0, 1), red, 3);
            assert_memory_equal(pixel(&img, 7 + k, 0, 1), green, 3);
        }
        assert_memory_equal(pixel(&img, 6, 0, 1), white, 3);
        image_clear(&img);
    }
    point(&before, j, 3, true);
    point(&after, j, 3, false);
    struct image img = sheet_of(j, &before, &after, 3); /* the third row is for what became wrong */
    assert_shows(j, &img, 0, 2, 3);
    image_clear(&img);
    img = sheet_of(j, &before, &after, 1000); /* no more rows than queries */
    assert_int_equal(img.height, 94 * before.images + 6);
    image_clear(&img);
    judgement_clear(&before);
    judgement_clear(&after);
    judge_free(j);
    training_fixture_close(&l);
    t_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_held_out_pictures_are_judged_by_their_labels),
        cmocka_unit_test(without_labels_a_view_has_to_find_its_picture),
        cmocka_unit_test(a_validation_folder_is_judged_whole_but_for_copies_and_the_unlabelled),
        cmocka_unit_test(one_label_says_nothing_and_pictures_all_different_cannot_be_judged),
        cmocka_unit_test(a_choice_takes_the_same_part_of_each_label_and_is_always_the_same),
        cmocka_unit_test(gain_has_an_interval_and_few_queries_or_a_loss_promote_nothing),
        cmocka_unit_test(a_judgement_is_written_with_all_its_figures),
        cmocka_unit_test(a_model_without_directions_is_told),
        cmocka_unit_test(a_sheet_shows_the_query_that_changed_with_its_answers_framed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
