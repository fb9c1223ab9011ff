/* conf.c - a table of settings made from conf.def, and one function that sets any of them from text. */
#include "base/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/setting.h"

enum { FILE_MAX = 1 << 20, TEXT_MAX = 4096 };

const char *const conf_precisions[] = {"auto", "fp32", "bf16", NULL};
const char *const conf_backends[] = {"auto", "blas", "dnnl", NULL};

/* A list is SETTING_OTHER, for only settings have them. */
struct row {
    struct setting s;
    const char *standard; /* the default, as text */
    bool secret;
};

#define ROW(name, kind, standard, ...) {{#name, kind, AT(struct conf, name), __VA_ARGS__}, standard, false},
static const struct row rows[] = {
#define SET_TEXT(name, standard, text) ROW(name, SETTING_TEXT, standard, .hi = TEXT_MAX, .help = text)
#define SET_SECRET(name, text)         {{#name, SETTING_TEXT, AT(struct conf, name), .hi = TEXT_MAX, .help = text}, "", true},
#define SET_INT(name, standard, least, most, text)                                                                     \
    ROW(name, SETTING_INT, #standard, .lo = least, .hi = most, .help = text)
#define SET_REAL(name, standard, least, most, text)                                                                    \
    ROW(name, SETTING_REAL, #standard, .lo = least, .hi = most, .help = text)
#define SET_BOOL(name, standard, text)          ROW(name, SETTING_FLAG, #standard, .help = text)
#define SET_CHOICE(name, standard, names, text) ROW(name, SETTING_CHOICE, standard, .choices = names, .help = text)
#define SET_LIST(name, text)                    ROW(name, SETTING_OTHER, "", .help = text)
#include "base/conf.def"
};

static const struct row *find(const char *name)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!strcmp(rows[i].s.name, name))
            return &rows[i];
    return NULL;
}

static struct conf_list *list_of(const struct conf *c, const struct row *r)
{
    return (struct conf_list *)(void *)((char *)(uintptr_t)c + r->s.offset);
}

static void list_clear(struct conf_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct conf_list){0};
}

static void list_set(struct conf_list *l, const char *text)
{
    list_clear(l);
    while (*text) {
        size_t len = strcspn(text, ",");
        size_t skip = strspn(text, " ");
        size_t end = len;
        while (end > skip && text[end - 1] == ' ')
            end--;
        if (skip < end) {
            l->items = mem_grow(l->items, l->n + 1, sizeof *l->items);
            l->items[l->n++] = strndup(text + skip, end - skip);
        }
        text += len + (text[len] == ',');
    }
}

static bool set(struct conf *c, const struct row *r, const char *text, struct err *e)
{
    char values[SETTING_VALUES];
    const struct setting *s = &r->s;
    if (s->kind == SETTING_OTHER)
        list_set(list_of(c, r), text);
    if (setting_parse(s, c, text))
        return true;
    if (s->kind == SETTING_TEXT)
        return err_set(e, ERR_BAD_INPUT, "%s: longer than %d bytes", s->name, TEXT_MAX);
    if (s->kind == SETTING_FLAG)
        return err_set(e, ERR_BAD_INPUT, "%s: neither true nor false", s->name);
    return err_set(e, ERR_BAD_INPUT, "%s: not %s%s", s->name, s->kind == SETTING_CHOICE ? "one of " : "",
                   setting_values(s, 15, "|", values));
}

bool conf_set(struct conf *c, const char *name, const char *text, struct err *e)
{
    const struct row *r = find(name);
    return r ? set(c, r, text, e) : err_set(e, ERR_BAD_INPUT, "%s: no such setting", name);
}

void conf_init(struct conf *c)
{
    struct err e = {0};
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!set(c, &rows[i], rows[i].standard, &e))
            abort(); /* a row of conf.def contradicts itself; its test says which */
}

void conf_clear(struct conf *c)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        char **text = (char **)(void *)((char *)c + rows[i].s.offset);
        if (rows[i].s.kind == SETTING_OTHER)
            list_clear(list_of(c, &rows[i]));
        else if (rows[i].s.kind == SETTING_TEXT) {
            free(*text);
            *text = NULL;
        }
    }
}

