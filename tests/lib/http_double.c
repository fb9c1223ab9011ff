/* http_double.c - the service that answers in tests of the HTTP server. */
#include "tests/lib/http_double.h"

#include <pthread.h>

#include "api/requests/answer.h"
#include "base/log.h"
#include "server/http/address.h"
#include "tests/t.h"

static const struct double_route {
    struct route route;
    size_t body_max;
} routes[] = {
    {{.method = METHOD_GET, .pattern = "/fast", .role = ROLE_NONE}, 0},
    {{.method = METHOD_GET, .pattern = "/slow", .role = ROLE_NONE}, 0},
    {{.method = METHOD_POST, .pattern = "/echo", .role = ROLE_NONE}, 700000},
    {{.method = METHOD_POST, .pattern = "/write", .role = ROLE_WRITE}, 1 << 30},
    {{.method = METHOD_GET, .pattern = "/none", .role = ROLE_NONE}, 0},
    {{.method = METHOD_GET, .pattern = "/rated", .role = ROLE_READ}, 0},
    {{.method = METHOD_GET, .pattern = "/stream", .role = ROLE_NONE}, 0},
    {{.method = METHOD_GET, .pattern = "/flood", .role = ROLE_NONE}, 0},
};

atomic_int double_executed;

static bool find(const void *context, enum listener l, enum method m, const char *path, struct route_match *out,
                 struct err *e)
{
    UNUSED(context);
    UNUSED(l);
    bool known = false;
    for (size_t i = 0; i < COUNT(routes); i++) {
        if (strcmp(routes[i].route.pattern, path) != 0)
            continue;
        known = true;
        if (routes[i].route.method != (m == METHOD_HEAD ? METHOD_GET : m))
            continue;
        *out = (struct route_match){.route = &routes[i].route, .body_max = routes[i].body_max};
        return true;
    }
    *out = (struct route_match){.allow = "GET, HEAD"};
    return err_set(e, known ? ERR_BAD_METHOD : ERR_NOT_FOUND, "not here");
}

static void add_much(struct buf *b)
{
    buf_reserve(b, DOUBLE_LARGE);
    memset(b->data + b->len, 'x', DOUBLE_LARGE);
    b->len += DOUBLE_LARGE;
}

static void answer(struct task *task)
{
    const struct request *r = &task->request;
    struct response *a = &task->call.response;
    atomic_fetch_add(&double_executed, 1);
    a->status = 200;
    a->content_type = "text/plain";
    if (!strcmp(r->path, "/stream") || !strcmp(r->path, "/flood")) {
        task->call.state = CALL_GOES_ON;
        buf_text(&a->body, "begins\n");
    } else if (!strcmp(r->path, "/none")) {
        answer_empty(a, 204);
    } else if (!strcmp(r->path, "/echo")) {
        buf_add(&a->body, r->body ? r->body : "", r->body_len);
    } else {
        buf_print(&a->body, "%s", r->path);
        for (size_t i = 0; i < r->n_query; i++)
            buf_print(&a->body, " %s=%s", r->query[i].name, r->query[i].value);
        if (r->n_query && !strcmp(r->path, "/slow"))
            add_much(&a->body);
    }
    task->done(task);
}

/* What is slow waits here until somebody lets it go. */
static struct {
    pthread_mutex_t mu;
    struct task *tasks[64];
    size_t n;
} shelf = {.mu = PTHREAD_MUTEX_INITIALIZER};

static void submit(void *context, struct task *task)
{
    UNUSED(context);
    if (strcmp(task->request.path, "/slow") != 0) {
        answer(task);
        return;
    }
    pthread_mutex_lock(&shelf.mu);
    shelf.tasks[shelf.n++] = task;
    pthread_mutex_unlock(&shelf.mu);
}

static size_t shelved(void)
{
    pthread_mutex_lock(&shelf.mu);
    size_t n = shelf.n;
    pthread_mutex_unlock(&shelf.mu);
    return n;
}

void *shelf_let_go(void *unused)
{
    UNUSED(unused);
    usleep(200 * 1000);
    pthread_mutex_lock(&shelf.mu);
    while (shelf.n)
        answer(shelf.tasks[--shelf.n]);
    pthread_mutex_unlock(&shelf.mu);
    return NULL;
}

