/* runs.c - whole training runs on a few drawn pictures. */
#include "tests/lib/runs.h"

#include "tests/t.h"

#include "base/file.h"
#include "base/mem.h"
#include "engine/encoder.h"
#include "tests/lib/training_fixture.h"

int runs_set_up(void **state)
{
    struct runs *f = mem_new(1, sizeof *f);
    char pictures[300];
    struct err e = {0};
    f->dir = t_make_dir();
    snprintf(pictures, sizeof pictures, "%s/pictures", f->dir);
    assert_ok(file_make_dirs(pictures, &e), e);
    for (uint32_t k = 0; k < RUNS_KINDS; k++)
        training_fixture_draw(pictures, k, 0, RUNS_EACH, 40);
    *state = f;
    return 0;
}

int runs_tear_down(void **state)
{
    struct runs *f = *state;
    t_remove_dir(f->dir);
    free(f);
    return 0;
}

static struct train_config config_of(const struct runs *f, const char *run, const char *more)
{
    struct train_config c;
    struct err e = {0};
    char text[1024];
    static const char fresh[] = "\"arch\":{\"stem\":\"small2\",\"width\":8,\"size\":32},";
    int n = snprintf(
        text, sizeof text,
        "{\"data\":\"%s/pictures\",\"out\":\"%s/%s\",%s"
        "\"batch_size\":8,\"augmentation\":\"cifar\",\"held_out\":0.2,\"head\":[{\"outputs\":16}],\"threads\":2%s}",
        f->dir, f->dir, run, strstr(more, "\"model\":") ? "" : fresh, more);
    assert_ok(train_config_parse(&c, text, (size_t)n, &e), e);
    return c;
}

static bool stop(void *context)
{
    const struct runs *f = context;
    return f->stop_after && f->steps >= f->stop_after;
}

static void count(const struct train_progress *p, void *context)
{
    struct runs *f = context;
    if (strcmp(p->doing, "training") == 0)
        f->steps = p->done;
}

struct run_told runs_run(struct runs *f, const char *name, const char *more, bool resume, bool inexact)
{
    struct train_config c = config_of(f, name, more);
    struct manifest m = {0}, validation = {0};
    struct run_told t = {0};
    f->steps = 0;
    t.ok = manifest_read_folder(&m, c.data, &t.e) &&
           (!c.validation || manifest_read_folder(&validation, c.validation, &t.e)) &&
           trainer_run(&(struct trainer_options){.config = &c,
                                                 .manifest = &m,
                                                 .validation = c.validation ? &validation : NULL,
                                                 .limits = image_default_limits,
                                                 .resume = resume,
                                                 .lock_seconds = f->lock_seconds,
                                                 .allow_inexact = inexact,
                                                 .stop = stop,
                                                 .progress = count,
                                                 .context = f},
                       &t.out, &t.e);
    manifest_clear(&m);
    manifest_clear(&validation);
    train_config_clear(&c);
    return t;
}

char *runs_fingerprint(const struct runs *f, const char *run_name, const char *file)
{
    char path[400];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s/%s.safetensors", f->dir, run_name, file);
    struct model *m = model_load(path, NULL, &e);
    assert_ok(m != NULL, e);
    char *text = mem_text(m->fingerprint);
    model_free(m);
    return text;
}

void runs_assert_same(const struct runs *f, const char *a, const char *b, bool same)
{
    char *x = runs_fingerprint(f, a, "last"), *y = runs_fingerprint(f, b, "last");
    if ((strcmp(x, y) == 0) != same)
        fail_msg("%s and %s end with %s weights", a, b, same ? "different" : "the same");
    free(x);
    free(y);
}
