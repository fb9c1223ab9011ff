/* conf.c - a table of settings made from conf.def, and one function that sets any of them from text. */
#include "base/conf.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/num.h"

enum kind { KIND_TEXT, KIND_SECRET, KIND_INT, KIND_REAL, KIND_BOOL, KIND_CHOICE, KIND_LIST };

struct setting {
    enum kind kind;
    const char *name, *standard; /* the default, as text */
    size_t offset;               /* in struct conf */
    double min, max;             /* of numbers; all limits are exact as doubles */
    const char *choices;         /* "a|b|c" */
    const char *help;
};

#define ROW(kind, name, standard, min, max, choices, help)                                                             \
    {kind, #name, standard, offsetof(struct conf, name), (double)(min), (double)(max), choices, help},
static const struct setting settings[] = {
#define SET_TEXT(name, standard, help)            ROW(KIND_TEXT, name, standard, 0, 0, NULL, help)
#define SET_SECRET(name, help)                    ROW(KIND_SECRET, name, "", 0, 0, NULL, help)
#define SET_INT(name, standard, min, max, help)   ROW(KIND_INT, name, #standard, min, max, NULL, help)
#define SET_REAL(name, standard, min, max, help)  ROW(KIND_REAL, name, #standard, min, max, NULL, help)
#define SET_BOOL(name, standard, help)            ROW(KIND_BOOL, name, #standard, 0, 0, NULL, help)
#define SET_CHOICE(name, standard, choices, help) ROW(KIND_CHOICE, name, standard, 0, 0, choices, help)
#define SET_LIST(name, help)                      ROW(KIND_LIST, name, "", 0, 0, NULL, help)
#include "base/conf.def"
};

enum { FILE_MAX = 1 << 20, TEXT_MAX = 4096 };

static void *place(const struct conf *c, const struct setting *s)
{
    return (char *)(uintptr_t)c + s->offset;
}

static const struct setting *find(const char *name)
{
    for (size_t i = 0; i < COUNT(settings); i++)
        if (!strcmp(settings[i].name, name))
            return &settings[i];
    return NULL;
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

static bool set_number(void *at, const struct setting *s, const char *text, struct err *e)
{
    char *end = NULL;
    errno = 0;
    long long whole = s->kind == KIND_INT ? strtoll(text, &end, 10) : 0;
    double value = s->kind == KIND_INT ? (double)whole : strtod(text, &end);
    bool clean = *text != 0 && *text != ' ' && *end == 0 && errno == 0;

    if (!clean || !(value >= s->min && value <= s->max))
        return err_set(e, ERR_BAD_INPUT, "%s: not %s from %.15g to %.15g", s->name,
                       s->kind == KIND_INT ? "a whole number" : "a number", s->min, s->max);
    if (s->kind == KIND_INT)
        *(int64_t *)at = whole;
    else
        *(double *)at = value;
    return true;
}

static bool set_bool(bool *at, const struct setting *s, const char *text, struct err *e)
{
    bool yes = !strcmp(text, "true") || !strcmp(text, "1");
    if (!yes && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return err_set(e, ERR_BAD_INPUT, "%s: neither true nor false", s->name);
    *at = yes;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = choices; len > 0; p++) {
        size_t n = strcspn(p, "|");
        if (n == len && !memcmp(p, text, n))
            return true;
        p += n;
        if (!*p)
            break;
    }
    return false;
}

static bool set_text(char **at, const struct setting *s, const char *text, struct err *e)
{
    if (strlen(text) > TEXT_MAX)
        return err_set(e, ERR_BAD_INPUT, "%s: longer than %d bytes", s->name, TEXT_MAX);
    if (s->kind == KIND_CHOICE && !is_choice(s->choices, text))
        return err_set(e, ERR_BAD_INPUT, "%s: not one of %s", s->name, s->choices);
    free(*at);
    *at = mem_text(text);
    return true;
}

static bool set(struct conf *c, const struct setting *s, const char *text, struct err *e)
{
    void *at = place(c, s);
    switch (s->kind) {
    case KIND_INT:
    case KIND_REAL: return set_number(at, s, text, e);
    case KIND_BOOL: return set_bool(at, s, text, e);
    case KIND_LIST: list_set(at, text); return true;
    default: return set_text(at, s, text, e);
    }
}

bool conf_set(struct conf *c, const char *name, const char *text, struct err *e)
{
    const struct setting *s = find(name);
    return s ? set(c, s, text, e) : err_set(e, ERR_BAD_INPUT, "%s: no such setting", name);
}

void conf_init(struct conf *c)
{
    struct err e = {0};
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < COUNT(settings); i++)
        if (!set(c, &settings[i], settings[i].standard, &e))
            abort(); /* a row of conf.def contradicts itself; its test says which */
}

void conf_clear(struct conf *c)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        void *at = place(c, &settings[i]);
        if (settings[i].kind == KIND_LIST) {
            list_clear(at);
        } else if (settings[i].kind <= KIND_SECRET || settings[i].kind == KIND_CHOICE) {
            free(*(char **)at);
            *(char **)at = NULL;
        }
    }
}

