/* job_process.h - the worker of a job: a process of its own, its lines, its end.
 *
 * posix_spawn() makes it: a plain fork of a process with OpenMP threads can hang.  It speaks through pipes
 * (server/commands/cmd_worker.c has the words).  It lowers its own priority, and dies with the thread that made it.
 */
#ifndef ANCHORD_API_JOBS_JOB_PROCESS_H
#define ANCHORD_API_JOBS_JOB_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct job_process {
    pid_t pid;        /* 0: none */
    int in, out, err; /* our ends; -1: closed */
    struct buf line;  /* of its output, not yet whole */
    struct buf words; /* the end of what it wrote to standard error */
    bool told_busy;
};

/* program: NULL: this one.  memory: bytes; 0: no limit. */
MUST_CHECK bool job_process_start(struct job_process *p, const char *program, const char *folder, uint64_t memory,
                                  struct err *e);
/* Waits at most so long for output, and gives each whole line.  False once it has closed its output. */
bool job_process_read(struct job_process *p, int milliseconds, void (*line)(const char *text, void *context),
                      void *context);
void job_process_set_busy(struct job_process *p, bool busy);
void job_process_signal(struct job_process *p, int number);
/* True when it is gone: *status as waitpid() gives it.  Waits at most so long. */
bool job_process_gone(struct job_process *p, int milliseconds, int *status);
/* Kills what is left and closes everything. */
void job_process_end(struct job_process *p);
/* "exit code 1: its last words", "killed by signal 9: ..."; gives out. */
const char *job_process_epitaph(const struct job_process *p, int status, char *out, size_t size);

#endif
