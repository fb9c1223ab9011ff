/* test_job_kill.c - fine-tuning under misfortune: the server killed, the worker killed, the worker's memory or the disk used up.
 * Serving goes on, and the job goes on or says why not.  KILLS=n: deaths at random moments (3), SEED=n repeats them. */
#include "tests/t.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "base/rng.h"
#include "tests/lib/expect.h"

#define JOBS "/v1/fine_tuning/jobs"
#define STEPS(n)                                                                                                       \
    ",\"promote\":\"never\",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"n_epochs\":" #n       \
    ",\"batch_size\":8}}}"
enum { IMAGES = 24, WAIT_S = 60 };

static struct buf photo;

static int start(void **state)
{
    UNUSED(state);
    draw_jpeg(3, 64, &photo);
    return 0;
}

static int stop(void **state)
{
    UNUSED(state);
    buf_clear(&photo);
    return 0;
}

static void fill(const struct server *s)
{
    struct client c = client_to(s->port);
    for (unsigned i = 0; i < IMAGES; i++) {
        struct buf jpeg = {0};
        char target[96];
        draw_jpeg(i, 64, &jpeg);
        snprintf(target, sizeof target, "/v1/collections/default/images/p%u?label=l%u", i, i % 4);
        expect_put_image(&c, 201, target, jpeg.data, jpeg.len);
        buf_clear(&jpeg);
    }
    client_close(&c);
}

static void post_job(const struct server *s, const char *more, char id[40])
{
    struct client c = client_to(s->admin);
    char json[400];
    snprintf(json, sizeof json, "{\"training_file\":\"default\"%s}", more);
    struct json *job = expect_post(&c, 200, JOBS, json);
    snprintf(id, 40, "%s", text_at(job, "id"));
    json_free(job);
    client_close(&c);
}

static struct json *get_job(const struct server *s, const char *id, const char *what)
{
    struct client c = client_to(s->admin);
    char target[128];
    snprintf(target, sizeof target, JOBS "/%s%s", id, what);
    struct json *doc = expect_get(&c, 200, target);
    client_close(&c);
    return doc;
}

/* Its events as text, newest first. */
static void events_of(const struct server *s, const char *id, struct buf *out)
{
    struct json *doc = get_job(s, id, "/events?limit=100");
    buf_clear(out);
    json_dump(doc, out);
    json_free(doc);
}

static void wait_for_event(const struct server *s, const char *id, const char *text)
{
    struct buf events = {0};
    double until = clock_s() + t_patience(WAIT_S);
    do {
        events_of(s, id, &events);
        if (clock_s() > until)
            fail_msg("no event %s: %.900s", text, events.data);
        usleep(20000);
    } while (!strstr(events.data, text));
    buf_clear(&events);
}

/* The status that it ends in, with its error when there is one. */
static void expect_end(const struct server *s, const char *id, const char *status, const char *code, const char *words)
{
    double until = clock_s() + t_patience(WAIT_S);
    for (;; usleep(50000)) {
        struct json *job = get_job(s, id, "");
        struct buf text = {0};
        json_dump(job, &text);
        bool over = strcmp(text_at(job, "status"), "queued") != 0 && strcmp(text_at(job, "status"), "running") != 0;
        if (over &&
            (strcmp(text_at(job, "status"), status) != 0 || (code && (strcmp(text_at(job, "error.code"), code) != 0 ||
                                                                      !strstr(text_at(job, "error.message"), words)))))
            fail_msg("not %s, %s: %.900s", status, code ? code : "", text.data);
        if (!over && clock_s() > until)
            fail_msg("it does not end: %.900s", text.data);
        buf_clear(&text);
        json_free(job);
        if (over)
            return;
    }
}

