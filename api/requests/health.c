/* health.c - what this is, whether it lives, whether it can serve, and its metrics. */
#include "api/requests/fields.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/version.h"

bool home_get(struct call *c)
{
    struct json_writer w = answer_json(&c->response, 200);
    jw_object(&w, NULL);
    jw_text(&w, "title", "anchord");
    jw_text(&w, "version", ANCHORD_VERSION);
    jw_end(&w);
    return call_done(c);
}

bool health_get(struct call *c)
{
    struct json_writer w = answer_json(&c->response, 200);
    jw_object(&w, NULL);
    jw_text(&w, "status", "ok");
    jw_end(&w);
    return call_done(c);
}

/* ---- /readyz ---- */

enum { PROOF_SECONDS = 10 }; /* a proof that the encoder works is believed this long */
static const int64_t proof_ns = (int64_t)PROOF_SECONDS * 1000000000;
static const double proof = 0.98; /* least cosine between a golden vector and what comes out now */

static bool answer_ready(struct call *c, bool encoder_works)
{
    bool writable = store_is_writable(c->app->store), draining = demand_is_draining(&c->app->demand);
    bool ready = encoder_works && writable && !draining;
    struct json_writer w = answer_json(&c->response, ready ? 200 : 503);
    jw_object(&w, NULL);
    jw_text(&w, "status", ready ? "ready" : "not ready");
    jw_bool(&w, "encoder", encoder_works);
    jw_bool(&w, "writable", writable);
    jw_bool(&w, "draining", draining);
    jw_end(&w);
    if (!ready)
        answer_header(&c->response, "retry-after", "1");
    return call_done(c);
}

static bool golden_done(struct call *c)
{
    const struct embed_item *embed = c->images;
    const struct golden *golden = c->scratch;
    double dot = 0;
    for (size_t i = 0; i < encoder_dimensions(c->encoder) && !embed->err.code; i++)
        dot += (double)embed->vector[i] * (double)golden->vector[i];
    bool works = dot > proof;
    if (works)
        atomic_store(&c->app->proved_at, clock_ns());
    return answer_ready(c, works);
}

static bool embed_golden(struct call *c)
{
    struct golden *golden = c->scratch = call_new(c, 1, sizeof *golden);
    if (!model_cache_golden(c->app->models, c->app->default_model, golden))
        return answer_ready(c, false);
    call_new_images(c, 1);
    c->images[0].picture = (struct upload_picture){.bytes = golden->png, .len = golden->png_len};
    return call_embed(c, golden_done);
}

bool ready_get(struct call *c)
{
    int64_t proved_at = atomic_load(&c->app->proved_at);
    if (proved_at && clock_ns() - proved_at < proof_ns)
        return answer_ready(c, true);
    /* A further picture would wait behind those of requests, and what they get shows that it still works. */
    if (proved_at && demand_is_met(&c->app->demand, proof_ns))
        return answer_ready(c, true);
    return call_load(c, c->app->default_model, PRECISION_AUTO, embed_golden);
}

/* ---- /metrics ---- */

static void read_store(struct store *s)
{
    struct store_stats stats;
    store_get_stats(s, &stats);
    metric_set(METRIC_store_images, (double)stats.images, NULL, NULL);
    metric_set(METRIC_store_vectors, (double)stats.vectors, NULL, NULL);
    metric_set(METRIC_store_writable, store_is_writable(s), NULL, NULL);
    metric_set(METRIC_store_free_bytes, (double)stats.free_bytes, NULL, NULL);
    metric_set(METRIC_store_wal_bytes, (double)stats.wal_bytes, NULL, NULL);
    metric_set(METRIC_store_writes_waiting, (double)stats.waiting, NULL, NULL);
    metric_set(METRIC_store_last_commit_seconds, stats.last_commit_s, NULL, NULL);
    metric_set(METRIC_store_writes_total, (double)stats.writes, NULL, NULL);
    metric_set(METRIC_store_groups_total, (double)stats.groups, NULL, NULL);
    metric_set(METRIC_store_blobs_written_total, (double)stats.blobs_written, NULL, NULL);
    metric_set(METRIC_store_segments_sealed_total, (double)stats.segments_sealed, NULL, NULL);
}

bool metrics_get(struct call *c)
{
    read_store(c->app->store);
    metric_set(METRIC_build_info, 1, ANCHORD_VERSION, NULL);
    metric_set(METRIC_start_time_seconds, (double)c->app->started_at, NULL, NULL);
    metric_render(&c->response.body);
    c->response.status = 200;
    c->response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return call_done(c);
}
