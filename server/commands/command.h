/* command.h - the commands of the program: one row each in main.c, one server/cmd_<name>.c each.
 *
 * A command gets what follows its name on the command line and gives the exit code.  It prints its result on
 * standard output, and what went wrong on standard error with what to do next.
 */
#ifndef ANCHORD_SERVER_COMMANDS_COMMAND_H
#define ANCHORD_SERVER_COMMANDS_COMMAND_H

#include "base/conf.h"
#include "base/err.h"
#include "server/commands/flags.h"

/* Codes other than 0 and 1 are sysexits.h's. */
enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_WRONG_USE = 2, EXIT_TRY_AGAIN = 75, EXIT_BAD_CONFIG = 78 };

int cmd_serve(int argc, char **argv);
int cmd_model(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_worker(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_health(int argc, char **argv);
int cmd_demo_pictures(int argc, char **argv);
int cmd_sheet(int argc, char **argv);

/* Replaces control characters, those of Latin-1 in UTF-8 too: names of files, of keys and in models may hold what a
 * terminal would obey.  Gives `text`. */
char *make_printable(char *text);
/* Prints "anchord: TEXT" and gives the exit code that fits: 75 for ERR_BUSY and ERR_RATE_LIMITED, else 1. */
int command_failed(const struct err *e);
/* Prints "anchord: TEXT" and where to find the usage; gives 2. */
int command_misused(const char *command, const struct err *e);

/* Settings first (conf_load; exit code 78 when they are refused), then the command's own flags (2).  Gives 0
 * and leaves the operands in argv, or prints and gives the code.  `c` is to be cleared in either case. */
MUST_CHECK int command_begin(const char *command, struct conf *c, int *argc, char **argv, const struct flag *flags,
                             size_t n);

#endif
