/* fuzz_reply.c - any bytes as a server's answer to the command line: taken whole or refused, and never waited for.
 *
 * A thread takes each connection, sends the input and closes.  The client asks twice, so that it meets a kept connection too.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/commands/http_client.h"
#include "tests/fuzz/fuzz.h"

static int listener = -1;
static char url[64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char answer[1 << 16];
static size_t answer_len;

static size_t copy_answer(char *out)
{
    pthread_mutex_lock(&lock);
    size_t n = answer_len;
    memcpy(out, answer, n);
    pthread_mutex_unlock(&lock);
    return n;
}

static void *serve(void *arg)
{
    static char copy[sizeof answer];
    char asked[4096];
    (void)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        if (recv(fd, asked, sizeof asked, 0) <= 0)
            continue;
        (void)!send(fd, copy, copy_answer(copy), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        while (recv(fd, asked, sizeof asked, 0) > 0)
            ;
    }
    return NULL;
}

static void begin(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    pthread_t thread;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    FUZZ_CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 16) == 0);
    FUZZ_CHECK(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", ntohs(a.sin_port));
    FUZZ_CHECK(pthread_create(&thread, NULL, serve, NULL) == 0);
    pthread_detach(thread);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_reply r = {0};
    struct err e = {0};
    if (listener < 0)
        begin();
    if (size > sizeof answer)
        return 0;
    pthread_mutex_lock(&lock);
    memcpy(answer, data, size);
    answer_len = size;
    pthread_mutex_unlock(&lock);
    struct http_client *c = http_client_new(url, NULL, NULL, &e);
    FUZZ_CHECK(c);
    for (int i = 0; i < 2; i++) {
        e = (struct err){0};
        if (http_client_ask(c, &(struct http_ask){.method = size % 2 ? "GET" : "HEAD", .target = "/"}, &r, &e))
            FUZZ_CHECK(r.status >= 200 && r.status <= 999 && r.body.len <= size);
        else
            FUZZ_CHECK(e.code == ERR_IO && e.text[0]);
    }
    http_client_free(c);
    buf_clear(&r.body);
    return 0;
}