static void expect_serving(const struct server *s)
{
    struct client c = client_to(s->port);
    struct json *found = NULL;
    expect_status(&c, 200, &(struct ask){.method = "GET", .target = "/readyz"});
    expect_put_image(&c, 201, "/v1/collections/default/images/still-here", photo.data, photo.len);
    found = expect_post(&c, 200, "/v1/collections/default/search", "{\"id\":\"still-here\",\"limit\":3}");
    assert_int_equal(count_at(found, "data"), 3);
    json_free(found);
    expect_status(&c, 204, &(struct ask){.method = "DELETE", .target = "/v1/collections/default/images/still-here"});
    client_close(&c);
}

/* The process whose arguments are "anchord worker" and a folder with `part` in it; 0: none. */
static pid_t worker_of(const char *part)
{
    struct dirent *entry;
    pid_t found = 0;
    DIR *d = opendir("/proc");
    while (d && !found && (entry = readdir(d))) {
        char path[300], line[600] = "";
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        FILE *f = fopen(path, "r");
        size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
        if (f)
            fclose(f);
        if (n > 16 && memcmp(line, "anchord\0worker", 15) == 0 && strstr(line + 15, part))
            found = atoi(entry->d_name);
    }
    if (d)
        closedir(d);
    return found;
}

/* Waits for one that is not `old`. */
static pid_t wait_for_worker(const char *id, pid_t old)
{
    pid_t pid = 0;
    assert_true(t_wait(20, (pid = worker_of(id)) > 0 && pid != old));
    return pid;
}

static void expect_no_worker(const char *id, double seconds)
{
    if (!t_wait(seconds, !worker_of(id)))
        fail_msg("a worker lives on after %g s", t_patience(seconds));
}

/* A step after the first judgement: from then on there is a checkpoint. */
static void wait_for_checkpoint(const struct server *s, const char *id)
{
    char path[400];
    snprintf(path, sizeof path, "%s/jobs/%s/checkpoint.safetensors", s->dir, id);
    if (!t_wait(WAIT_S, access(path, F_OK) == 0))
        fail_msg("there is no %s", path);
}

static void a_killed_server_takes_its_worker_along_and_goes_on_after_it(void **state)
{
    UNUSED(state);
    struct server s, again;
    struct err e = {0};
    char id[40];
    expect_start(&s, &(struct server_options){0});
    fill(&s);
    post_job(&s, STEPS(300), id);
    wait_for_checkpoint(&s, id);
    struct json *job = get_job(&s, id, "");
    assert_string_equal(text_at(job, "status"), "running"); /* or the kill would prove nothing */
    json_free(job);
    wait_for_worker(id, 0);
    assert_int_equal(server_kill(&s), -SIGKILL);
    expect_no_worker(id, 2);

    assert_ok(server_start(&again, &(struct server_options){.dir = s.dir}, &e), e);
    wait_for_event(&again, id, "the server was started anew");
    wait_for_event(&again, id, "going on from the checkpoint of step");
    expect_serving(&again);
    expect_end(&again, id, "succeeded", NULL, NULL);
    assert_int_equal(server_stop(&again), 0);
    server_remove(&s);
}

static void a_killed_worker_is_replaced_once(void **state)
{
    UNUSED(state);
    struct server s;
    char id[40];
    expect_start(&s, &(struct server_options){0});
    fill(&s);
    post_job(&s, STEPS(300), id);
    wait_for_checkpoint(&s, id);
    pid_t first = wait_for_worker(id, 0);
    assert_int_equal(kill(first, SIGKILL), 0);
    wait_for_event(&s, id, "the worker died (killed by signal 9)");
    wait_for_event(&s, id, "going on from the checkpoint of step");
    expect_serving(&s);
    expect_end(&s, id, "succeeded", NULL, NULL);

    post_job(&s, STEPS(300), id);
    wait_for_checkpoint(&s, id);
    first = wait_for_worker(id, 0);
    assert_int_equal(kill(first, SIGKILL), 0);
    assert_int_equal(kill(wait_for_worker(id, first), SIGKILL), 0);
    expect_end(&s, id, "failed", "worker_died", "killed by signal 9");
    expect_serving(&s);
    expect_stop(&s);
}

