/* cmd_serve.c - `anchord serve`: puts the parts together, serves until a signal, takes them apart in order.
 *
 * It stands beside main.c and not among the other commands, because it alone needs server/http.  So server/http and
 * server/commands need not know each other. */
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/jobs/jobs.h"
#include "api/services/app.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "server/commands/command.h"
#include "server/http/address.h"
#include "server/http/certificate.h"
#include "server/http/http.h"
#include "server/process/app_settings.h"
#include "server/process/notify.h"
#include "server/process/secrets.h"
#include "server/process/serve_file.h"

enum { BACKLOG = 1024, LINGER_MS = 100, HURRY_S = 2 };

#define SECOND INT64_C(1000000000)

struct server {
    struct conf conf;
    int argc; /* as the command line was, for SIGHUP */
    char **argv;
    struct app *app;
    struct auth *auth;
    struct gate *gate;
    struct dispatch *dispatch;
    struct http *http;
    struct address addresses[2]; /* [enum listener] */
    bool loopback[2];
    struct secrets secrets;
    char urls[2][320];
    char local_urls[2][320];           /* for clients on this machine */
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

static bool find_route(const void *context, enum listener l, enum method m, const char *path, struct route_match *out,
                       struct err *e)
{
    return route_find(context, l, m, path, out, e);
}

static void submit(void *context, struct task *task)
{
    dispatch_submit(context, task);
}

static void go_on(void *context, struct task *task)
{
    dispatch_go_on(context, task);
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

/* conf_load() takes out of the arguments what it knows; *unknown is the first that is left, or NULL. */
static bool load_settings(const struct server *s, struct conf *out, const char **unknown, struct err *e)
{
    char **argv = mem_new((size_t)s->argc + 1, sizeof *argv);
    int left = s->argc;
    memcpy(argv, s->argv, (size_t)s->argc * sizeof *argv);
    bool ok = conf_load(out, &left, argv, environ, e);
    *unknown = ok && left > 0 ? argv[0] : NULL;
    free(argv);
    return ok;
}

static void warn_of_odd_settings(const struct conf *c)
{
    if (c->body_memory_bytes / 4 < c->max_body_bytes || c->body_memory_bytes / 4 < c->max_json_bytes)
        log_warn("settings",
                 "body_memory_bytes is less than four of the largest bodies: a client gets half of it at most, "
                 "the others get 503");
}

/* Images are closed to others in any case; the catalogue of a folder that was open when it was made is not. */
static void warn_of_open_folder(const char *dir)
{
    struct stat st;
    if (stat(dir, &st) == 0 && (st.st_mode & 077))
        log_warn("settings", "the data folder %s is open to other users (mode %03o): chmod -R go= it", dir,
                 st.st_mode & 0777u);
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
    s->dispatch = dispatch_new(
        &(struct dispatch_options){.app = s->app,
                                   .heavy_threads = c->heavy_threads ? (size_t)c->heavy_threads : cores_usable(),
                                   .light_threads = (size_t)c->light_threads,
                                   .query_threads =
                                       c->query_threads ? (size_t)c->query_threads : (cores_usable() + 1) / 2,
                                   .query_queue = (size_t)c->query_queue,
                                   .heavy_queue = (size_t)c->heavy_queue,
                                   .light_queue = (size_t)c->light_queue,
                                   .queue_timeout_s = c->queue_timeout_seconds},
        e);
    return s->dispatch != NULL;
}

static bool lists_every_page(const struct conf_list *pages)
{
    for (size_t i = 0; i < pages->n; i++)
        if (!strcmp(pages->items[i], "*"))
            return true;
    return false;
}

/* Without a key a page that may call is an administrator: it could make itself a key. */
static bool check_pages(const struct conf *c, bool keys, struct err *e)
{
    if (keys)
        return true;
    if (lists_every_page(&c->cors_origins) || lists_every_page(&c->admin_cors_origins))
        return err_set(e, ERR_BAD_INPUT,
                       "%s: * lets every page of the web in as long as there is no key; name the pages, or make a key "
                       "with `anchord key add --role admin`",
                       lists_every_page(&c->cors_origins) ? "cors_origins" : "admin_cors_origins");
    if (c->cors_origins.n || c->admin_cors_origins.n)
        log_warn("settings", "there is no key: the pages of cors_origins and admin_cors_origins may do all");
    return true;
}

static bool make_gate(struct server *s, struct err *e)
{
    bool exposed = !s->loopback[LISTENER_PUBLIC] || !s->loopback[LISTENER_ADMIN];
    struct auth_source keys = {s->app, keys_version, list_keys};
    s->auth = auth_new(&keys, s->secrets.admin_key, exposed, e);
    if (!s->auth)
        return false;
    if (exposed && !auth_has_keys(s->auth))
        return err_set(
            e, ERR_BAD_INPUT,
            "%s: without any key only loopback addresses are served; make one with `anchord key add --role admin`",
            s->loopback[LISTENER_PUBLIC] ? "admin_listen" : "listen");
    if (!check_pages(&s->conf, auth_has_keys(s->auth), e))
        return false;
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
    bool tls = *s->secrets.cert;
    s->http = http_new(&(struct http_options){.conf = &s->conf,
                                              .gate = s->gate,
                                              .service = {s->dispatch, submit, go_on},
                                              .sockets = {sockets[0], sockets[1]},
                                              .tls_cert = tls ? s->secrets.cert : NULL,
                                              .tls_key = tls ? s->secrets.key : NULL,
                                              .tick = tick,
                                              .tick_context = s},
                       e);
    for (size_t i = 0; i < 2; i++) {
        address_url(&s->addresses[i], tls, s->urls[i], sizeof s->urls[i]);
        address_local_url(&s->addresses[i], tls, s->local_urls[i], sizeof s->local_urls[i]);
    }
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
    char dir[PATH_MAX];
    log_set_level((enum log_level)s->conf.log_level);
    s->watchdog_ns = watchdog ? strtoll(watchdog, NULL, 10) * 1000 : 0;
    warn_of_odd_settings(&s->conf);
    if (!read_addresses(s, e) || !secrets_read(&s->secrets, &s->conf, e))
        return false;
    const struct jobs_options jobs = {.queue = (size_t)s->conf.job_queue,
                                      .memory = (uint64_t)s->conf.job_memory_bytes,
                                      .threads = (size_t)s->conf.job_threads,
                                      .max_minutes = (double)s->conf.job_max_minutes,
                                      .max_p99_us = (unsigned)s->conf.job_max_p99_ms * 1000};
    o.reembed_threads = s->conf.reembed_threads ? (size_t)s->conf.reembed_threads : cores_usable();
    s->app = app_open(&o, e);
    if (!s->app)
        return false;
    s->app->jobs = jobs_open(s->app, path_join(dir, s->conf.data, "jobs"), &jobs, e);
    warn_of_open_folder(s->conf.data);
    return s->app->jobs && make_dispatch(s, e) && open_listeners(s, e);
}

static void stop(struct server *s)
{
    http_free(s->http);
    dispatch_free(s->dispatch);
    gate_free(s->gate);
    auth_free(s->auth);
    if (s->app)
        jobs_close(s->app->jobs);
    app_close(s->app);
    secrets_clear(&s->secrets);
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
static void drain(struct server *s, const sigset_t *every)
{
    int64_t all = s->conf.drain_timeout_seconds * SECOND;
    int64_t last = all / 8 < HURRY_S * SECOND ? all / 8 : HURRY_S * SECOND;
    sigset_t stops = *every, *signals = &stops;
    sigdelset(signals, SIGHUP); /* it stays blocked: there is nothing left to read again */
    log_info("stopping", "in_flight=%zu", http_in_flight(s->http));
    notify("STOPPING=1");
    atomic_store(&s->app->demand.draining, true);
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

/* ---- SIGHUP ---- */

static void write_serve_file(struct server *s)
{
    struct serve_addresses a = {0};
    struct err e = {0};
    snprintf(a.public_url, sizeof a.public_url, "%s", s->local_urls[LISTENER_PUBLIC]);
    snprintf(a.admin_url, sizeof a.admin_url, "%s", s->local_urls[LISTENER_ADMIN]);
    if (*s->secrets.cert)
        certificate_fingerprint(a.certificate);
    if (!serve_file_write(s->conf.data, &a, &e))
        log_warn("serve_file", "why=%s", e.text);
}

/* All that is new, or nothing. */
static bool take_secrets(struct server *s, const struct secrets *fresh, struct err *e)
{
    if (*fresh->admin_key && !key_is_well_formed(fresh->admin_key))
        return err_set(e, ERR_BAD_INPUT, "admin_key: not a key");
    if (!*fresh->admin_key != !*s->secrets.admin_key || !*fresh->cert != !*s->secrets.cert)
        return err_set(e, ERR_BAD_INPUT, "an admin key or TLS comes and goes with a restart only");
    if (*fresh->cert && !certificate_use(fresh->cert, fresh->key, e))
        return false;
    return !*fresh->admin_key || auth_change_admin_key(s->auth, fresh->admin_key, e);
}

/* Certificate, admin key and log level are read again; what is wrong changes nothing. */
static void reload(struct server *s)
{
    struct conf now;
    struct secrets fresh = {0};
    struct err e = {0};
    bool ok = load_settings(s, &now, &(const char *){NULL}, &e) && secrets_read(&fresh, &now, &e) &&
              take_secrets(s, &fresh, &e);
    if (ok) {
        secrets_clear(&s->secrets);
        s->secrets = fresh;
        log_set_level((enum log_level)now.log_level);
        write_serve_file(s);
        log_info("reloaded", "log_level=%s", log_level_names[now.log_level]);
    } else {
        secrets_clear(&fresh);
        log_error("reload", "nothing was changed: %s", e.text);
    }
    conf_clear(&now);
}

static void serve_until_signal(struct server *s, const sigset_t *signals)
{
    int got = 0;
    metric_set(METRIC_start_time_seconds, (double)clock_unix(), NULL, NULL);
    write_serve_file(s);
    printf("listening %s admin %s\n", s->urls[LISTENER_PUBLIC], s->urls[LISTENER_ADMIN]);
    fflush(stdout);
    log_info("serving", "public=%s admin=%s data=%s", s->urls[LISTENER_PUBLIC], s->urls[LISTENER_ADMIN], s->conf.data);
    notify("READY=1");
    while (sigwait(signals, &got) != 0 || got == SIGHUP)
        if (got == SIGHUP)
            reload(s);
    drain(s, signals);
}

static int exit_code_of(enum err_code code)
{
    return code == ERR_BAD_INPUT ? EXIT_BAD_CONFIG : code == ERR_BUSY ? EXIT_TRY_AGAIN : EXIT_FAILED;
}

int cmd_serve(int argc, char **argv)
{
    struct server s = {.argc = argc, .argv = argv};
    const char *unknown = NULL;
    struct err e = {0};
    sigset_t signals;
    int code = EXIT_DONE;

    bool ok = load_settings(&s, &s.conf, &unknown, &e);
    if (unknown) {
        fprintf(stderr, "anchord: serve does not know %s; `anchord help settings` lists what it knows\n", unknown);
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