/* Brings a JSON value into the form that set() reads; the wrong type is refused here. */
static bool json_to_text(const struct setting *s, const struct json *v, struct buf *out, struct err *e)
{
    enum json_kind kind = json_kind(v);
    size_t len;

    bool number = s->kind == SETTING_INT || s->kind == SETTING_REAL;

    if ((number && kind == JSON_KIND_INT) || (s->kind == SETTING_REAL && kind == JSON_KIND_REAL) ||
        (s->kind == SETTING_FLAG && kind == JSON_KIND_BOOL)) {
        json_dump(v, out);
        return true;
    }
    if (s->kind == SETTING_OTHER && kind == JSON_KIND_LIST) {
        buf_text(out, "");
        for (size_t i = 0; i < json_count(v); i++) {
            const char *item = json_as_text(json_item(v, i), &len);
            if (!item || strchr(item, ',') || strlen(item) != len)
                return err_set(e, ERR_BAD_INPUT, "%s[%zu]: not a text without commas", s->name, i);
            buf_print(out, "%s%s", i ? "," : "", item);
        }
        return true;
    }
    const char *text = json_as_text(v, &len);
    if (text && strlen(text) == len && !number && s->kind != SETTING_FLAG) {
        buf_text(out, text);
        return true;
    }
    return err_set(e, ERR_BAD_INPUT, "%s: a value of the wrong type", s->name);
}

bool conf_read_json(struct conf *c, const char *text, size_t len, struct err *e)
{
    struct json *doc = json_parse(text, len, 0, e);
    const struct json *value;
    const char *key;
    bool ok = doc != NULL;

    if (doc && json_kind(doc) != JSON_KIND_OBJECT)
        ok = err_set(e, ERR_BAD_INPUT, "not a JSON object");
    for (void *it = NULL; ok && (it = json_next(doc, it, &key, &value));) {
        const struct row *r = find(key);
        struct buf b = {0};
        ok = r ? json_to_text(&r->s, value, &b, e) && set(c, r, b.data ? b.data : "", e)
               : err_set(e, ERR_BAD_INPUT, "%s: no such setting", key);
        buf_clear(&b);
    }
    json_free(doc);
    return ok;
}

/* The text behind "<name>_" or at the start; NULL when `name` ends otherwise.  "port" is in "port" and "admin_port". */
static const char *behind_name(const char *name, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = name; (at = strstr(at, word)) != NULL; at++)
        if (at == name || at[-1] == '_')
            return at + len;
    return NULL;
}

static bool is_port_detail(const char *rest) /* "", "_8081_tcp", "_8081_tcp_addr" */
{
    size_t digits = *rest == '_' ? strspn(rest + 1, "0123456789") : 0;
    const char *protocol = rest + 1 + digits;
    return !*rest || !strncmp(rest, "_port", 5) ||
           (digits &&
            (!strncmp(protocol, "_tcp", 4) || !strncmp(protocol, "_udp", 4) || !strncmp(protocol, "_sctp", 5)));
}

/* What Kubernetes and Docker's links make of services called anchord or anchord-<anything>, and what images and
 * scripts commonly call their version, their image and their client's key. */
static bool is_of_surroundings(const char *name)
{
    static const char *const others[] = {"version", "image", "key", "name"};
    const char *host = behind_name(name, "service_host"), *named = behind_name(name, "service_port"),
               *port = behind_name(name, "port");
    for (size_t i = 0; i < COUNT(others); i++)
        if (!strcmp(name, others[i]))
            return true;
    return (host && !*host) || (named && (!*named || *named == '_')) || (port && is_port_detail(port));
}

/* An empty secret is one that somebody meant to give: without it everybody would get in. */
static bool set_from_env(struct conf *c, const char *name, const char *value, struct err *e)
{
    const struct row *r = find(name);
    if (r && r->secret && !*value)
        return err_set(e, ERR_BAD_INPUT, "%s: empty; give a key, or remove the variable", name);
    return conf_set(c, name, value, e);
}

bool conf_read_env(struct conf *c, char *const *environment, struct err *e)
{
    static const char prefix[] = "ANCHORD_";
    for (; *environment; environment++) {
        const char *equals = strchr(*environment, '=');
        char name[64];
        if (strncmp(*environment, prefix, sizeof prefix - 1) != 0 || !equals)
            continue;
        const char *from = *environment + sizeof prefix - 1;
        size_t n = (size_t)(equals - from);
        snprintf(name, sizeof name, "%.*s", to_int(min_size(n, sizeof name - 1)), from);
        for (char *p = name; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 32) : *p == '_' || (*p >= '0' && *p <= '9') ? *p : '?';
        if (!find(name) && (!strcmp(name, "config") || is_of_surroundings(name)))
            continue;
        if (!set_from_env(c, name, equals + 1, e))
            return err_wrap(e, "environment variable ANCHORD_%.*s", to_int(min_size(n, 60)), from);
    }
    return true;
}