bool shelf_wait(size_t n)
{
    return t_wait(50, shelved() == n);
}

/* ---- answers that go on ---- */

enum { FLOOD = 64 << 10 };
atomic_int double_pieces;
static struct {
    pthread_mutex_t mu;
    struct task *tasks[64];
    size_t n;
} waiting = {.mu = PTHREAD_MUTEX_INITIALIZER};

static void go_on(void *context, struct task *task)
{
    UNUSED(context);
    if (strcmp(task->request.path, "/flood") == 0) {
        struct buf *body = &task->call.response.body;
        atomic_fetch_add(&double_pieces, 1);
        buf_reserve(body, FLOOD);
        memset(body->data, 'x', FLOOD);
        body->len = FLOOD;
        task->done(task);
        return;
    }
    pthread_mutex_lock(&waiting.mu);
    waiting.tasks[waiting.n++] = task;
    pthread_mutex_unlock(&waiting.mu);
}

static size_t streams_waiting(void)
{
    pthread_mutex_lock(&waiting.mu);
    size_t n = waiting.n;
    pthread_mutex_unlock(&waiting.mu);
    return n;
}

bool stream_wait(size_t n)
{
    return t_wait(50, streams_waiting() == n);
}

void stream_give(const char *text, enum stream_end end)
{
    struct task *tasks[COUNT(waiting.tasks)];
    pthread_mutex_lock(&waiting.mu);
    size_t n = waiting.n;
    memcpy(tasks, waiting.tasks, n * sizeof(struct task *));
    waiting.n = 0;
    pthread_mutex_unlock(&waiting.mu);
    for (size_t i = 0; i < n; i++) {
        buf_text(&tasks[i]->call.response.body, text);
        if (end != STREAM_MORE)
            tasks[i]->call.state = CALL_DONE;
        tasks[i]->call.response.cut = end == STREAM_CUT;
        tasks[i]->done(tasks[i]);
    }
}

static unsigned no_version(void *context)
{
    UNUSED(context);
    return 0;
}

static bool no_keys(void *context, struct key_row **out, size_t *n, struct err *e)
{
    UNUSED(context);
    UNUSED(e);
    *out = NULL;
    *n = 0;
    return true;
}

/* ---- one server ---- */

void fixture_open(struct fixture *f, const char *const *settings, const char *key, const char *cert,
                  const char *cert_key)
{
    struct err e = {0};
    int sockets[2];
    *f = (struct fixture){0};
    log_set_level(LOG_WARN);
    atomic_store(&double_executed, 0);
    atomic_store(&double_pieces, 0);
    conf_init(&f->conf);
    for (size_t i = 0; settings && settings[i]; i += 2)
        assert_ok(conf_set(&f->conf, settings[i], settings[i + 1], &e), e);
    for (size_t i = 0; i < 2; i++) {
        struct address a = {.host = "127.0.0.1"};
        bool loopback;
        sockets[i] = address_listen(&a, 100, &loopback, &e);
        assert_true(sockets[i] >= 0);
        if (i == LISTENER_PUBLIC)
            f->port = a.port;
    }
    f->auth = auth_new(&(struct auth_source){NULL, no_version, no_keys}, key, false, &e);
    f->gate = gate_new(&(struct gate_options){&f->conf, f->auth, {NULL, find}, {true, true}});
    f->http = http_new(&(struct http_options){.conf = &f->conf,
                                              .gate = f->gate,
                                              .service = {NULL, submit, go_on},
                                              .sockets = {sockets[0], sockets[1]},
                                              .tls_cert = cert,
                                              .tls_key = cert_key},
                       &e);
    if (!f->http)
        fail_msg("%s", e.text);
}

void fixture_close(struct fixture *f)
{
    http_free(f->http);
    gate_free(f->gate);
    auth_free(f->auth);
    conf_clear(&f->conf);
}

void assert_header(const struct reply *r, const char *name, const char *want)
{
    char got[256];
    const char *value = reply_header(r, name, got, sizeof got);
    if (want ? !value || strcmp(value, want) != 0 : value != NULL)
        fail_msg("header %s: got %s, expected %s", name, value ? value : "none", want ? want : "none");
}
