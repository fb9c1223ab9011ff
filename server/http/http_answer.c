/* http_answer.c - answers from memory and from files. */
#include "server/http/http_answer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/num.h"

enum {
    BLOCK = 64 << 10,       /* that the library asks for at a time; what has no more is given at once */
    UNSENT_MOST = 2 * BLOCK /* that the kernel takes before some of it has left */
};

struct sending {
    struct connection *c;
    struct buf body;
    struct meter meter;
    bool is_file;
    int fd;
    uint64_t len;
    int64_t start; /* clock_ns() */
};

static void free_sending(void *cls)
{
    struct sending *s = cls;
    buf_clear(&s->body);
    if (s->is_file)
        close(s->fd);
    free(s);
}

static struct sending *sending_new(struct connection *c)
{
    struct sending *s = mem_new(1, sizeof *s);
    struct response *r = &c->exchange.task.call.response;
    *s = (struct sending){.c = c, .body = r->body, .is_file = r->is_file, .fd = r->fd, .start = clock_ns()};
    s->len = r->is_file ? r->file_len : r->body.len;
    if (r->body.meter) { /* what it holds goes along; the call will be gone */
        s->meter = *r->body.meter;
        s->body.meter = &s->meter;
        *r->body.meter = (struct meter){0};
    }
    r->body = (struct buf){0};
    r->is_file = false;
    buf_trim(&s->body);
    return s;
}

/* `end` bytes may have been asked for when this is over: at the rate since the beginning, and without long pauses. */
static bool set_deadline(const struct sending *s, uint64_t end)
{
    const struct conf *conf = s->c->front->o.conf;
    int64_t all = deadline_of_transfer(s->start, conf->body_timeout_seconds, end, conf->min_body_rate);
    int64_t pause =
        deadline_of_transfer(clock_ns(), conf->body_timeout_seconds, UNSENT_MOST + BLOCK, conf->min_body_rate);
    return deadline_set(&s->c->deadline, all < pause ? all : pause, LATE_CUT);
}

/* What was given before has been taken by the kernel when the library asks for more. */
static ssize_t give(void *cls, uint64_t position, char *out, size_t room)
{
    struct sending *s = cls;
    struct err e = {0};
    size_t n = min_size(room, (size_t)(s->len - position));
    if (!set_deadline(s, position + n))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!s->is_file) {
        memcpy(out, s->body.data + position, n);
    } else if (!file_read_at(s->fd, position, out, n, &e)) {
        log_error("http", "request_id=%s why=%s", s->c->exchange.id, e.text);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    return (ssize_t)n;
}

/* Else the kernel takes megabytes for a slow reader, and how far it is could not be seen. */
static void bound_socket(const struct connection *c)
{
    int most = UNSENT_MOST;
    (void)setsockopt(c->deadline.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

static ssize_t give_nothing(void *cls, uint64_t position, char *out, size_t room)
{
    UNUSED(cls);
    UNUSED(position);
    UNUSED(out);
    UNUSED(room);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* 304 has no body, but the length of one.  Where that is not known the library can leave it out only together with the
 * connection's end. */
static struct MHD_Response *not_modified(int64_t whole)
{
    struct MHD_Response *r =
        MHD_create_response_from_callback(whole > 0 ? (uint64_t)whole : MHD_SIZE_UNKNOWN, 1, give_nothing, NULL, NULL);
    if (r && whole <= 0)
        MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return r;
}

static struct MHD_Response *in_blocks(struct sending *s)
{
    bound_socket(s->c);
    struct MHD_Response *r = MHD_create_response_from_callback(s->len, BLOCK, give, s, free_sending);
    if (!r)
        free_sending(s);
    return r;
}

static struct MHD_Response *at_once(struct sending *s)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer_with_free_callback_cls((size_t)s->len, s->body.data, free_sending, s);
    if (!r)
        free_sending(s);
    return r;
}

struct MHD_Response *answer_response(struct connection *c, uint64_t *len)
{
    struct sending *s = sending_new(c);
    int64_t whole = c->exchange.task.call.response.whole;
    *len = s->len;
    if (!set_deadline(s, min_size((size_t)s->len, BLOCK))) {
        free_sending(s);
        return NULL;
    }
    if (s->len == 0) {
        free_sending(s);
        return c->exchange.task.call.response.status == 304
                   ? not_modified(whole)
                   : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    return s->is_file || s->len > BLOCK ? in_blocks(s) : at_once(s);
}