/* The setting that `--name` or `--name=value` means; *value is what follows '=' or NULL. */
static const struct row *find_flag(const char *arg, const char **value)
{
    char name[64];
    if (strncmp(arg, "--", 2) != 0)
        return NULL;
    size_t n = strcspn(arg + 2, "=");
    if (n >= sizeof name)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (arg[2 + i] == '_')
            return NULL; /* there is one spelling */
        name[i] = arg[2 + i] == '-' ? '_' : arg[2 + i];
    }
    name[n] = 0;
    *value = arg[2 + n] == '=' ? arg + 3 + n : NULL;
    const struct row *r = find(name);
    return r && !r->secret ? r : NULL; /* a secret on a command line is seen by everybody */
}

bool conf_read_flags(struct conf *c, int *argc, char **argv, struct err *e)
{
    int kept = 0, i = 0;
    for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value = NULL;
        const struct row *r = find_flag(argv[i], &value);
        if (!r) {
            argv[kept++] = argv[i];
            continue;
        }
        if (!value && r->s.kind == SETTING_FLAG)
            value = "true";
        else if (!value && i + 1 < *argc)
            value = argv[++i];
        if (!value)
            return err_set(e, ERR_BAD_INPUT, "%s: a value is missing", r->s.name);
        if (!set(c, r, value, e))
            return false;
    }
    while (i < *argc)
        argv[kept++] = argv[i++];
    *argc = kept;
    return true;
}

/* Takes `--config FILE` out of argv; NULL when it is not there. */
static const char *take_config_flag(int *argc, char **argv)
{
    const char *file = NULL;
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (!strcmp(argv[i], "--config") && i + 1 < *argc)
            file = argv[++i];
        else if (!strncmp(argv[i], "--config=", 9))
            file = argv[i] + 9;
        else
            argv[kept++] = argv[i];
    }
    *argc = kept;
    return file;
}

static const char *find_config_env(char *const *environment)
{
    for (; *environment; environment++)
        if (!strncmp(*environment, "ANCHORD_CONFIG=", 15) && (*environment)[15])
            return *environment + 15;
    return NULL;
}

bool conf_load(struct conf *c, int *argc, char **argv, char *const *environment, struct err *e)
{
    conf_init(c);
    const char *file = take_config_flag(argc, argv);
    if (!file)
        file = find_config_env(environment);
    if (file) {
        void *text = NULL;
        size_t len;
        bool ok = file_read(file, FILE_MAX, &text, &len, e) && conf_read_json(c, text, len, e);
        free(text);
        if (!ok)
            return err_wrap(e, "configuration file %s", file);
    }
    return conf_read_env(c, environment, e) && conf_read_flags(c, argc, argv, e);
}

void conf_write_json(const struct conf *c, struct buf *out)
{
    struct json_writer w = jw_to(out);
    jw_object(&w, NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *r = &rows[i];
        if (r->s.kind == SETTING_OTHER) {
            jw_array(&w, r->s.name);
            for (size_t k = 0; k < list_of(c, r)->n; k++)
                jw_text(&w, NULL, list_of(c, r)->items[k]);
            jw_end(&w);
        } else if (r->secret) {
            jw_text(&w, r->s.name, "");
        } else {
            setting_write(&r->s, c, &w);
        }
    }
    jw_end(&w);
}

void conf_write_help(struct buf *out)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *r = &rows[i];
        const struct setting *s = &r->s;
        char flag[64], values[SETTING_VALUES];
        snprintf(flag, sizeof flag, "%s%s", r->secret ? "" : "--", s->name);
        for (char *p = flag; !r->secret && *p; p++)
            *p = *p == '_' ? '-' : *p;
        buf_print(out, "  %-32s %s", flag, s->help);
        if (s->kind == SETTING_INT || s->kind == SETTING_REAL)
            buf_print(out, " [%s; %.15g to %.15g]\n", r->standard, s->lo, s->hi);
        else if (s->kind == SETTING_CHOICE)
            buf_print(out, " [%s; %s]\n", r->standard, setting_values(s, 0, "|", values));
        else
            buf_print(out, *r->standard ? " [%s]\n" : "\n", r->standard);
    }
}
