/* worker_memory.h - a bound on the memory of a process that ends in words.
 *
 * A limit of the kernel's does not: it makes allocations fail.  What then happens is up to the caller (OpenBLAS 0.3.21
 * tries again for ever).  So a thread looks at what the process has, fifty times a second, and ends it when that is too
 * much.  Faster growth is the kernel's to end, and the worker has made itself the first to go.
 */
#ifndef ANCHORD_SERVER_COMMANDS_WORKER_MEMORY_H
#define ANCHORD_SERVER_COMMANDS_WORKER_MEMORY_H

#include <stdint.h>

#include "base/err.h"

/* Resident memory that is no file's; bytes, 0 when unknown. */
uint64_t memory_of_process(void);
/* From now on: more than `most` bytes, and over() is called once, on a thread of its own; it ends the process. */
MUST_CHECK bool memory_bound(uint64_t most, void (*over)(uint64_t used, uint64_t most), struct err *e);

#endif
