/* test_syncs.c - the order of system calls, seen by strace: each acknowledged upload was on the disk before its answer.
 *
 * For every 201 there must be, one after the other: fsync of the image's file, its rename, fsync of its folder,
 * fdatasync of the catalogue's log; and only then the first byte of the answer.  Skipped where strace is not to be had.
 */
#include "tests/t.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"
#include "tests/lib/expect.h"

enum { WRITERS = 4, EACH = 25, LINE = 16 * 1024 };

static struct server server;
static char trace[300];

/* ---- the trace: one text for each call, in the order in which they ended ---- */

struct calls {
    char **lines;
    size_t n, room;
};

static void add_call(struct calls *c, const char *line)
{
    if (c->n == c->room) {
        c->room = c->room ? c->room * 2 : 1024;
        c->lines = mem_grow(c->lines, c->room, sizeof *c->lines);
    }
    c->lines[c->n++] = mem_text(line);
}

static void free_calls(struct calls *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->lines[i]);
    free(c->lines);
}

static bool is_send(const char *call)
{
    return strncmp(call, "send", 4) == 0 || strncmp(call, "write", 5) == 0;
}

/* A call that another thread's line cuts in two counts where it ends; an answer counts where it begins. */
static void read_trace(struct calls *c)
{
    static struct {
        int pid;
        char *begun;
    } open_calls[256];
    static char line[LINE];
    FILE *f = fopen(trace, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        int pid = atoi(line);
        char *call = line + strspn(line, "0123456789 ");
        size_t slot = (size_t)pid % COUNT(open_calls);
        bool cut = strstr(call, "<unfinished ...>") != NULL;
        if (cut && !is_send(call)) {
            free(open_calls[slot].begun);
            open_calls[slot].pid = pid;
            open_calls[slot].begun = mem_text(call);
        } else if (strncmp(call, "<... ", 5) == 0) {
            if (open_calls[slot].pid == pid && open_calls[slot].begun)
                add_call(c, open_calls[slot].begun);
            free(open_calls[slot].begun);
            open_calls[slot].begun = NULL;
        } else {
            add_call(c, call);
        }
    }
    fclose(f);
}

/* The first call from `from` on that begins with `name` and contains `part`; n when there is none. */
static size_t find_call(const struct calls *c, size_t from, const char *name, const char *part)
{
    for (size_t i = from; i < c->n; i++)
        if (strncmp(c->lines[i], name, strlen(name)) == 0 && strstr(c->lines[i], part))
            return i;
    return c->n;
}

/* Where the answer that names this hash begins. */
static size_t find_answer(const struct calls *c, const char *sha256)
{
    char part[100];
    snprintf(part, sizeof part, "sha256\\\":\\\"%s", sha256);
    for (size_t i = 0; i < c->n; i++)
        if (is_send(c->lines[i]) && strstr(c->lines[i], part))
            return i;
    return c->n;
}

/* Did all of it happen before the answer, in this order? */
static bool was_synced(const struct calls *c, const char *sha256, size_t answer)
{
    char temp[90], folder[30];
    snprintf(temp, sizeof temp, "%s.tmp", sha256);
    snprintf(folder, sizeof folder, "blobs/%.2s>", sha256);
    size_t file = find_call(c, 0, "fsync(", temp);
    size_t name = find_call(c, file, "rename", temp);
    size_t dir = find_call(c, name, "fsync(", folder);
    size_t log = find_call(c, dir, "fdatasync(", "anchord.db-wal");
    return log < answer;
}

/* ---- the load ---- */

static struct buf pictures[WRITERS * EACH];

static void *upload(void *arg)
{
    size_t first = *(size_t *)arg * EACH;
    struct client c = client_to(server.port);
    struct reply r = {0};
    for (size_t i = first; i < first + EACH; i++) {
        char target[100];
        snprintf(target, sizeof target, "/v1/collections/default/images/s%zu", i);
        client_ask(&c,
                   &(struct ask){.method = "PUT",
                                 .target = target,
                                 .type = "image/jpeg",
                                 .body = pictures[i].data,
                                 .len = pictures[i].len},
                   &r);
    }
    reply_clear(&r);
    client_close(&c);
    return NULL;
}

static bool start_traced(void)
{
    struct err e = {0};
    char dir[] = "/tmp/anchord-trace-XXXXXX";
    const char *const under[] = {
        "strace", "-D", "-f",  "-y", "-s",
        "4096",   "-o", trace, "-e", "trace=fsync,fdatasync,rename,renameat,sendto,sendmsg,write,writev",
        NULL};
    if (!mkdtemp(dir) || system("strace -o /dev/null true 2> /dev/null") != 0)
        return false;
    snprintf(trace, sizeof trace, "%s/trace", dir);
    assert_ok(server_start(&server, &(struct server_options){.under = under}, &e), e);
    return true;
}

static void every_answer_comes_after_the_syncs_of_file_folder_and_log(void **state)
{
    UNUSED(state);
    pthread_t threads[WRITERS];
    size_t numbers[WRITERS], synced = 0, answered = 0;
    struct calls calls = {0};
    if (!start_traced()) {
        print_message("strace is not to be had here\n");
        skip();
    }
    for (size_t i = 0; i < COUNT(pictures); i++)
        draw_jpeg(i * 11 + 4, 40, &pictures[i]);
    for (size_t i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, upload, &numbers[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    server_stop(&server);
    usleep(300000); /* strace writes its last lines */
    read_trace(&calls);
    for (size_t i = 0; i < COUNT(pictures); i++) {
        char hex[HASH_HEX];
        hash_text(pictures[i].data, pictures[i].len, hex);
        size_t answer = find_answer(&calls, hex);
        answered += answer < calls.n;
        synced += answer < calls.n && was_synced(&calls, hex, answer);
        buf_clear(&pictures[i]);
    }
    print_message("%zu calls, %zu answers, %zu of them after fsync(file), rename, fsync(folder), fdatasync(log)\n",
                  calls.n, answered, synced);
    free_calls(&calls);
    *strrchr(trace, '/') = 0;
    t_remove_dir(strdup(trace));
    server_remove(&server);
    assert_int_equal(answered, WRITERS * EACH);
    assert_int_equal(synced, answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_comes_after_the_syncs_of_file_folder_and_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
