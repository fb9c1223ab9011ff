/* test_jobs.c - fine-tuning jobs: asked for, run, cancelled, killed, gone on with, judged, promoted. */
#include "tests/t.h"

#include <sys/stat.h>

#include "api/jobs/job_settings.h"
#include "api/jobs/jobs.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/json.h"
#include "tests/lib/command.h"
#include "tests/lib/rig.h"

enum { KINDS = 8, EACH = 8, WAIT_S = 60 };
#define JOBS "/v1/fine_tuning/jobs"
/* Short, and better than random weights after a few steps. */
#define QUICK "\"n_epochs\":40,\"batch_size\":16,\"learning_rate\":0.003"

static int set_up(void **state)
{
    rig_set_up(state);
    rig_fill(rig, KINDS, EACH);
    return 0;
}

static struct outcome post(const char *json, int status)
{
    struct outcome o =
        rig_ask(rig, "POST " JOBS, &(struct extra){.admin = true, .type = "application/json", .body = json});
    if (o.status != status)
        fail_msg("%s gave %d: %.300s", json, o.status, o.body.data);
    return o;
}

/* Posts a job on `default` with these further members; gives its id. */
static void begin(const char *more, char id[40])
{
    char json[600];
    snprintf(json, sizeof json, "{\"training_file\":\"default\"%s}", more);
    struct outcome o = post(json, 200);
    snprintf(id, 40, "%s", outcome_text(&o, "id"));
    outcome_clear(&o);
}

static struct outcome get(const char *id, const char *what, int status)
{
    char line[200];
    snprintf(line, sizeof line, "GET " JOBS "/%s%s", id, what);
    return rig_expect(rig, status, line, &(struct extra){.admin = true});
}

static bool has_status(const char *id, const char *status)
{
    struct outcome o = get(id, "", 200);
    bool same = strcmp(outcome_text(&o, "status"), status) == 0;
    outcome_clear(&o);
    return same;
}

static void wait_for(const char *id, const char *status)
{
    double until = clock_s() + t_patience(WAIT_S);
    for (bool there = false; !there; usleep(20000)) {
        struct outcome o = get(id, "", 200);
        there = strcmp(outcome_text(&o, "status"), status) == 0;
        bool over = outcome_at(&o, "finished_at") && json_kind(outcome_at(&o, "finished_at")) == JSON_KIND_INT;
        if (!there && (over || clock_s() > until))
            fail_msg("the job is not %s: %.600s", status, o.body.data);
        outcome_clear(&o);
    }
}

/* Waits until an event's message begins so. */
static void wait_for_event(const char *id, const char *text)
{
    double until = clock_s() + t_patience(WAIT_S);
    for (;;) {
        struct outcome o = get(id, "/events?limit=100", 200);
        bool there = strstr(o.body.data, text) != NULL;
        if (!there && clock_s() > until)
            fail_msg("no event %s: %.900s", text, o.body.data);
        outcome_clear(&o);
        if (there)
            return;
        usleep(10000);
    }
}

static void cancel(const char *id, int status)
{
    char line[200];
    snprintf(line, sizeof line, "POST " JOBS "/%s/cancel", id);
    struct outcome o = rig_expect(rig, status, line, &(struct extra){.admin = true});
    if (status == 409)
        assert_string_equal(outcome_header(&o, "x-should-retry"), "false");
    outcome_clear(&o);
}