/* Brings a JSON value into the form that set() reads; the wrong type is refused here. */
static bool json_to_text(const struct setting *s, const struct json *v, struct buf *out, struct err *e)
{
    enum json_kind kind = json_kind(v);
    size_t len;

    if (s->kind == KIND_INT    ? kind == JSON_KIND_INT
        : s->kind == KIND_REAL ? kind == JSON_KIND_INT || kind == JSON_KIND_REAL
                               : s->kind == KIND_BOOL && kind == JSON_KIND_BOOL) {
        json_dump(v, out);
        return true;
    }
    if (s->kind == KIND_LIST && kind == JSON_KIND_LIST) {
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
    if (text && strlen(text) == len && s->kind != KIND_INT && s->kind != KIND_REAL && s->kind != KIND_BOOL) {
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
        const struct setting *s = find(key);
        struct buf b = {0};
        ok = s ? json_to_text(s, value, &b, e) && set(c, s, b.data ? b.data : "", e)
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
    const struct setting *s = find(name);
    if (s && s->kind == KIND_SECRET && !*value)
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
static const struct setting *find_flag(const char *arg, const char **value)
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
    const struct setting *s = find(name);
    return s && s->kind != KIND_SECRET ? s : NULL; /* a secret on a command line is seen by everybody */
}

bool conf_read_flags(struct conf *c, int *argc, char **argv, struct err *e)
{
    int kept = 0, i = 0;
    for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value = NULL;
        const struct setting *s = find_flag(argv[i], &value);
        if (!s) {
            argv[kept++] = argv[i];
            continue;
        }
        if (!value && s->kind == KIND_BOOL)
            value = "true";
        else if (!value && i + 1 < *argc)
            value = argv[++i];
        if (!value)
            return err_set(e, ERR_BAD_INPUT, "%s: a value is missing", s->name);
        if (!set(c, s, value, e))
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
    for (size_t i = 0; i < COUNT(settings); i++) {
        const struct setting *s = &settings[i];
        const void *at = place(c, s);
        const struct conf_list *l = at;
        switch (s->kind) {
        case KIND_INT: jw_int(&w, s->name, *(const int64_t *)at); break;
        case KIND_REAL: jw_real(&w, s->name, *(const double *)at); break;
        case KIND_BOOL: jw_bool(&w, s->name, *(const bool *)at); break;
        case KIND_SECRET: jw_text(&w, s->name, ""); break;
        case KIND_LIST:
            jw_array(&w, s->name);
            for (size_t k = 0; k < l->n; k++)
                jw_text(&w, NULL, l->items[k]);
            jw_end(&w);
            break;
        default: jw_text(&w, s->name, *(char *const *)at);
        }
    }
    jw_end(&w);
}

void conf_write_help(struct buf *out)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        const struct setting *s = &settings[i];
        char flag[64];
        snprintf(flag, sizeof flag, "%s%s", s->kind == KIND_SECRET ? "" : "--", s->name);
        for (char *p = flag; s->kind != KIND_SECRET && *p; p++)
            *p = *p == '_' ? '-' : *p;
        buf_print(out, "  %-32s %s", flag, s->help);
        if (s->kind == KIND_INT || s->kind == KIND_REAL)
            buf_print(out, " [%s; %.15g to %.15g]\n", s->standard, s->min, s->max);
        else if (s->kind == KIND_CHOICE)
            buf_print(out, " [%s; %s]\n", s->standard, s->choices);
        else
            buf_print(out, *s->standard ? " [%s]\n" : "\n", s->standard);
    }
}
