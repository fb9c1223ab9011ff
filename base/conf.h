/* conf.h - the settings: one row each in conf.def, read from a JSON file, then the environment, then flags.
 *
 *     struct conf c;
 *     if (!conf_load(&c, &argc, argv, environ, &e)) ...
 *     printf("%s\n", c.listen);
 *     conf_clear(&c);
 *
 * An unknown setting or an impossible value is refused by name.  Environment variables that Kubernetes makes for
 * services called anchord or anchord-<anything> (ANCHORD_ADMIN_SERVICE_HOST, ANCHORD_PORT_8080_TCP) are left alone, and
 * so are ANCHORD_VERSION, ANCHORD_IMAGE, ANCHORD_KEY and ANCHORD_NAME.
 */
#ifndef ANCHORD_BASE_CONF_H
#define ANCHORD_BASE_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* In the order of enum precision and enum backend (engine/encoder.h); those of log_level are in log.h. */
extern const char *const conf_precisions[], *const conf_backends[];

struct conf_list {
    char **items; /* owned by the conf */
    size_t n;
};

struct conf {
#define SET_TEXT(name, standard, help)           char *name;
#define SET_SECRET(name, help)                   char *name;
#define SET_INT(name, standard, min, max, help)  int64_t name;
#define SET_REAL(name, standard, min, max, help) double name;
#define SET_BOOL(name, standard, help)           bool name;
#define SET_CHOICE(name, standard, names, help)  int name; /* the place among the names */
#define SET_LIST(name, help)                     struct conf_list name;
#include "base/conf.def"
#undef SET_TEXT
#undef SET_SECRET
#undef SET_INT
#undef SET_REAL
#undef SET_BOOL
#undef SET_CHOICE
#undef SET_LIST
};

/* Every setting at its default.  Texts are never NULL. */
void conf_init(struct conf *c);
void conf_clear(struct conf *c);

/* Each gives ERR_BAD_INPUT with the setting's name in the text. */
MUST_CHECK bool conf_set(struct conf *c, const char *name, const char *text, struct err *e);
MUST_CHECK bool conf_read_json(struct conf *c, const char *text, size_t len, struct err *e);
MUST_CHECK bool conf_read_env(struct conf *c, char *const *environment, struct err *e);
/* Takes `--name VALUE` and `--name=VALUE` of known settings out of argv[0..*argc) (a bool may stand alone).  Everything
 * else is left there, in order, and so is what follows `--`. */
MUST_CHECK bool conf_read_flags(struct conf *c, int *argc, char **argv, struct err *e);

/* All of it: defaults, the file named by --config or ANCHORD_CONFIG, environment, flags.  c is to be
 * cleared in either case. */
MUST_CHECK bool conf_load(struct conf *c, int *argc, char **argv, char *const *environment, struct err *e);

/* Appends a JSON object with every setting in the order of conf.def; secrets are left empty. */
void conf_write_json(const struct conf *c, struct buf *out);
/* Appends one line for each setting: flag, default, limits, help. */
void conf_write_help(struct buf *out);

#endif