/* By hand, or by whatever ends processes that it takes for idle. */
static void a_worker_that_somebody_stops_goes_on(void **state)
{
    UNUSED(state);
    struct server s;
    char id[40];
    expect_start(&s, &(struct server_options){0});
    fill(&s);
    post_job(&s, STEPS(300), id);
    wait_for_checkpoint(&s, id);
    assert_int_equal(kill(wait_for_worker(id, 0), SIGTERM), 0);
    wait_for_event(&s, id, "somebody stopped the worker");
    wait_for_event(&s, id, "going on from the checkpoint of step");
    expect_end(&s, id, "succeeded", NULL, NULL);
    expect_stop(&s);
}

static void a_worker_that_needs_too_much_memory_says_so(void **state)
{
    UNUSED(state);
    static const char *const limits[] = {"ANCHORD_JOB_MEMORY_BYTES=1048576", "ANCHORD_JOB_MEMORY_BYTES=20000000"};
    for (size_t i = 0; i < COUNT(limits); i++) {
        struct server s;
        char id[40];
        expect_start(&s, &(struct server_options){.env = (const char *[]){limits[i], NULL}});
        fill(&s);
        post_job(&s, STEPS(5000), id);
        double since = clock_s();
        expect_end(&s, id, "failed", "out_of_memory", "job_memory_bytes");
        assert_true(clock_s() - since < t_patience(20));
        expect_no_worker(id, 1);
        expect_serving(&s);
        expect_stop(&s);
    }
}

static void a_full_disk_fails_the_job_and_nothing_else(void **state)
{
    UNUSED(state);
    struct server s;
    char scratch[64] = "/tmp/anchord-job-XXXXXX", data[100], sentinel[100], preload[400], dir[160], fault[160], id[40];
    assert_non_null(mkdtemp(scratch));
    snprintf(data, sizeof data, "%s/data", scratch);
    snprintf(sentinel, sizeof sentinel, "%s/fail", scratch);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/tests/faults/preload.so", getenv("B"));
    snprintf(dir, sizeof dir, "FAULTS_DIR=%s", data);
    snprintf(fault, sizeof fault, "FAULTS_FAIL=%s", sentinel);
    expect_start(&s, &(struct server_options){
                         .dir = data,
                         .env = (const char *[]){preload, dir, fault, "ASAN_OPTIONS=verify_asan_link_order=0", NULL}});
    fill(&s);
    FILE *f = fopen(sentinel, "w");
    assert_non_null(f);
    fprintf(f, "rename %d checkpoint 0\n", ENOSPC);
    fclose(f);
    post_job(&s, STEPS(300), id);
    expect_end(&s, id, "failed", "insufficient_storage", "checkpoint");
    expect_serving(&s);
    assert_int_equal(unlink(sentinel), 0);
    post_job(&s, STEPS(20), id); /* nothing is left behind that would hinder the next one */
    expect_end(&s, id, "succeeded", NULL, NULL);
    assert_int_equal(server_stop(&s), 0);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    assert_int_equal(system(command), 0);
}

/* ---- deaths at random moments of a job, of the embedding after it and of the switch ---- */

enum victim { WORKER, SERVER, BOTH, VICTIMS };

#define PROMOTED                                                                                                       \
    ",\"promote\":\"always\",\"method\":{\"type\":\"infonce\",\"infonce\":{\"hyperparameters\":{\"n_epochs\":10,"      \
    "\"batch_size\":8}}}"

static void wait_for_switch(const struct server *s)
{
    struct client c = client_to(s->port);
    bool ready = false;
    for (double until = clock_s() + t_patience(WAIT_S); !ready && clock_s() < until; usleep(10000)) {
        struct json *collection = expect_get(&c, 200, "/v1/collections/default");
        ready = strcmp(text_at(collection, "status"), "ready") == 0;
        json_free(collection);
    }
    client_close(&c);
    assert_true(ready);
}

