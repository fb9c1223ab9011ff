/* test_trainer.c - whole runs: interrupted and gone on with, refused, gone wrong. */
#include "tests/t.h"

#include <pthread.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/encoder.h"
#include "engine/pictures/draw.h"
#include "engine/training/trainer.h"
#include "tests/lib/runs.h"
#include "tests/lib/training_fixture.h"

static const char all_of_it[] = ",\"steps\":9,\"evaluate_every\":4,\"checkpoint_every\":2,\"ema\":0.9,\"clip_norm\":5,"
                                "\"optimizer\":{\"type\":\"adamw\",\"learning_rate\":0.002}";

static void the_same_seed_gives_the_same_bits_and_so_does_an_interrupted_run(void **state)
{
    struct runs *f = *state;
    struct run_told t = runs_run(f, "whole", all_of_it, false, false);
    assert_ok(t.ok, t.e);
    assert_int_equal(t.out.end, TRAIN_DONE);
    assert_int_equal(t.out.step, 9);
    char same_picks[600];
    snprintf(same_picks, sizeof same_picks, "%s,\"picks\":\"%s/whole/picks.json\"", all_of_it, f->dir);
    t = runs_run(f, "again", same_picks, false, false);
    assert_ok(t.ok, t.e);
    runs_assert_same(f, "whole", "again", true);

    const uint64_t stops[] = {3, 4, 8};
    for (size_t i = 0; i < COUNT(stops); i++) {
        f->stop_after = stops[i];
        t = runs_run(f, "parts", same_picks, true, false);
        assert_ok(t.ok, t.e);
        assert_int_equal(t.out.end, TRAIN_STOPPED);
        assert_int_equal(t.out.step, stops[i]);
    }
    f->stop_after = 0;
    t = runs_run(f, "parts", same_picks, true, false);
    assert_ok(t.ok, t.e);
    runs_assert_same(f, "whole", "parts", true);

    t = runs_run(f, "other", ",\"seed\":2,\"steps\":9,\"optimizer\":{\"type\":\"adamw\",\"learning_rate\":0.002}",
                 false, false);
    assert_ok(t.ok, t.e);
    runs_assert_same(f, "whole", "other", false);
}

static void a_run_is_not_overwritten_nor_mixed_with_another(void **state)
{
    struct runs *f = *state;
    struct run_told t = runs_run(f, "one", ",\"steps\":2", false, false);
    assert_ok(t.ok, t.e);
    t = runs_run(f, "one", ",\"steps\":2", false, false);
    assert_true(!t.ok && t.e.code == ERR_CONFLICT && strstr(t.e.text, "--resume"));
    t = runs_run(f, "one", ",\"steps\":3", true, false);
    assert_true(!t.ok && t.e.code == ERR_CONFLICT && strstr(t.e.text, "configuration"));

    char extra[300];
    snprintf(extra, sizeof extra, "%s/pictures", f->dir);
    training_fixture_draw(extra, 3, 0, 4, 40);
    t = runs_run(f, "one", ",\"steps\":2", true, true); /* not even inexactly */
    assert_true(!t.ok && t.e.code == ERR_CONFLICT && strstr(t.e.text, "pictures"));
}

struct holder { /* holds a folder until a run has waited for it */
    int fd;
    pthread_t thread;
};

static void *let_go(void *arg)
{
    struct holder *h = arg;
    usleep(300000);
    close(h->fd);
    return NULL;
}

static void a_folder_that_another_process_holds_is_waited_for(void **state)
{
    struct runs *f = *state;
    struct holder h;
    struct err e = {0};
    char dir[300];
    snprintf(dir, sizeof dir, "%s/held", f->dir);
    assert_ok(file_make_dirs(dir, &e), e);
    h.fd = file_lock_dir(dir, &e);
    assert_ok(h.fd >= 0, e);
    struct run_told t = runs_run(f, "held", ",\"steps\":1", false, false);
    assert_true(!t.ok && t.e.code == ERR_BUSY);
    assert_int_equal(pthread_create(&h.thread, NULL, let_go, &h), 0);
    f->lock_seconds = t_patience(10);
    t = runs_run(f, "held", ",\"steps\":1", false, false);
    f->lock_seconds = 0;
    pthread_join(h.thread, NULL);
    assert_ok(t.ok, t.e);
}

/* The text of a metadata member in a run's checkpoint becomes another one of the same length. */
static void forge(const struct runs *f, const char *name, const char *from, const char *to)
{
    char path[400];
    void *bytes;
    size_t len;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s/checkpoint.safetensors", f->dir, name);
    assert_ok(file_read(path, 1 << 30, &bytes, &len, &e), e);
    char *at = memmem(bytes, len, from, strlen(from));
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
    assert_ok(file_replace(path, bytes, len, &e), e);
    free(bytes);
}