static void a_job_teaches_judges_and_changes_the_model(void **state)
{
    UNUSED(state);
    char id[40], model[80], line[120];
    begin(",\"suffix\":\"mine\",\"promote\":\"always\",\"method\":{\"type\":\"infonce\",\"infonce\":{"
          "\"hyperparameters\":{" QUICK "}}}",
          id);
    wait_for(id, "succeeded");
    struct outcome o = get(id, "", 200);
    assert_string_equal(outcome_text(&o, "object"), "fine_tuning.job");
    if (!(outcome_number(&o, "result.after.score") > outcome_number(&o, "result.before.score")))
        fail_msg("nothing was learned: %s", o.body.data);
    assert_true(outcome_number(&o, "result.best_step") > 0);
    assert_string_equal(outcome_text(&o, "hyperparameters.positives"), "labels"); /* auto: there are some */
    assert_string_equal(outcome_text(&o, "method.infonce.hyperparameters.freeze"), "none");
    snprintf(model, sizeof model, "mine-%s", id);
    assert_string_equal(outcome_text(&o, "fine_tuned_model"), model);
    double generation = outcome_number(&o, "result.generation");
    outcome_clear(&o);

    rig_settle(rig, "default");
    o = rig_expect(rig, 200, "GET /v1/collections/default", &(struct extra){.admin = true});
    assert_string_equal(outcome_text(&o, "model"), model);
    assert_true(outcome_number(&o, "generation") == generation);
    outcome_clear(&o);
    snprintf(line, sizeof line, "GET /v1/models/%s", model);
    o = rig_expect(rig, 200, line, &(struct extra){.admin = true});
    assert_true(outcome_number(&o, "metrics.score") > 0);
    outcome_clear(&o);
    o = get(id, "/checkpoints?limit=1", 200);
    assert_string_equal(outcome_text(&o, "data.0.object"), "fine_tuning.job.checkpoint");
    assert_true(outcome_at(&o, "has_more") != NULL);
    outcome_clear(&o);
}

/* Labels are dice, so nothing can be learned but by heart: a job that is asked for "if_better" must not change the model. */
static void nobody_is_judged_by_what_it_learned_from(void **state)
{
    UNUSED(state);
    enum { LEARNED = 128, OWN = 6 };
    static const char job[] = "{\"training_file\":\"dice\",\"validation_file\":\"%s\",\"promote\":\"if_better\","
                              "\"method\":{\"type\":\"proxy\","
                              "\"proxy\":{\"hyperparameters\":{\"n_epochs\":30,\"batch_size\":32,\"learning_rate\":0."
                              "003,\"augmentation\":\"none\"}}}}";
    static const char *const names[] = {"dice", "copy", "mixed"};
    char json[600], id[40], label[8], text[16];
    for (size_t k = 0; k < COUNT(names); k++) {
        snprintf(json, sizeof json, "PUT /v1/collections/%s", names[k]);
        struct outcome o = rig_expect(rig, 201, json, NULL);
        outcome_clear(&o);
        for (unsigned i = 0; i < LEARNED + (k == 2 ? OWN : 0); i++) {
            snprintf(text, sizeof text, "%c%u", "xyz"[k], i);
            snprintf(label, sizeof label, "d%u", i * 2654435761u >> 29 & 3);
            rig_put_in(rig, names[k], text, 0, 1000 + i, label);
        }
    }
    for (size_t k = 0; k < 2; k++) { /* the very same collection, and the same pictures in another */
        snprintf(json, sizeof json, job, names[k]);
        struct outcome o = post(json, 400);
        assert_string_equal(outcome_text(&o, "error.param"), "validation_file");
        outcome_clear(&o);
    }
    snprintf(json, sizeof json, job, "mixed");
    struct outcome o = post(json, 200);
    snprintf(id, sizeof id, "%s", outcome_text(&o, "id"));
    outcome_clear(&o);
    wait_for_event(id, "128 of the 134 pictures to judge by are trained on too");
    wait_for(id, "succeeded");
    o = get(id, "", 200);
    bool promoted = true;
    if (!json_as_bool(outcome_at(&o, "result.promoted"), &promoted) || promoted ||
        outcome_number(&o, "result.left_out") != LEARNED || outcome_number(&o, "result.before.images") != OWN ||
        !outcome_text(&o, "result.note"))
        fail_msg("judged by what it learned from: %s", o.body.data);
    outcome_clear(&o);
}

