/* cmd_embed.c - `anchord embed`: pictures to vectors without a server, one JSON line for each, in order. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cores.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/pool.h"
#include "server/commands/command.h"
#include "server/process/app_settings.h"
#include "server/process/shipped_model.h"

struct embed_run { /* the threads share the list: each takes the next picture, and prints when its turn has come */
    struct encoder *encoder;
    const char *model; /* id to print */
    struct image_limits limits;
    char **paths;
    size_t n;
    pthread_mutex_t mu; /* guards what follows, and standard output */
    pthread_cond_t turn;
    size_t taken, printed, failed;
};

struct embed_thread {
    struct work work;
    struct embed_run *run;
};

struct embedded {
    float *vector; /* [dimensions], owned */
    struct image_info info;
    struct err err;
};

static void embed(const struct embed_run *c, struct lane *lane, const char *path, struct embedded *out)
{
    void *bytes = NULL;
    size_t len;
    out->err = (struct err){0};
    if (!lane)
        err_set(&out->err, ERR_INTERNAL, "no memory for the network");
    else if (file_read(path, c->limits.bytes, &bytes, &len, &out->err) &&
             !lane_embed(lane, bytes, len, &c->limits, out->vector, &out->info, &out->err))
        err_wrap(&out->err, "%s", path);
    free(bytes);
}

static void print_line(const struct embed_run *c, const char *path, const struct embedded *r)
{
    struct buf line = {0};
    struct json_writer w = jw_to(&line);
    jw_object(&w, NULL);
    jw_text(&w, "file", path);
    if (r->err.code) {
        jw_object(&w, "error");
        jw_text(&w, "message", r->err.text);
        jw_text(&w, "code", err_name(r->err.code));
        jw_end(&w);
    } else {
        jw_text(&w, "model", c->model);
        jw_int(&w, "width", r->info.width);
        jw_int(&w, "height", r->info.height);
        jw_array(&w, "embedding");
        for (uint32_t i = 0; i < encoder_dimensions(c->encoder); i++)
            jw_float(&w, NULL, r->vector[i]);
        jw_end(&w);
    }
    jw_end(&w);
    puts(line.data);
    buf_clear(&line);
}

static void run_thread(struct work *w, void *lane)
{
    struct embed_run *c = ((struct embed_thread *)w)->run;
    struct embedded r = {.vector = mem_new(encoder_dimensions(c->encoder), sizeof(float))};
    pthread_mutex_lock(&c->mu);
    while (c->taken < c->n) {
        size_t i = c->taken++;
        pthread_mutex_unlock(&c->mu);
        embed(c, lane, c->paths[i], &r);
        pthread_mutex_lock(&c->mu);
        while (c->printed != i)
            pthread_cond_wait(&c->turn, &c->mu);
        print_line(c, c->paths[i], &r);
        c->printed++;
        c->failed += r.err.code != ERR_NONE;
        pthread_cond_broadcast(&c->turn);
    }
    pthread_mutex_unlock(&c->mu);
    free(r.vector);
}

static void *open_lane(void *encoder)
{
    return lane_new(encoder, 1, NULL);
}

static void close_lane(void *lane)
{
    lane_free(lane);
}

static bool embed_all(struct embed_run *c, struct err *e)
{
    size_t threads = min_size(cores_usable(), c->n);
    struct embed_thread *all = mem_new(threads, sizeof *all);
    bool ok = true;
    struct pool *pool = pool_new(&(struct pool_options){.name = "embed",
                                                        .threads = threads,
                                                        .capacity = threads,
                                                        .thread_open = open_lane,
                                                        .thread_close = close_lane,
                                                        .context = c->encoder},
                                 e);
    for (size_t i = 0; pool && ok && i < threads; i++) {
        all[i] = (struct embed_thread){{.run = run_thread}, c};
        ok = pool_add(pool, &(struct work *){&all[i].work}, 1, e);
    }
    ok = ok && pool;
    pool_free(pool); /* waits */
    free(all);
    return ok;
}

/* "models/flowers.safetensors" -> "flowers", the id that a server would give it */
static void model_id(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    snprintf(out, size, "%.*s", (int)(dot && dot != name ? dot - name : (ptrdiff_t)strlen(name)), name);
}

static struct encoder *open_encoder(const struct conf *conf, const char *path, struct err *e)
{
    const struct encoder_options o = encoder_settings(conf);
    double worst;
    struct model *m = model_load(path, NULL, e);
    if (!m && e->code == ERR_NOT_FOUND)
        err_wrap(e, "no model: name one with --model FILE, or make one with `anchord model new FILE`");
    struct encoder *enc = m ? encoder_new(m, &o, e) : NULL;
    if (enc && m->n_goldens > 0 && !encoder_check(enc, m, &worst, e)) {
        encoder_release(enc);
        enc = NULL;
    }
    model_free(m);
    return enc;
}

/* What a server of these settings would begin with. */
static void choose_model(const struct conf *conf, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s", conf->model);
    if (path[0])
        return;
    if (access(path_join(path, conf->data, "models/anchord-base.safetensors"), F_OK) != 0 && shipped_model())
        snprintf(path, PATH_MAX, "%s", shipped_model());
}

static int embed_pictures(const struct conf *conf, char **paths, size_t n)
{
    char file[PATH_MAX], id[256];
    struct err e = {0};
    choose_model(conf, file);
    model_id(file, id, sizeof id);
    struct encoder *enc = open_encoder(conf, file, &e);
    if (!enc)
        return command_failed(&e);
    struct embed_run c = {.encoder = enc,
                          .model = id,
                          .limits = image_settings(conf),
                          .paths = paths,
                          .n = n,
                          .mu = PTHREAD_MUTEX_INITIALIZER,
                          .turn = PTHREAD_COND_INITIALIZER};
    bool ok = embed_all(&c, &e);
    encoder_release(enc);
    if (!ok)
        return command_failed(&e);
    if (fflush(stdout) != 0) {
        err_sys(&e, "writing the result");
        return command_failed(&e);
    }
    return c.failed ? EXIT_FAILED : EXIT_DONE;
}

int cmd_embed(int argc, char **argv)
{
    struct conf conf;
    struct err e = {0};
    int code = command_begin("embed", &conf, &argc, argv, NULL, 0);
    if (code == EXIT_DONE && argc == 0) {
        err_set(&e, ERR_BAD_INPUT, "embed needs the name of at least one picture");
        code = command_misused("embed", &e);
    } else if (code == EXIT_DONE) {
        code = embed_pictures(&conf, argv, (size_t)argc);
    }
    conf_clear(&conf);
    return code;
}