static void other_hardware_is_refused_unless_it_is_allowed(void **state)
{
    struct runs *f = *state;
    f->stop_after = 2;
    struct run_told t = runs_run(f, "moved", ",\"steps\":4", false, false);
    f->stop_after = 0;
    assert_ok(t.ok, t.e);
    forge(f, "moved", "\\\"threads\\\":2", "\\\"threads\\\":9");
    t = runs_run(f, "moved", ",\"steps\":4", true, false);
    assert_true(!t.ok && t.e.code == ERR_CONFLICT && strstr(t.e.text, "9 threads") &&
                strstr(t.e.text, "--allow-inexact"));
    t = runs_run(f, "moved", ",\"steps\":4", true, true);
    assert_ok(t.ok, t.e);
    assert_int_equal(t.out.step, 4);
}

static struct preprocess preprocess_of(const struct runs *f, const char *run, const char *name)
{
    char path[400];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s/%s.safetensors", f->dir, run, name);
    struct model *m = model_load(path, NULL, &e);
    assert_ok(m, e);
    const struct preprocess p = m->pre;
    model_free(m);
    return p;
}

/* What is made sees pictures as asked; what it is compared with sees them as it did. */
static void a_run_may_ask_for_another_fit(void **state)
{
    struct runs *f = *state;
    char more[500];
    struct run_told t = runs_run(f, "fitless", ",\"steps\":1", false, false);
    assert_ok(t.ok, t.e);
    snprintf(more, sizeof more, ",\"model\":\"%s/fitless/best.safetensors\",\"fit\":\"pad\",\"steps\":2", f->dir);
    f->stop_after = 1;
    t = runs_run(f, "padded", more, false, false);
    f->stop_after = 0;
    assert_ok(t.ok, t.e);
    t = runs_run(f, "padded", more, true, false); /* and goes on with it */
    assert_ok(t.ok, t.e);
    assert_int_equal(t.out.step, 2);
    assert_int_equal(preprocess_of(f, "fitless", "best").fit, FIT_CROP);
    assert_int_equal(preprocess_of(f, "padded", "first").fit, FIT_CROP);
    assert_int_equal(preprocess_of(f, "padded", "best").fit, FIT_PAD);
    assert_int_equal(preprocess_of(f, "padded", "best").resize, 32);
    t = runs_run(f, "squashed", ",\"fit\":\"squash\",\"steps\":1", false,
                 false); /* a fresh network has it from the start */
    assert_ok(t.ok, t.e);
    assert_int_equal(preprocess_of(f, "squashed", "first").fit, FIT_SQUASH);
}

static void a_damaged_checkpoint_is_told(void **state)
{
    struct runs *f = *state;
    struct run_told t = runs_run(f, "damaged", ",\"steps\":1", false, false);
    assert_ok(t.ok, t.e);
    forge(f, "damaged", "\\\"format\\\":1", "\\\"format\\\":8");
    t = runs_run(f, "damaged", ",\"steps\":1", true, false);
    assert_true(!t.ok && t.e.code == ERR_CORRUPT && strstr(t.e.text, "format"));
}

static void a_diverging_run_stops_and_keeps_what_was_good(void **state)
{
    struct runs *f = *state;
    struct run_told t =
        runs_run(f, "wild",
                 ",\"steps\":60,\"evaluate_every\":1000,\"optimizer\":{\"learning_rate\":100,\"weight_decay\":1,"
                 "\"momentum\":0.999}",
                 false, false);
    assert_ok(t.ok, t.e);
    assert_int_equal(t.out.end, TRAIN_DIVERGED);
    assert_non_null(strstr(t.out.message, "learning rate"));
    assert_int_equal(t.out.best_step, 0);
    char *best = runs_fingerprint(f, "wild", "best"), *first = runs_fingerprint(f, "wild", "first");
    assert_string_equal(best, first);
    free(best);
    free(first);
}

static void what_cannot_be_learned_from_is_refused(void **state)
{
    struct runs *f = *state;
    char path[300];
    struct run_told t =
        runs_run(f, "deep", ",\"steps\":1,\"per_label\":2,\"method\":{\"type\":\"triplet\"}", false, false);
    assert_true(!t.ok && t.e.code == ERR_BAD_INPUT && strcmp(t.e.param, "batch_size") == 0); /* 4 labels of 3 */
    /* one label, and positives from labels */
    struct err e = {0};
    snprintf(path, sizeof path, "%s/pictures", f->dir);
    file_remove_tree(path);
    assert_ok(file_make_dirs(path, &e), e);
    training_fixture_draw(path, 0, 0, RUNS_EACH, 40);
    t = runs_run(f, "one-label", ",\"steps\":1,\"method\":{\"type\":\"triplet\"}", false, false);
    assert_true(!t.ok && t.e.code == ERR_BAD_INPUT && strstr(t.e.text, "two labels"));
    t = runs_run(f, "one-proxy", ",\"steps\":1,\"method\":{\"type\":\"proxy\"}", false, false);
    assert_true(!t.ok && t.e.code == ERR_BAD_INPUT && strcmp(t.e.param, "method.type") == 0 &&
                strstr(t.e.text, "two labels"));
    /* three pictures */
    file_remove_tree(path);
    assert_ok(file_make_dirs(path, &e), e);
    training_fixture_draw(path, 0, 0, 3, 40);
    t = runs_run(f, "three", ",\"steps\":1", false, false);
    assert_true(!t.ok && t.e.code == ERR_BAD_INPUT && strstr(t.e.text, "held out"));
}

