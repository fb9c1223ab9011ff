/* cmd_import.c - `anchord import DIR`: into the data folder when it is free, else through the server that has it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"
#include "server/commands/command.h"
#include "server/commands/import.h"
#include "server/process/serve_file.h"

enum { KEY_FILE_MAX = 4096 };

struct options {
    const char *collection, *url, *key_file, *ca_file;
    bool json;  /* the result as a JSON line */
    bool quiet; /* what is skipped is not named */
};

/* The key that --key-file names, else that of ANCHORD_KEY, else the server's own settings; *out is NULL without any, else
 * the caller's. */
static bool read_key(const struct options *o, const struct conf *c, char **out, struct err *e)
{
    const char *path = o->key_file ? o->key_file : c->admin_key_file;
    void *text = NULL;
    size_t len;
    const char *given = getenv("ANCHORD_KEY");
    if (!given || !given[0])
        given = c->admin_key;
    if (!o->key_file && given[0]) {
        *out = mem_text(given);
        return true;
    }
    *out = NULL;
    if (!path[0])
        return true;
    if (!file_read(path, KEY_FILE_MAX, &text, &len, e))
        return false;
    *out = text;
    (*out)[strcspn(*out, " \r\n")] = 0;
    return true;
}

static struct import_target *open_target(const struct options *o, const struct conf *c, const char *key, struct err *e)
{
    struct serve_addresses there;
    struct err why = {0};
    if (o->url)
        return import_target_server(o->url, key, &(struct tls_trust){.ca_file = o->ca_file}, e);
    struct import_target *t = import_target_folder(c, &why);
    if (t || why.code != ERR_BUSY || !serve_file_read(c->data, &there, NULL)) {
        if (!t)
            err_move(e, &why);
        return t;
    }
    fprintf(stderr, "the data folder is being served: importing through %s\n", there.public_url);
    return import_target_server(there.public_url, key, &(struct tls_trust){there.certificate, NULL}, e);
}

static void print_json(const struct import_counts *n, double seconds)
{
    struct buf line = {0};
    struct json_writer w = jw_to(&line);
    jw_object(&w, NULL);
    jw_int(&w, "added", (int64_t)n->added);
    jw_int(&w, "replaced", (int64_t)n->replaced);
    jw_int(&w, "labelled", (int64_t)n->labelled);
    jw_int(&w, "unchanged", (int64_t)n->unchanged);
    jw_int(&w, "refused", (int64_t)n->refused);
    jw_int(&w, "passed_over", (int64_t)n->skipped);
    jw_object(&w, "skipped");
    for (const struct import_kind_count *k = n->kinds; k->kind; k++)
        jw_int(&w, k->kind, (int64_t)k->n);
    jw_end(&w);
    jw_int(&w, "recognised", (int64_t)n->recognised);
    jw_real(&w, "seconds", seconds);
    jw_end(&w);
    puts(line.data);
    buf_clear(&line);
}

/* "12 added, ..., 3 skipped (2 HEIC, 1 GIF); 0.7 s, 277.8/s" */
static void print_counts(const struct import_counts *n, double seconds)
{
    size_t sent = n->added + n->replaced + n->labelled;
    double rate = seconds > 0 ? (double)(sent + n->unchanged) / seconds : 0;
    printf("%zu added, %zu replaced, %zu labelled, %zu unchanged, %zu refused, %zu skipped", n->added, n->replaced,
           n->labelled, n->unchanged, n->refused, n->skipped);
    for (const struct import_kind_count *k = n->kinds; k->kind; k++)
        printf("%s%zu %s", k == n->kinds ? " (" : ", ", k->n, k->kind);
    printf("%s; %.1f s, %.1f/s\n", n->skipped ? ")" : "", seconds, rate);
    if (n->recognised)
        printf("%zu were imported by version 0.1.0: they keep their ids and have their paths now\n", n->recognised);
}

static int import_folder(const struct options *o, const struct conf *c, const char *dir)
{
    struct import_list list = {0};
    struct import_counts counts = {0};
    struct import_target *t = NULL;
    struct err e = {0};
    char *key = NULL;
    double start = clock_s();
    const struct import_options what = {.collection = o->collection ? o->collection : "default",
                                        .dir = dir,
                                        .max_bytes = (size_t)c->max_body_bytes,
                                        .quiet = o->quiet};

    bool ok = import_list_make(dir, &list, &e) && read_key(o, c, &key, &e) && (t = open_target(o, c, key, &e)) &&
              import_run(t, &what, &list, &counts, &e);
    import_target_free(t); /* finishes what is queued, before the result is told */
    if (t && o->json)
        print_json(&counts, clock_s() - start);
    else if (t)
        print_counts(&counts, clock_s() - start);
    import_list_clear(&list);
    free(key);
    if (!ok)
        return command_failed(&e);
    return counts.refused ? EXIT_FAILED : EXIT_DONE;
}

int cmd_import(int argc, char **argv)
{
    struct options o = {0};
    const struct flag flags[] = {
        {.name = "collection", .text = &o.collection},
        {.name = "url", .text = &o.url},
        {.name = "key-file", .text = &o.key_file},
        {.name = "ca-file", .text = &o.ca_file},
        {.name = "json", .on = &o.json},
        {.name = "quiet", .on = &o.quiet},
    };
    struct conf c;
    struct err e = {0};
    int code = command_begin("import", &c, &argc, argv, flags, COUNT(flags));
    if (code == EXIT_DONE && argc != 1) {
        err_set(&e, ERR_BAD_INPUT, "import takes one folder");
        code = command_misused("import", &e);
    } else if (code == EXIT_DONE) {
        code = import_folder(&o, &c, argv[0]);
    }
    conf_clear(&c);
    return code;
}
