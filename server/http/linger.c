/* linger.c - a few sockets, and the thread that reads them empty. */
#include "server/http/linger.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

enum { TICK_MS = 250, READ_STEP = 64 << 10, BYTES_MOST = 64 << 20 };
static const int64_t silence_most = 2 * NS_A_SECOND, time_most = 30 * NS_A_SECOND;

struct lingering {
    int fd;
    int64_t silent_at, over_at; /* clock_ns() */
    size_t dropped;
};

struct lingerer {
    pthread_t thread;
    int wake; /* eventfd */
    pthread_mutex_t mu;
    /* guarded by mu */
    int incoming[LINGER_MOST];
    size_t n_incoming;
    bool closing;
    /* the thread's; the oldest first */
    struct lingering items[LINGER_MOST];
    size_t n;
};

static void forget(struct lingerer *l, size_t i)
{
    close(l->items[i].fd);
    memmove(&l->items[i], &l->items[i + 1], (--l->n - i) * sizeof l->items[0]);
}

/* False: the thread ends. */
static bool take_incoming(struct lingerer *l, int64_t now)
{
    uint64_t times;
    (void)!read(l->wake, &times, sizeof times);
    pthread_mutex_lock(&l->mu);
    bool goes_on = !l->closing;
    for (size_t i = 0; i < l->n_incoming; i++) {
        if (l->n == LINGER_MOST)
            forget(l, 0);
        l->items[l->n++] = (struct lingering){l->incoming[i], now + silence_most, now + time_most, 0};
    }
    l->n_incoming = 0;
    pthread_mutex_unlock(&l->mu);
    return goes_on;
}

/* False: nothing more is to be expected. */
static bool drop(struct lingering *g, int64_t now)
{
    static char bytes[READ_STEP]; /* nobody reads them */
    ssize_t got = read(g->fd, bytes, sizeof bytes);
    if (got <= 0)
        return false;
    g->dropped += (size_t)got;
    g->silent_at = now + silence_most;
    return g->dropped < BYTES_MOST;
}

static void *watch(void *arg)
{
    struct lingerer *l = arg;
    struct pollfd ready[LINGER_MOST + 1];
    while (take_incoming(l, clock_ns())) {
        for (size_t i = 0; i < l->n; i++)
            ready[i] = (struct pollfd){.fd = l->items[i].fd, .events = POLLIN};
        ready[l->n] = (struct pollfd){.fd = l->wake, .events = POLLIN};
        if (poll(ready, l->n + 1, l->n ? TICK_MS : -1) < 0)
            continue;
        int64_t now = clock_ns();
        for (size_t i = l->n; i-- > 0;) {
            struct lingering *g = &l->items[i];
            bool over = now >= g->over_at || now >= g->silent_at;
            if (over || (ready[i].revents && !drop(g, now)))
                forget(l, i);
        }
    }
    while (l->n)
        forget(l, 0);
    return NULL;
}

struct lingerer *lingerer_new(struct err *e)
{
    struct lingerer *l = mem_new(1, sizeof *l);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&l->mu, NULL);
    if (l->wake < 0)
        err_sys(e, "letting refused clients read");
    else if (thread_start(&l->thread, "linger", watch, l, e))
        return l;
    if (l->wake >= 0)
        close(l->wake);
    pthread_mutex_destroy(&l->mu);
    free(l);
    return NULL;
}

static void wake(struct lingerer *l)
{
    (void)!write(l->wake, &(uint64_t){1}, sizeof(uint64_t));
}

void lingerer_free(struct lingerer *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->mu);
    l->closing = true;
    pthread_mutex_unlock(&l->mu);
    wake(l);
    pthread_join(l->thread, NULL);
    pthread_mutex_destroy(&l->mu);
    close(l->wake);
    free(l);
}

void lingerer_take(struct lingerer *l, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), oldest = -1;
    if (copy < 0)
        return;
    shutdown(copy, SHUT_WR);
    pthread_mutex_lock(&l->mu);
    if (l->n_incoming == LINGER_MOST) {
        oldest = l->incoming[0];
        memmove(l->incoming, l->incoming + 1, --l->n_incoming * sizeof l->incoming[0]);
    }
    l->incoming[l->n_incoming++] = copy;
    pthread_mutex_unlock(&l->mu);
    if (oldest >= 0)
        close(oldest);
    wake(l);
}
