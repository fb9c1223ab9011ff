/* cmd_serve.c - `anchord serve`: puts the parts together, serves until a signal, takes them apart in order. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/app.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "server/http/address.h"
#include "api/jobs/jobs.h"
#include "server/app_settings.h"
#include "server/commands/command.h"
#include "server/http/http.h"
#include "server/notify.h"
#include "server/serve_file.h"

enum { KEY_FILE_MAX = 4096, PEM_MAX = 1 << 20, BACKLOG = 1024, LINGER_MS = 100, HURRY_S = 2 };

#define SECOND INT64_C(1000000000)

struct server {
    struct conf conf;
    struct app *app;
    struct auth *auth;
    struct gate *gate;
    struct dispatch *dispatch;
    struct http *http;
    struct address addresses[2]; /* [enum listener] */
    bool loopback[2];
    char *cert, *key;
    char *admin_key;
    char urls[2][320];
    int64_t watchdog_ns, watchdog_due; /* systemd's; 0: it does not watch */
};

/* ---- what the parts ask of each other ---- */

static unsigned keys_version(void *context)
{
    const struct app *app = context;
    return atomic_load(&app->keys_version);
}

static bool list_keys(void *context, struct key_row **out, size_t *n, struct err *e)
{
    const struct app *app = context;
    return store_keys(app->store, out, n, e);
}

static bool find_route(void *context, enum listener l, enum method m, const char *path, struct route_info *out,
                       const char **allow, struct err *e)
{
    return api_route(context, l, m, path, out, allow, e);
}

static void submit(void *context, struct errand *j)
{
    dispatch_submit(context, j);
}

static void go_on(void *context, struct errand *j)
{
    dispatch_go_on(context, j);
}

static void tell_watchdog(void)
{
    notify("WATCHDOG=1");
}

static void tick(void *context)
{
    struct server *s = context;
    dispatch_wake(s->dispatch);
    dispatch_measure(s->dispatch);
    log_flush();
    if (s->watchdog_ns && clock_ns() >= s->watchdog_due) {
        s->watchdog_due = clock_ns() + s->watchdog_ns / 4;
        dispatch_ping(s->dispatch, tell_watchdog);
    }
}

/* ---- from settings to parts ---- */

static enum log_level level_of(const char *name)
{
    return !strcmp(name, "debug")  ? LOG_DEBUG
           : !strcmp(name, "warn") ? LOG_WARN
           : !strcmp(name, "error") ? LOG_ERROR
                                    : LOG_INFO;
}

/* A file's text without the line end; "" for no file.  NULL on failure. */
static char *read_text(const char *setting, const char *path, size_t max, struct err *e)
{
    void *text = NULL;
    size_t len;
    if (!*path)
        return mem_text("");
    if (!file_read(path, max, &text, &len, e)) {
        err_wrap(e, "%s", setting);
        return NULL;
    }
    char *t = text;
    while (len > 0 && strchr("\r\n ", t[len - 1]))
        t[--len] = 0;
    return t;
}

static void warn_of_odd_settings(const struct conf *c)
{
    if (c->body_memory_bytes < c->max_body_bytes || c->body_memory_bytes < c->max_json_bytes)
        log_warn("settings", "body_memory_bytes is below what one body may have: such bodies will get 503");
}

static bool read_secrets(struct server *s, struct err *e)
{
    const struct conf *c = &s->conf;
    if (!*c->tls_cert_file != !*c->tls_key_file)
        return err_set(e, ERR_BAD_INPUT, "%s: the other of tls_cert_file and tls_key_file is missing",
                       *c->tls_cert_file ? "tls_cert_file" : "tls_key_file");
    if (*c->admin_key && *c->admin_key_file)
        return err_set(e, ERR_BAD_INPUT, "admin_key: admin_key_file is set too; one of them is enough");
    s->admin_key = *c->admin_key ? mem_text(c->admin_key)
                                 : read_text("admin_key_file", c->admin_key_file, KEY_FILE_MAX, e);
    s->cert = read_text("tls_cert_file", c->tls_cert_file, PEM_MAX, e);
    s->key = read_text("tls_key_file", c->tls_key_file, PEM_MAX, e);
    return s->admin_key && s->cert && s->key;
}

