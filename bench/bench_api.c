/* bench_api.c - what a request costs beside the index and the encoder: microseconds for each call, in process. */
#include "tests/t.h"

#include "base/clock.h"
#include "base/json_writer.h"
#include "index/view.h"
#include "tests/lib/rig.h"

enum { IMAGES = 1000, CALLS = 20000 };

/* Microseconds for each of n calls: the best of five rounds. */
static double measure(const char *line, const struct extra *x, size_t n)
{
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        double start = clock_s();
        for (size_t i = 0; i < n; i++) {
            struct pair none[1];
            struct request q = {.method = METHOD_POST,
                                .path = line,
                                .query = none,
                                .content_type = x->type,
                                .body = x->body,
                                .body_len = strlen(x->body),
                                .role = ROLE_ADMIN,
                                .request_id = "bench"};
            struct call c;
            call_begin(&c, rig->app, &q);
            call_run(&c, rig->plans);
            if (c.response.status != 200)
                fail_msg("%s: %d %s", line, c.response.status, c.response.body.data);
            call_free(&c);
        }
        best = fmin(best, (clock_s() - start) / (double)n * 1e6);
    }
    return best;
}

/* The same question asked of the view itself. */
static double measure_view(size_t n)
{
    double best = 1e9;
    float q[RIG_DIMENSIONS];
    struct err e = {0};
    for (int round = 0; round < 5; round++) {
        double start = clock_s();
        for (size_t i = 0; i < n; i++) {
            struct view *v = store_view(rig->app->store, "default", 0, &e);
            struct hits hits = {0};
            const char *const self[] = {"i.7"};
            assert_ok(view_vector(v, "i.7", q, &e), e);
            assert_ok(
                view_search(v, &(struct search){.vector = q, .limit = 10, .exclude = self, .n_exclude = 1}, &hits, &e),
                e);
            hits_clear(&hits);
            view_release(v);
        }
        best = fmin(best, (clock_s() - start) / (double)n * 1e6);
    }
    return best;
}

static double measure_vector(size_t dimensions)
{
    float *v = mem_new(dimensions, sizeof *v);
    struct buf b = {0};
    double best = 1e9;
    for (size_t i = 0; i < dimensions; i++)
        v[i] = (float)(sin((double)i * 12.9898) * 0.1);
    for (int round = 0; round < 200; round++) {
        struct json_writer w = jw_to(&b);
        b.len = 0;
        double start = clock_s();
        jw_array(&w, NULL);
        for (size_t i = 0; i < dimensions; i++)
            jw_float(&w, NULL, v[i]);
        jw_end(&w);
        best = fmin(best, (clock_s() - start) * 1e6);
    }
    buf_clear(&b);
    free(v);
    return best;
}

int main(void)
{
    const char *search = "/v1/collections/default/search";
    rig = rig_open();
    for (unsigned i = 0; i < IMAGES; i++) {
        char id[16];
        snprintf(id, sizeof id, "i.%u", i);
        rig_put(rig, id, i % 16, i, "label");
    }
    double api =
        measure(search, &(struct extra){.type = "application/json", .body = "{\"id\":\"i.7\",\"limit\":10}"}, CALLS);
    double view = measure_view(CALLS);
    printf("search by id, 10 of %d images of %d dimensions: %.2f us, of it the view %.2f us, the api %.2f us\n", IMAGES,
           RIG_DIMENSIONS, api, view, api - view);
    printf("a vector of 512 as JSON: %.1f us\n", measure_vector(512));
    rig_close(rig);
    return 0;
}
