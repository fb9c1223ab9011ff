/* cmd_key.c - `anchord key add|list|revoke`: the keys of a data folder, without a server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/services/keys.h"
#include "base/num.h"
#include "index/store.h"
#include "server/commands/command.h"
#include "server/process/app_settings.h"

struct options {
    const char *role, *name;
    bool first;           /* only when there is no key yet */
    bool admin_elsewhere; /* the settings have an admin key, so those of the folder need none */
};

static struct store *open_store(const struct conf *c, struct err *e)
{
    struct store *s = store_open(&(struct store_options){.dir = c->data}, e);
    if (!s && e->code == ERR_BUSY)
        err_wrap(e, "a running server changes its keys over HTTP (/v1/keys on its admin address), or stop it first");
    return s;
}

static bool has_no_keys(struct store *s, bool *none, struct err *e)
{
    struct key_row *rows = NULL;
    size_t n = 0;
    bool ok = store_keys(s, &rows, &n, e);
    *none = n == 0;
    free(rows);
    return ok;
}

/* The key alone goes to standard output, so that it can be piped into a file. */
static bool key_add(struct store *s, const struct options *o, const char *operand, struct err *e)
{
    struct write w = {0};
    char text[KEY_TEXT_SIZE];
    enum role role;
    bool none = true;
    UNUSED(operand);
    if (!role_parse(o->role ? o->role : "", &role, e) || (o->first && !has_no_keys(s, &none, e)))
        return false;
    if (!none)
        return true;
    key_add_draft(&w, o->name ? o->name : "", role, o->admin_elsewhere, text);
    bool ok = store_write(s, &w, e);
    if (ok) {
        fprintf(stderr, "key %s with the role %s; it is shown this once:\n", w.key.row.id, role_name(role));
        puts(text);
        fflush(stdout);
    }
    write_clear(&w);
    return ok;
}

static bool key_list(struct store *s, const struct options *o, const char *operand, struct err *e)
{
    struct key_row *rows = NULL;
    size_t n = 0;
    UNUSED(o);
    UNUSED(operand);
    if (!store_keys(s, &rows, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        char when[24] = "?";
        time_t t = (time_t)rows[i].created_at;
        struct tm parts;
        if (gmtime_r(&t, &parts))
            strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
        printf("%s  %-5s  %s  %s\n", rows[i].id, role_name(rows[i].role), when, make_printable(rows[i].name));
    }
    if (n == 0)
        fputs("there are no keys: only loopback addresses are served, and everybody there may do all\n", stderr);
    free(rows);
    return true;
}

static bool key_revoke(struct store *s, const struct options *o, const char *operand, struct err *e)
{
    struct write w = {0};
    key_revoke_draft(&w, operand, o->admin_elsewhere);
    bool ok = store_write(s, &w, e) || err_wrap(e, "revoking %s", operand);
    write_clear(&w);
    return ok;
}

static const struct action {
    const char *name;
    int operands;
    bool (*run)(struct store *s, const struct options *o, const char *operand, struct err *e);
} actions[] = {{"add", 0, key_add}, {"list", 0, key_list}, {"revoke", 1, key_revoke}};

static const struct action *find_action(int argc, char **argv, struct err *e)
{
    for (size_t i = 0; argc > 0 && i < COUNT(actions); i++)
        if (strcmp(argv[0], actions[i].name) == 0 && argc - 1 == actions[i].operands)
            return &actions[i];
    err_set(e, ERR_BAD_INPUT, "key must be followed by add, list or revoke ID");
    return NULL;
}

int cmd_key(int argc, char **argv)
{
    struct options o = {0};
    const struct flag flags[] = {
        {.name = "role", .text = &o.role}, {.name = "name", .text = &o.name}, {.name = "first", .on = &o.first}};
    struct conf c;
    struct err e = {0};
    enum role role;
    int code = command_begin("key", &c, &argc, argv, flags, COUNT(flags));
    const struct action *action = code == EXIT_DONE ? find_action(argc, argv, &e) : NULL;
    if (code == EXIT_DONE && (!action || (action->run == key_add && !role_parse(o.role ? o.role : "", &role, &e)))) {
        code = command_misused("key", &e);
    } else if (code == EXIT_DONE) {
        struct store *s = open_store(&c, &e);
        o.admin_elsewhere = admin_key_is_set(&c);
        code = s && action->run(s, &o, argc > 1 ? argv[1] : NULL, &e) ? EXIT_DONE : command_failed(&e);
        store_close(s);
    }
    conf_clear(&c);
    return code;
}
