/* process.h - the program under test, run as a user runs it: started, asked, stopped, killed, measured.
 *
 *     struct server s;
 *     if (!server_start(&s, &(struct server_options){0}, &e)) ...
 *     struct client c = client_to(s.port);
 *     ...
 *     server_stop(&s);       SIGTERM, and its exit status
 *     server_remove(&s);     the scratch folder
 *
 * The program is $ANCHORD, else $B/anchord.  Ports are picked by the kernel.  Unless told otherwise it serves a small
 * untrained model in fp32, which starts in milliseconds.  The environment variables that settings come from are taken
 * out of its environment, so that a test sees what it set and nothing else.
 */
#ifndef ANCHORD_TESTS_LIB_PROCESS_H
#define ANCHORD_TESTS_LIB_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct server {
    pid_t pid; /* 0: not running */
    uint16_t port, admin;
    char dir[256];  /* data folder */
    char log[300];  /* file with its standard error, beside the data folder */
    double ready_s; /* from exec to the listening line */
    int out;        /* its standard output */
    bool own_dir;
};

struct server_options {
    const char *dir;          /* NULL: a fresh folder */
    const char *model;        /* model file; NULL: the small one; "": leave it to the program */
    const char *const *args;  /* more arguments, NULL at the end */
    const char *const *env;   /* "NAME=value", NULL at the end */
    const char *const *under; /* a command that runs the program, such as strace, NULL at the end */
    double timeout;           /* until it listens, by t_patience(); 0: 60 */
};

/* The path of the program under test. */
const char *program_path(void);

/* Starts and waits for the listening line.  On failure the text names the exit status and the end of the log; the
 * status itself is in *exit_status when that is not NULL. */
MUST_CHECK bool server_start_status(struct server *s, const struct server_options *o, int *exit_status, struct err *e);
MUST_CHECK bool server_start(struct server *s, const struct server_options *o, struct err *e);

/* Any other server: runs the command (NULL at the end) until it prints a line that begins with "listening".  Its folder
 * is for its log only. */
MUST_CHECK bool command_start(struct server *s, const char *const *command, double timeout, struct err *e);

enum { STATUS_STILL_RUNNING = -1000 };
/* Exit code; minus the signal's number when it died of one; STATUS_STILL_RUNNING after t_timeout(timeout). */
int server_wait(struct server *s, double timeout);
void server_signal(struct server *s, int sig);
int server_stop(struct server *s);    /* SIGTERM, wait 60 s; then SIGKILL */
int server_kill(struct server *s);    /* SIGKILL */
void server_remove(struct server *s); /* kills what still runs; removes the scratch folder */

size_t server_rss(const struct server *s);  /* bytes */
size_t server_peak(const struct server *s); /* bytes: the most that was resident */
size_t server_threads(const struct server *s);
size_t server_fds(const struct server *s); /* without the catalogue's: its readers are opened as they are needed */
double server_cpu(const struct server *s); /* seconds used so far */
bool server_alive(struct server *s);       /* the process runs */
/* The end of the log, as much as fits; gives `out`. */
const char *server_log_end(const struct server *s, char *out, size_t size);
/* How often `text` is in the log. */
size_t server_log_count(const struct server *s, const char *text);

/* Runs the program with these arguments (NULL at the end) to its end, at most t_patience(60) s.  Standard output and
 * error go to *out, the caller's to free().  Exit code or minus signal. */
int program_run(const char *const *args, const char *const *env, char **out);

/* A small model file, made once for the life of the test program. */
const char *small_model(void);
/* One of the same shape with other random weights, for model_free(); the small model's own seed gives its weights. */
enum { SMALL_MODEL_SEED = 7 };
struct model;
struct model *small_model_of(uint64_t seed);

#endif