static bool read_addresses(struct server *s, struct err *e)
{
    if (!address_parse(s->conf.listen, &s->addresses[LISTENER_PUBLIC], e))
        return err_wrap(e, "listen");
    return address_parse(s->conf.admin_listen, &s->addresses[LISTENER_ADMIN], e) || err_wrap(e, "admin_listen");
}

static bool make_dispatch(struct server *s, struct err *e)
{
    const struct conf *c = &s->conf;
    s->dispatch = dispatch_new(&(struct dispatch_options){
                                   .app = s->app,
                                   .heavy_threads = c->heavy_threads ? (size_t)c->heavy_threads : cores_usable(),
                                   .light_threads = (size_t)c->light_threads,
                                   .heavy_queue = (size_t)c->heavy_queue,
                                   .light_queue = (size_t)c->light_queue,
                                   .queue_timeout_s = c->queue_timeout_seconds},
                               e);
    return s->dispatch != NULL;
}

static bool make_gate(struct server *s, struct err *e)
{
    bool exposed = !s->loopback[LISTENER_PUBLIC] || !s->loopback[LISTENER_ADMIN];
    struct auth_source keys = {s->app, keys_version, list_keys};
    s->auth = auth_new(&keys, s->admin_key, exposed, e);
    if (!s->auth)
        return false;
    if (exposed && !auth_has_keys(s->auth))
        return err_set(e, ERR_BAD_INPUT,
                       "%s: without any key only loopback addresses are served; make one with `anchord key add --role admin`",
                       s->loopback[LISTENER_PUBLIC] ? "admin_listen" : "listen");
    s->gate = gate_new(&(struct gate_options){
        .conf = &s->conf,
        .auth = s->auth,
        .route = {s->app, find_route},
        .loopback = {s->loopback[0], s->loopback[1]},
    });
    return true;
}

static bool start_http(struct server *s, const int sockets[2], struct err *e)
{
    bool tls = *s->cert;
    s->http = http_new(&(struct http_options){.conf = &s->conf,
                                              .gate = s->gate,
                                              .service = {s->dispatch, submit, go_on},
                                              .sockets = {sockets[0], sockets[1]},
                                              .tls_cert = tls ? s->cert : NULL,
                                              .tls_key = tls ? s->key : NULL,
                                              .tick = tick,
                                              .tick_context = s},
                       e);
    for (size_t i = 0; i < 2; i++)
        address_url(&s->addresses[i], tls, s->urls[i], sizeof s->urls[i]);
    return s->http != NULL;
}