static char *log_of(const struct runs *f, const char *name)
{
    char path[400];
    void *text;
    size_t len;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s/log.jsonl", f->dir, name);
    assert_ok(file_read(path, 1 << 28, &text, &len, &e), e);
    return text;
}

static void labels_that_are_all_different_are_ignored(void **state)
{
    struct runs *f = *state;
    char path[300];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/pictures", f->dir);
    file_remove_tree(path);
    assert_ok(file_make_dirs(path, &e), e);
    for (uint32_t k = 0; k < 12; k++)
        training_fixture_draw(path, k, 0, 1, 40);
    struct run_told t = runs_run(f, "different", ",\"steps\":1", false, false);
    assert_ok(t.ok, t.e);
    assert_string_equal(t.out.score, "instance_recall@1");
    char *log = log_of(f, "different");
    assert_non_null(strstr(log, "\"code\":\"labels_ignored\""));
    free(log);
    t = runs_run(f, "different-labels", ",\"steps\":1,\"method\":{\"type\":\"triplet\"}", false, false);
    assert_true(!t.ok && t.e.code == ERR_BAD_INPUT);
}

static void what_is_trained_on_is_left_out_of_the_judgement(void **state)
{
    struct runs *f = *state;
    char path[300], more[500];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/judged", f->dir);
    assert_ok(file_make_dirs(path, &e), e);
    for (uint32_t k = 0; k < RUNS_KINDS; k++)
        training_fixture_draw(path, k, RUNS_EACH - 8, 8 + 2 + k,
                              40); /* 8 of those that are trained on, 2, 3 and 4 others */
    snprintf(more, sizeof more, ",\"steps\":1,\"validation\":\"%s\"", path);
    struct run_told t = runs_run(f, "shared", more, false, false);
    assert_ok(t.ok, t.e);
    char *log = log_of(f, "shared");
    assert_non_null(strstr(log, "\"held_out\":9,\"left_out\":24"));
    assert_non_null(strstr(log, "\"code\":\"shared_pictures\",\"message\":\"24 of the 33 pictures"));
    assert_non_null(strstr(log, "\"images\":9")); /* that were judged */
    assert_non_null(strstr(strstr(log, "\"event\":\"end\""), "\"left_out\":24"));
    free(log);

    snprintf(more, sizeof more, ",\"steps\":1,\"validation\":\"%s/pictures\"", f->dir);
    t = runs_run(f, "itself", more, false, false);
    assert_true(!t.ok && t.e.code == ERR_BAD_INPUT && strcmp(t.e.param, "validation") == 0);
    assert_non_null(strstr(t.e.text, "36 are trained on"));
}

static void labels_that_cannot_judge_are_told(void **state)
{
    struct runs *f = *state;
    char path[300];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/pictures", f->dir);
    file_remove_tree(path);
    assert_ok(file_make_dirs(path, &e), e);
    training_fixture_draw(path, 0, 0, 12, 40);
    for (uint32_t k = 1; k < 4; k++)
        training_fixture_draw(path, k, 0, 3, 40); /* of three none can be spared */
    struct run_told t = runs_run(f, "lopsided", ",\"steps\":1", false, false);
    assert_ok(t.ok, t.e);
    assert_string_equal(t.out.score, "instance_recall@1");
    char *log = log_of(f, "lopsided");
    assert_non_null(strstr(log, "\"code\":\"labels_not_judged\",\"message\":\"it is judged by instance_recall@1"));
    free(log);
}

