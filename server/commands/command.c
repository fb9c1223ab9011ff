/* command.c - what the commands have in common: settings, flags, telling what went wrong. */
#include "server/commands/command.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

char *make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 32 || *p == 127)
            *p = '?';
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
    return text;
}

static void print_error(const struct err *e)
{
    struct err told = *e;
    err_unfield(&told);
    make_printable(told.text);
    fprintf(stderr, "anchord: %s\n", told.text);
}

int command_failed(const struct err *e)
{
    print_error(e);
    return e->code == ERR_BUSY || e->code == ERR_RATE_LIMITED ? EXIT_TRY_AGAIN : EXIT_FAILED;
}

int command_misused(const char *command, const struct err *e)
{
    print_error(e);
    fprintf(stderr, "Try `anchord %s --help`.\n", command);
    return EXIT_WRONG_USE;
}

int command_begin(const char *command, struct conf *c, int *argc, char **argv, const struct flag *flags, size_t n)
{
    struct err e = {0};
    if (!conf_load(c, argc, argv, environ, &e)) {
        print_error(&e);
        return EXIT_BAD_CONFIG;
    }
    log_set_level(LOG_WARN); /* a command tells its result, not its course */
    return flags_take(argc, argv, flags, n, &e) ? EXIT_DONE : command_misused(command, &e);
}