static bool open_listeners(struct server *s, struct err *e)
{
    int sockets[2] = {-1, -1};
    for (size_t i = 0; i < 2; i++)
        sockets[i] = address_listen(&s->addresses[i], BACKLOG, &s->loopback[i], e);
    if (sockets[0] >= 0 && sockets[1] >= 0 && make_gate(s, e))
        return start_http(s, sockets, e); /* which takes the sockets */
    for (size_t i = 0; i < 2; i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
    return false;
}

static bool start(struct server *s, struct err *e)
{
    struct app_options o = app_settings(&s->conf);
    const char *watchdog = getenv("WATCHDOG_USEC");
    log_set_level(level_of(s->conf.log_level));
    s->watchdog_ns = watchdog ? strtoll(watchdog, NULL, 10) * 1000 : 0;
    warn_of_odd_settings(&s->conf);
    if (!read_addresses(s, e) || !read_secrets(s, e))
        return false;
    const struct jobs_options jobs = {.queue = (size_t)s->conf.job_queue,
                                      .memory = (uint64_t)s->conf.job_memory_bytes,
                                      .threads = (size_t)s->conf.job_threads,
                                      .max_minutes = (double)s->conf.job_max_minutes,
                                      .max_p99_us = (unsigned)s->conf.job_max_p99_ms * 1000};
    o.jobs = &jobs;
    o.reembed_threads = s->conf.reembed_threads ? (size_t)s->conf.reembed_threads : cores_usable();
    s->app = app_open(&o, e);
    return s->app && make_dispatch(s, e) && open_listeners(s, e);
}

static void stop(struct server *s)
{
    http_free(s->http);
    dispatch_free(s->dispatch);
    gate_free(s->gate);
    auth_free(s->auth);
    app_close(s->app);
    free(s->admin_key);
    free(s->cert);
    free(s->key);
    conf_clear(&s->conf);
    log_flush();
}

/* ---- signals and draining ---- */

/* Signals wait in the mask of every thread until the main thread asks for them. */
static void block_signals(sigset_t *set)
{
    struct sigaction hangup;
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup's wish stands */
        sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
}

/* Waits until nothing was in flight for a moment; false when a signal or the time (clock_ns()) comes first. */
static bool wait_until_idle(struct server *s, const sigset_t *signals, int64_t until)
{
    struct timespec pause = {0, 10 * 1000 * 1000};
    int idle_ms = 0;
    while (idle_ms < LINGER_MS) {
        idle_ms = http_in_flight(s->http) ? 0 : idle_ms + 10;
        if (clock_ns() >= until || sigtimedwait(signals, NULL, &pause) > 0)
            return false;
    }
    return true;
}

/* Every request that was accepted is answered: at first by doing it; after a second signal, or when little of the time for
 * it is left, what has not begun or is not complete is answered 503, and who does not read is cut.  A third signal kills. */
static void drain(struct server *s, const sigset_t *signals)
{
    int64_t all = s->conf.drain_timeout_seconds * SECOND;
    int64_t last = all / 8 < HURRY_S * SECOND ? all / 8 : HURRY_S * SECOND;
    log_info("stopping", "in_flight=%zu", http_in_flight(s->http));
    notify("STOPPING=1");
    atomic_store(&s->app->draining, true);
    http_quiesce(s->http);
    if (!wait_until_idle(s, signals, clock_ns() + all - last)) {
        int64_t end = clock_ns() + last;
        sigset_t none;
        log_warn("stopping", "hurried, in_flight=%zu", http_in_flight(s->http));
        dispatch_hurry(s->dispatch);
        http_hurry(s->http, end);
        sigemptyset(&none);
        pthread_sigmask(SIG_UNBLOCK, signals, NULL);
        (void)wait_until_idle(s, &none, end);
    }
    serve_file_remove(s->conf.data);
}

static void raise_file_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

/* glibc raises its threshold for mmap to the largest block that was ever freed, and then keeps dozens of
 * megabytes after a few large bodies.  A fixed one gives them back. */
static void keep_heap_small(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

static void serve_until_signal(struct server *s, const sigset_t *signals)
{
    struct err e = {0};
    int got = 0;
    metric_set(METRIC_start_time_seconds, (double)clock_unix(), NULL, NULL);
    if (!serve_file_write(s->conf.data, s->urls[LISTENER_PUBLIC], s->urls[LISTENER_ADMIN], &e))
        log_warn("serve_file", "why=%s", e.text);
    printf("listening %s admin %s\n", s->urls[LISTENER_PUBLIC], s->urls[LISTENER_ADMIN]);
    fflush(stdout);
    log_info("serving", "public=%s admin=%s data=%s", s->urls[LISTENER_PUBLIC], s->urls[LISTENER_ADMIN], s->conf.data);
    notify("READY=1");
    while (sigwait(signals, &got) != 0)
        ;
    drain(s, signals);
}

static int exit_code_of(enum err_code code)
{
    return code == ERR_BAD_INPUT ? EXIT_BAD_CONFIG : code == ERR_BUSY ? EXIT_TRY_AGAIN : EXIT_FAILED;
}

int cmd_serve(int argc, char **argv)
{
    struct server s = {0};
    struct err e = {0};
    sigset_t signals;
    int code = EXIT_DONE;

    bool ok = conf_load(&s.conf, &argc, argv, environ, &e);
    if (ok && argc > 0) {
        fprintf(stderr, "anchord: serve does not know %s; `anchord help settings` lists what it knows\n", argv[0]);
        conf_clear(&s.conf);
        return EXIT_WRONG_USE;
    }
    block_signals(&signals);
    raise_file_limit();
    keep_heap_small();
    if (ok && start(&s, &e)) {
        serve_until_signal(&s, &signals);
    } else {
        fprintf(stderr, "anchord: %s\n", e.text);
        code = exit_code_of(e.code);
    }
    stop(&s);
    return code;
}
