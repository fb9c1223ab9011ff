/* test_trainer_objectives.c - each objective's whole run: interrupted it ends with the same bits, in all that it remembers. */
#include "tests/t.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/safetensors.h"
#include "tests/lib/runs.h"

static const struct {
    const char *name, *own;   /* its settings */
    const char *remembers[4]; /* tensors that its checkpoint has to hold */
    const char *crops;
} objectives[] = {
    {"moco",
     "{\"queue\":21}",
     {"objective.queue", "objective.cursor", "target.conv1.weight", "target.head.0.bias"},
     NULL},
    {"mocov2", "{\"queue\":50,\"momentum\":0.9}", {"objective.queue", "target.bn1.running_mean"}, NULL},
    {"byol", "{\"momentum\":0.8}", {"target.conv1.weight", "network.predictor.1.weight"}, NULL},
    {"simsiam", "{}", {"network.predictor.0.norm.weight"}, NULL},
    {"barlow", "{}", {"network.conv1.weight"}, NULL},
    {"vicreg", "{}", {"network.conv1.weight"}, NULL},
    {"swav",
     "{\"prototypes\":7,\"queue\":9,\"queue_after\":0.2,\"freeze_prototypes\":0.2}",
     {"objective.prototypes", "objective.queue", "objective.cursor"},
     NULL},
    {"deepclusterv2",
     "{\"prototypes\":4,\"heads\":2,\"recluster\":1}",
     {"objective.bank", "objective.centroids", "objective.clusters", "objective.clock"},
     NULL},
    {"dino",
     "{\"prototypes\":12,\"momentum\":0.9,\"freeze_prototypes\":0.2}",
     {"objective.prototypes", "objective.teacher_prototypes", "objective.centre", "target.conv1.weight"},
     NULL},
    {"proxy", "{\"temperature\":0.1}", {"objective.proxies", "network.conv1.weight"}, NULL},
    {"swav",
     "{\"prototypes\":7,\"queue\":9,\"queue_after\":0.2}",
     {"objective.prototypes", "objective.queue"},
     "[{},{\"count\":3}]"},
    {"dino",
     "{\"prototypes\":12}",
     {"objective.centre", "target.bn1.running_mean"},
     "[{\"count\":3,\"size\":24},{\"count\":1,\"size\":24},{\"count\":2,\"size\":18}]"},
    {"deepclusterv2",
     "{\"prototypes\":4,\"heads\":2}",
     {"objective.bank", "network.bn1.running_var"},
     "[{\"size\":32},{\"count\":1}]"},
};

static struct safetensors *checkpoint(const struct runs *f, const char *name)
{
    char path[400];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s/checkpoint.safetensors", f->dir, name);
    struct safetensors *s = safetensors_open(path, &e);
    assert_ok(s != NULL, e);
    return s;
}

static float *read_values(const struct safetensors *s, const struct safetensor *t)
{
    struct err e = {0};
    float *x = mem_new(t->count, sizeof *x);
    assert_ok(safetensors_read(s, t, x, &e), e);
    return x;
}

/* Every tensor, bit for bit. */
static void assert_same_checkpoints(const struct runs *f, const char *a, const char *b)
{
    struct safetensors *sa = checkpoint(f, a), *sb = checkpoint(f, b);
    size_t n, m;
    const struct safetensor *ta = safetensors_list(sa, &n), *tb = safetensors_list(sb, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(ta[i].name, tb[i].name);
        float *x = read_values(sa, &ta[i]), *y = read_values(sb, &tb[i]);
        if (memcmp(x, y, ta[i].count * sizeof *x) != 0)
            fail_msg("%s: %s and %s differ", ta[i].name, a, b);
        free(x);
        free(y);
    }
    safetensors_close(sa);
    safetensors_close(sb);
}

/* They are there, and they are not what they began with. */
static void assert_remembers(const struct runs *f, const char *early, const char *late, const char *const names[4])
{
    struct safetensors *sa = checkpoint(f, early), *sb = checkpoint(f, late);
    for (size_t i = 0; i < 4 && names[i]; i++) {
        const struct safetensor *ta = safetensors_find(sa, names[i]), *tb = safetensors_find(sb, names[i]);
        if (!ta || !tb)
            fail_msg("the checkpoint has no %s", names[i]);
        float *x = read_values(sa, ta), *y = read_values(sb, tb);
        if (memcmp(x, y, ta->count * sizeof *x) == 0)
            fail_msg("%s never changes", names[i]);
        free(x);
        free(y);
    }
    safetensors_close(sa);
    safetensors_close(sb);
}

static void an_interrupted_run_ends_with_the_same_bits(void **state)
{
    struct runs *f = *state;
    for (size_t i = 0; i < COUNT(objectives); i++) {
        char more[800], whole[40], parts[40], early[40], picks[300];
        const char *name = objectives[i].name;
        const char *crops = objectives[i].crops;
        const bool measured = i > 0 && !crops; /* the same convolutions in all of them, but for crops */
        snprintf(whole, sizeof whole, "%zu-whole", i);
        snprintf(parts, sizeof parts, "%zu-parts", i);
        snprintf(early, sizeof early, "%zu-early", i);
        snprintf(picks, sizeof picks, ",\"picks\":\"%s/%zu-whole/picks.json\"", f->dir, measured ? 0 : i);
        snprintf(more, sizeof more,
                 ",\"steps\":10,\"evaluate_every\":100,\"checkpoint_every\":2,\"method\":{\"type\":\"%s\",\"%s\":%s},"
                 "\"optimizer\":{\"type\":\"adamw\",\"learning_rate\":0.002}%s%s%s",
                 name, name, objectives[i].own, crops ? ",\"crops\":" : "", crops ? crops : "", measured ? picks : "");
        f->stop_after = 0;
        struct run_told t = runs_run(f, whole, more, false, false);
        assert_ok(t.ok, t.e);
        assert_int_equal(t.out.step, 10);
        if (!measured)
            snprintf(more + strlen(more), sizeof more - strlen(more), "%s", picks);
        f->stop_after = 1;
        t = runs_run(f, early, more, false, false);
        assert_ok(t.ok, t.e);
        const uint64_t stops[] = {5, 0};
        for (size_t k = 0; k < COUNT(stops); k++) {
            f->stop_after = stops[k];
            t = runs_run(f, parts, more, true, false);
            assert_ok(t.ok, t.e);
        }
        assert_int_equal(t.out.step, 10);
        runs_assert_same(f, whole, parts, true);
        assert_same_checkpoints(f, whole, parts);
        assert_remembers(f, early, whole, objectives[i].remembers);
    }
}

int main(void)
{
    json_init();
    log_set_level(LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_run_ends_with_the_same_bits),
    };
    return T_RUN_EACH(tests, runs_set_up, runs_tear_down);
}