/* However many steps were planned, it is judged and saved on the way. */
static void the_time_limit_ends_a_run_with_a_small_rate(void **state)
{
    struct runs *f = *state;
    struct run_told t = runs_run(
        f, "timed", ",\"epochs\":100000,\"evaluate_every\":1000000,\"checkpoint_every\":1000000,\"max_minutes\":0.05",
        false, false);
    assert_ok(t.ok, t.e);
    assert_int_equal(t.out.end, TRAIN_MAX_MINUTES);
    char path[400], *last = NULL;
    void *log;
    size_t len;
    double rate = 1;
    snprintf(path, sizeof path, "%s/timed/log.jsonl", f->dir);
    assert_ok(file_read(path, 1 << 28, &log, &len, &t.e), t.e);
    for (char *at = log; (at = strstr(at, "\"learning_rate\":")); at++)
        last = at;
    assert_int_equal(sscanf(strstr(log, "\"event\":\"step\"") ? last : "", "\"learning_rate\":%lf", &rate), 1);
    assert_true(rate < 0.05); /* half of the peak */
    assert_in_range(t_times(log, "\"event\":\"evaluation\""), 3, 14);
    assert_in_range(t_times(log, "\"event\":\"checkpoint\""), 2, 14);
    free(log);
}

static void a_run_may_go_on_with_larger_pictures(void **state)
{
    struct runs *f = *state;
    char more[400], path[400];
    struct run_told t = runs_run(f, "small", ",\"steps\":2", false, false);
    assert_ok(t.ok, t.e);
    snprintf(more, sizeof more,
             ",\"model\":\"%s/small/last.safetensors\",\"size\":48,\"steps\":3,\"checkpoint_every\":1", f->dir);
    f->stop_after = 1;
    t = runs_run(f, "large", more, false, false);
    assert_true(t.ok && t.out.end == TRAIN_STOPPED);
    f->stop_after = 0;
    t = runs_run(f, "large", more, true, false);
    assert_ok(t.ok, t.e);

    char *small = runs_fingerprint(f, "small", "last");
    snprintf(path, sizeof path, "%s/large/last.safetensors", f->dir);
    struct model *m = model_load(path, NULL, &t.e);
    assert_ok(m != NULL, t.e);
    assert_true(m->pre.size == 48 && m->pre.resize == 48);
    assert_string_equal(m->parent, small);
    struct encoder *enc = encoder_new(m, &(struct encoder_options){.precision = PRECISION_FP32}, &t.e);
    double worst;
    assert_ok(enc && encoder_check(enc, m, &worst, &t.e), t.e); /* the goldens are of the new side */
    encoder_release(enc);
    model_free(m);
    free(small);
}

/* What is stored in bf16 is learned on in fp32, and stored so. */
static void a_run_may_begin_with_a_compact_model(void **state)
{
    struct runs *f = *state;
    char more[400], path[400];
    struct run_told t = runs_run(f, "whole", ",\"steps\":1", false, false);
    assert_ok(t.ok, t.e);
    snprintf(path, sizeof path, "%s/whole/last.safetensors", f->dir);
    struct model *m = model_load(path, NULL, &t.e);
    assert_ok(m != NULL, t.e);
    model_compact(m);
    snprintf(path, sizeof path, "%s/compact.safetensors", f->dir);
    assert_ok(encoder_make_goldens(m, &t.e) && model_save(m, path, &t.e), t.e);
    model_free(m);

    snprintf(more, sizeof more, ",\"model\":\"%s\",\"steps\":3,\"evaluate_every\":1,\"checkpoint_every\":1", path);
    f->stop_after = 2;
    t = runs_run(f, "further", more, false, false);
    assert_true(t.ok && t.out.end == TRAIN_STOPPED);
    f->stop_after = 0;
    t = runs_run(f, "further", more, true, false);
    assert_ok(t.ok, t.e);
    static const char *const made[] = {"first", "best", "last"};
    for (size_t i = 0; i < COUNT(made); i++)
        free(runs_fingerprint(f, "further", made[i])); /* which reads it, and so sees that it is whole */
}

int main(void)
{
    json_init();
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_bits_and_so_does_an_interrupted_run),
        cmocka_unit_test(a_run_is_not_overwritten_nor_mixed_with_another),
        cmocka_unit_test(a_folder_that_another_process_holds_is_waited_for),
        cmocka_unit_test(other_hardware_is_refused_unless_it_is_allowed),
        cmocka_unit_test(a_run_may_ask_for_another_fit),
        cmocka_unit_test(a_damaged_checkpoint_is_told),
        cmocka_unit_test(a_diverging_run_stops_and_keeps_what_was_good),
        cmocka_unit_test(what_cannot_be_learned_from_is_refused),
        cmocka_unit_test(labels_that_are_all_different_are_ignored),
        cmocka_unit_test(what_is_trained_on_is_left_out_of_the_judgement),
        cmocka_unit_test(labels_that_cannot_judge_are_told),
        cmocka_unit_test(the_time_limit_ends_a_run_with_a_small_rate),
        cmocka_unit_test(a_run_may_go_on_with_larger_pictures),
        cmocka_unit_test(a_run_may_begin_with_a_compact_model),
    };
    return T_RUN_EACH(tests, runs_set_up, runs_tear_down);
}
