/* flags.c - taking a command's own flags out of its arguments. */
#include "server/commands/flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct flag *find(const char *arg, const struct flag *flags, size_t n, const char **value)
{
    size_t len = strcspn(arg, "=");
    *value = arg[len] ? arg + len + 1 : NULL;
    for (size_t i = 0; i < n; i++)
        if (strlen(flags[i].name) == len && memcmp(flags[i].name, arg, len) == 0)
            return &flags[i];
    return NULL;
}

bool flags_take(int *argc, char **argv, const struct flag *flags, size_t n, struct err *e)
{
    int kept = 0, i = 0;
    for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value;
        if (strncmp(argv[i], "--", 2) != 0) {
            argv[kept++] = argv[i];
            continue;
        }
        const struct flag *f = find(argv[i] + 2, flags, n, &value);
        if (!f)
            return err_set(e, ERR_BAD_INPUT, "%s is not a flag of this command", argv[i]);
        if (f->on && value)
            return err_set(e, ERR_BAD_INPUT, "--%s takes no value", f->name);
        if (f->on) {
            *f->on = true;
            continue;
        }
        if (!value && i + 1 < *argc)
            value = argv[++i];
        if (!value)
            return err_set(e, ERR_BAD_INPUT, "--%s needs a value", f->name);
        *f->text = value;
    }
    for (i += i < *argc; i < *argc; i++) /* past the "--" */
        argv[kept++] = argv[i];
    *argc = kept;
    return true;
}

bool flag_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    char *end;
    if (!text)
        return true;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || v < min || v > max)
        return err_set(e, ERR_BAD_INPUT, "--%s must be a whole number from %llu to %llu", name, (unsigned long long)min,
                       (unsigned long long)max);
    *out = v;
    return true;
}

bool flag_real(const char *name, const char *text, double min, double max, double *out, struct err *e)
{
    char *end;
    if (!text)
        return true;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max))
        return err_set(e, ERR_BAD_INPUT, "--%s must be a number from %g to %g", name, min, max);
    *out = v;
    return true;
}