static void a_gain_that_is_not_certain_is_not_promoted(void **state)
{
    UNUSED(state);
    char id[40];
    begin(",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{" QUICK "}}}", id); /* if_better */
    wait_for(id, "succeeded");
    struct outcome o = get(id, "", 200);
    assert_non_null(strstr(outcome_text(&o, "result.note"), "queries only")); /* of 16 pictures held out */
    outcome_clear(&o);
    o = rig_expect(rig, 200, "GET /v1/collections/default", &(struct extra){.admin = true});
    assert_string_equal(outcome_text(&o, "model"), "anchord-base");
    outcome_clear(&o);
}

static void what_cannot_be_asked_for_is_refused_by_its_field(void **state)
{
    UNUSED(state);
#define ON "{\"training_file\":\"default\","
    static const struct {
        const char *json, *param;
    } cases[] = {
        {"{}", "training_file"},
        {"{\"training_file\":\"nowhere\"}", "training_file"},
        {ON "\"validation_file\":\"nowhere\"}", "validation_file"},
        {ON "\"model\":\"nowhere\"}", "model"},
        {ON "\"colour\":1}", "colour"},
        {ON "\"suffix\":\"a b\"}", "suffix"},
        {ON "\"seed\":-1}", "seed"},
        {ON "\"promote\":\"perhaps\"}", "promote"},
        {ON "\"method\":{\"type\":\"magic\"}}", "method.type"},
        {ON "\"method\":{\"type\":\"triplet\",\"infonce\":{}}}", "method.infonce"},
        {ON "\"method\":{\"type\":\"triplet\",\"triplet\":{\"margin\":1}}}", "method.triplet.margin"},
        {ON "\"method\":{\"type\":\"triplet\",\"triplet\":{\"hyperparameters\":{\"margin\":7}}}}",
         "method.triplet.hyperparameters.margin"},
        {ON "\"method\":{\"type\":\"triplet\",\"triplet\":{\"hyperparameters\":{\"soft\":1}}}}",
         "method.triplet.hyperparameters.soft"},
        {ON "\"method\":{\"type\":\"triplet\",\"triplet\":{\"hyperparameters\":{\"mining\":\"x\"}}}}",
         "method.triplet.hyperparameters.mining"},
        {ON "\"method\":{\"type\":\"triplet\",\"triplet\":{\"hyperparameters\":{\"temperature\":1}}}}",
         "method.triplet.hyperparameters.temperature"},
        {ON "\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"n_epochs\":0}}}}",
         "method.infonce.hyperparameters.n_epochs"},
        {ON "\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"learning_rate\":2}}}}",
         "method.infonce.hyperparameters.learning_rate"},
        {ON "\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"freeze\":\"all\"}}}}",
         "method.infonce.hyperparameters.freeze"},
        {ON "\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"fit\":\"stretch\"}}}}",
         "method.infonce.hyperparameters.fit"},
        {ON "\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"augmentation\":\"x\"}}}}",
         "method.infonce.hyperparameters.augmentation"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = post(cases[i].json, 400);
        assert_string_equal(outcome_text(&o, "error.param"), cases[i].param);
        outcome_clear(&o);
    }
    struct outcome o = rig_expect(rig, 200, "GET " JOBS, &(struct extra){.admin = true});
    assert_null(outcome_at(&o, "data.0")); /* nothing was made */
    outcome_clear(&o);
    outcome_clear((o = get("ftjob-0123456789abcdef", "", 404), &o));
    outcome_clear((o = get("..", "", 400), &o));
    o = rig_ask(
        rig, "POST " JOBS,
        &(struct extra){.admin = true, .role = ROLE_WRITE, .type = "application/json", .body = ON "\"seed\":1}"});
    assert_int_equal(o.status, 403);
    outcome_clear(&o);
}

static void delete (const char *id, int status)
{
    char line[120];
    snprintf(line, sizeof line, "DELETE " JOBS "/%s", id);
    struct outcome o = rig_expect(rig, status, line, &(struct extra){.admin = true});
    outcome_clear(&o);
}

static bool has_file(const char *id, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/jobs/%s/%s", rig->dir, id, name);
    return access(path, F_OK) == 0;
}

static void a_cancelled_job_leaves_no_weights_and_what_a_kill_left_is_swept(void **state)
{
    UNUSED(state);
    char id[40], path[400];
    begin(",\"method\":{\"type\":\"triplet\",\"triplet\":{\"hyperparameters\":{\"n_epochs\":10000}}}", id);
    wait_for_event(id, "step 1 of");
    cancel(id, 200);
    wait_for(id, "cancelled");
    static const char *const gone[] = {"first.safetensors", "checkpoint.safetensors", "last.safetensors", "pictures"};
    (void)t_wait(2, !has_file(id, "first.safetensors")); /* a moment after it is told */
    for (size_t i = 0; i < COUNT(gone); i++)
        assert_false(has_file(id, gone[i]));
    usleep(200000);
    snprintf(path, sizeof path, "%s/jobs/%s", rig->dir, id);
    write_file(path, "checkpoint.safetensors.AbCdEf", "half", 4);
    rig_reopen(rig);
    assert_false(has_file(id, "checkpoint.safetensors.AbCdEf"));
    assert_true(has_file(id, "events.jsonl") && has_file(id, "job.json"));
    delete (id, 204);
}

static void the_queue_is_bounded_and_jobs_are_cancelled_in_time(void **state)
{
    UNUSED(state);
    char running[40], waiting[40], third[40], json[] = "{\"training_file\":\"default\"}";
    begin(",\"method\":{\"type\":\"triplet\",\"triplet\":{\"hyperparameters\":{\"n_epochs\":10000}}}", running);
    wait_for_event(running, "step 1 of");
    begin("", waiting);
    begin("", third);
    struct outcome o = post(json, 503); /* two wait already */
    assert_non_null(outcome_header(&o, "retry-after"));
    outcome_clear(&o);
    assert_true(has_status(waiting, "queued"));
    cancel(waiting, 200);
    assert_true(has_status(waiting, "cancelled"));
    cancel(third, 200);

    double start = clock_s();
    delete (running, 409);
    cancel(running, 200);
    wait_for(running, "cancelled");
    assert_true(clock_s() - start < t_patience(2.5));
    cancel(running, 409);
    delete (running, 204);
    delete (running, 404);
    outcome_clear((o = get(running, "", 404), &o));
    assert_false(has_file(running, "."));

    o = rig_expect(rig, 200, "GET " JOBS "?limit=2", &(struct extra){.admin = true});
    assert_string_equal(outcome_text(&o, "data.0.id"), third); /* newest first, within a second by id */
    outcome_clear(&o);
}

static void a_job_goes_on_after_a_restart(void **state)
{
    UNUSED(state);
    char id[40], path[400];
    struct stat st;
    begin(",\"promote\":\"never\",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"n_epochs\":60,"
          "\"batch_size\":16}}}",
          id);
    wait_for_event(id, "judged at step 10"); /* when a checkpoint is saved too */
    usleep(300000);
    rig_reopen(rig);
    wait_for_event(id, "the server was started anew");
    wait_for_event(id, "going on from the checkpoint of step");
    snprintf(path, sizeof path, "%s/jobs/%s/pictures", rig->dir, id);
    assert_int_equal(stat(path, &st), 0);
    cancel(id, 200);
    wait_for(id, "cancelled");
    assert_true(t_wait(WAIT_S, stat(path, &st) != 0)); /* nothing is pinned any more */
    assert_int_equal(mkdir(path, 0700), 0);
    rig_reopen(rig); /* nor is what a death left between the job's end and its cleaning */
    assert_int_not_equal(stat(path, &st), 0);
    snprintf(path, sizeof path, "%s/jobs/%s/checkpoint.safetensors", rig->dir, id);
    assert_int_not_equal(stat(path, &st), 0); /* nor its weights */
}

static void deleted_images_do_not_disturb_a_job(void **state)
{
    UNUSED(state);
    char id[40];
    begin(",\"promote\":\"never\",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{" QUICK "}}}", id);
    wait_for_event(id, "judged at step 0");
    outcome_clear((struct outcome[]){rig_expect(rig, 204, "DELETE /v1/collections/default/images/p0-0", NULL)});
    wait_for(id, "succeeded");
    struct outcome o = rig_ask(rig, "GET /v1/collections/default/images/p0-0", NULL);
    assert_int_equal(o.status, 404);
    outcome_clear(&o);
}

static void a_worker_that_dies_is_tried_once_more_and_its_last_words_are_told(void **state)
{
    UNUSED(state);
    struct job draft = {.objective = objective_find("infonce"),
                        .hyperparameters = strdup("{}"),
                        .collection = "default",
                        .model = "anchord-base"};
    struct job made;
    struct err e = {0};
    char dir[400];
    snprintf(dir, sizeof dir, "%s/jobs-of-this-test", rig->dir);
    struct jobs *jobs = jobs_open(rig->app, dir, &(struct jobs_options){.program = "/bin/false"}, &e);
    assert_ok(jobs != NULL && jobs_create(jobs, &draft, &made, &e), e);
    char id[JOB_ID_SIZE];
    snprintf(id, sizeof id, "%s", made.id);
    for (double until = clock_s() + t_patience(WAIT_S); !job_is_over(&made) && clock_s() < until; usleep(10000)) {
        job_clear(&made);
        assert_ok(jobs_get(jobs, id, &made, &e), e);
    }
    assert_int_equal(made.status, JOB_FAILED);
    assert_string_equal(made.error_code, "worker_died");
    assert_non_null(strstr(made.error, "exit code 1"));
    struct job_events events;
    assert_ok(jobs_events(jobs, id, &events, &e), e);
    assert_int_equal(events.n, 3); /* started, died and started again, failed */
    job_events_clear(&events);
    job_clear(&made);
    job_clear(&draft);
    jobs_close(jobs);
}

/* The number in the newest "step N of". */
static double newest_step(const char *id)
{
    struct outcome o = get(id, "/events?limit=20", 200);
    const char *at = strstr(o.body.data, "\"step ");
    double step = at ? strtod(at + 6, NULL) : 0;
    outcome_clear(&o);
    return step;
}

/* Steps a second, over three seconds and four steps at least. */
static double step_rate(const char *id)
{
    double before = newest_step(id), start = clock_s(), now, steps;
    do {
        usleep(100000);
        steps = newest_step(id) - before;
        now = clock_s();
    } while ((steps < 4 || now - start < 3) && now - start < t_patience(WAIT_S));
    return steps / (now - start);
}

/* A moment's rates, at the bound and while each of the two has the worker give way; false when others made it a bad moment. */
static bool gives_way(const char *id, char text[200])
{
    atomic_store(&rig->app->demand.p99_us, 50000); /* at the bound, not above */
    double free = step_rate(id);
    atomic_store(&rig->app->demand.p99_us, 50001);
    usleep(1200000); /* events are told once a second */
    double slow = step_rate(id);
    atomic_store(&rig->app->demand.p99_us, 0);
    atomic_store(&rig->app->demand.images, cores_usable() + 1);
    usleep(1200000);
    double waiting = step_rate(id);
    atomic_store(&rig->app->demand.images, 0);
    snprintf(text, 200, "%g steps a second at the bound, %g above it, %g while a request waits", free, slow, waiting);
    return slow > 0 && slow < free / 3 && waiting > 0 && waiting < free / 3;
}

/* Whatever of requests it is that asks for the machine, the worker goes slowly, and never stops. */
static void a_worker_gives_way_while_requests_wait_or_are_slow(void **state)
{
    UNUSED(state);
    enum { TRIES = 4 }; /* other programs may come and go between two rates */
    char id[40], text[200];
    begin(",\"method\":{\"type\":\"triplet\",\"triplet\":{\"hyperparameters\":{\"n_epochs\":1000,\"batch_size\":32}}}",
          id);
    wait_for_event(id, "step 1 of");
    bool does = false;
    for (int i = 0; i < TRIES && !does; i++)
        does = gives_way(id, text);
    if (!does)
        fail_msg("%s", text);
    cancel(id, 200);
    wait_for(id, "cancelled");
}

static void the_model_that_a_job_begins_with_is_not_deleted(void **state)
{
    UNUSED(state);
    char id[40];
    rig_add_model(rig, "spare", 9);
    begin(
        ",\"model\":\"spare\",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"n_epochs\":10000}}}",
        id);
    outcome_clear((struct outcome[]){rig_expect(rig, 409, "DELETE /v1/models/spare", &(struct extra){.admin = true})});
    cancel(id, 200);
    wait_for(id, "cancelled");
    outcome_clear((struct outcome[]){rig_expect(rig, 200, "DELETE /v1/models/spare", &(struct extra){.admin = true})});
}

static void auto_depends_on_the_pictures_and_the_model(void **state)
{
    UNUSED(state);
    struct job j = {
        .objective = objective_find("infonce"), .hyperparameters = strdup("{\"temperature\":0.05}"), .seed = 3};
    struct err e = {0};
    static const struct {
        struct train_ground g;
        const char *has[3];
    } cases[] = {
        {{.images = 2000, .kinds = 20, .labels = 20, .spared = 200, .folder = "f", .model = "m", .max_minutes = 60},
         {"\"positives\":\"labels\"", "\"per_label\":4", "\"learning_rate\":0.001"}},
        {{.images = 2000,
          .kinds = 20,
          .labels = 20,
          .spared = 200,
          .folder = "f",
          .model = "m",
          .max_minutes = 60,
          .trained = true},
         {"\"freeze_norm\":true", "\"learning_rate\":0.0001", "\"head_rate\":10"}},
        {{.images = 2000, .spared = 200, .folder = "f", .model = "m", .max_minutes = 60},
         {"\"positives\":\"views\"", "\"per_label\":0", "\"augmentation\":\"finetune-views\""}},
        {{.images = 40, .kinds = 5, .labels = 5, .spared = 10, .folder = "f", .model = "m", .max_minutes = 60},
         {"\"batch_size\":20", "\"per_label\":4", "\"temperature\":0.05"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf config = {0}, settled = {0};
        assert_ok(job_plan(&j, &cases[i].g, &config, &settled, &e), e);
        for (size_t k = 0; k < 3; k++)
            if (!strstr(config.data, cases[i].has[k]))
                fail_msg("no %s in %s", cases[i].has[k], config.data);
        assert_null(strstr(settled.data, "auto"));
        buf_clear(&config);
        buf_clear(&settled);
    }
    free(j.hyperparameters);
    j.hyperparameters = strdup("{\"fit\":\"pad\"}");
    struct buf padded = {0}, settled = {0};
    assert_ok(job_plan(&j, &cases[0].g, &padded, &settled, &e), e);
    assert_non_null(strstr(padded.data, "\"fit\":\"pad\""));
    assert_non_null(strstr(settled.data, "\"fit\":\"pad\""));
    buf_clear(&padded);
    buf_clear(&settled);
    struct buf none = {0};
    assert_err(job_plan(&j, &(struct train_ground){.images = 3, .folder = "f", .model = "m"}, &none, &none, &e), e,
               ERR_BAD_INPUT);
    job_clear(&j);
}

int main(void)
{
    json_init();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_job_teaches_judges_and_changes_the_model),
        TEST(nobody_is_judged_by_what_it_learned_from),
        TEST(a_gain_that_is_not_certain_is_not_promoted),
        TEST(what_cannot_be_asked_for_is_refused_by_its_field),
        TEST(the_queue_is_bounded_and_jobs_are_cancelled_in_time),
        TEST(a_cancelled_job_leaves_no_weights_and_what_a_kill_left_is_swept),
        TEST(a_job_goes_on_after_a_restart),
        TEST(deleted_images_do_not_disturb_a_job),
        TEST(a_worker_that_dies_is_tried_once_more_and_its_last_words_are_told),
        TEST(a_worker_gives_way_while_requests_wait_or_are_slow),
        TEST(the_model_that_a_job_begins_with_is_not_deleted),
        cmocka_unit_test(auto_depends_on_the_pictures_and_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