/* All pictures, each with all others for neighbours, in the one active generation. */
static void expect_whole(const struct server *s)
{
    struct client c = client_to(s->port), admin = client_to(s->admin);
    struct json *collection = expect_get(&c, 200, "/v1/collections/default");
    struct json *generations = expect_get(&admin, 200, "/v1/collections/default/generations");
    size_t active = 0;
    assert_int_equal(int_at(collection, "images"), IMAGES);
    for (size_t i = 0; i < count_at(generations, "data"); i++) {
        const struct json *g = json_item(value_at(generations, "data"), i);
        if (strcmp(text_at(g, "state"), "active") != 0)
            continue;
        active++;
        assert_int_equal(int_at(g, "generation"), int_at(collection, "generation"));
        assert_int_equal(int_at(g, "done"), IMAGES);
    }
    assert_int_equal(active, 1);
    for (unsigned i = 0; i < IMAGES; i++) {
        char query[80];
        snprintf(query, sizeof query, "{\"id\":\"p%u\",\"limit\":%d}", i, IMAGES);
        struct json *found = expect_post(&c, 200, "/v1/collections/default/search", query);
        assert_int_equal(count_at(found, "data"), IMAGES - 1);
        assert_int_equal(int_at(found, "generation"), int_at(collection, "generation"));
        json_free(found);
    }
    json_free(generations);
    json_free(collection);
    client_close(&admin);
    client_close(&c);
}

/* One death; true when there was a worker to meet it. */
static bool die(struct server *s, const char *id, enum victim victim)
{
    pid_t worker = worker_of(id);
    if (victim != SERVER && worker)
        kill(worker, SIGKILL);
    if (victim != WORKER) {
        char dir[256];
        struct err e = {0};
        bool own = s->own_dir;
        snprintf(dir, sizeof dir, "%s", s->dir);
        assert_int_equal(server_kill(s), -SIGKILL);
        assert_ok(server_start(s, &(struct server_options){.dir = dir}, &e), e);
        s->own_dir = own;
    }
    return worker != 0;
}

static void deaths_at_random_moments_leave_the_old_model_or_the_new_one(void **state)
{
    UNUSED(state);
    const char *set = getenv("SEED"), *kills = getenv("KILLS");
    uint64_t seed = set ? strtoull(set, NULL, 10) : (uint64_t)clock_ns();
    size_t n = kills ? strtoul(kills, NULL, 10) : VICTIMS, met = 0;
    struct rng rng = rng_new(seed);
    struct server s;
    char id[40];
    print_message("seed %llu\n", (unsigned long long)seed);
    expect_start(&s, &(struct server_options){0});
    fill(&s);
    double start = clock_s();
    post_job(&s, PROMOTED, id);
    expect_end(&s, id, "succeeded", NULL, NULL);
    wait_for_switch(&s);
    double usual = clock_s() - start;
    for (size_t i = 0; i < n; i++) {
        post_job(&s, PROMOTED, id);
        if (i == 0)
            wait_for_worker(id, 0); /* one of them surely meets a worker: three by chance alone miss it now and then */
        else
            usleep((useconds_t)(1e6 * usual * rng_unit(&rng)));
        met += die(&s, id, (enum victim)(i % VICTIMS));
        expect_end(&s, id, "succeeded", NULL, NULL);
        wait_for_switch(&s);
        expect_whole(&s);
    }
    print_message("%zu deaths, %zu of them while a worker lived; a job takes %.1f s\n", n, met, usual);
    assert_true(n == 0 || met > 0);
    expect_stop(&s);
}

int main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_server_takes_its_worker_along_and_goes_on_after_it),
        cmocka_unit_test(a_killed_worker_is_replaced_once),
        cmocka_unit_test(a_worker_that_somebody_stops_goes_on),
        cmocka_unit_test(a_worker_that_needs_too_much_memory_says_so),
        cmocka_unit_test(a_full_disk_fails_the_job_and_nothing_else),
        cmocka_unit_test(deaths_at_random_moments_leave_the_old_model_or_the_new_one),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
