/* worker_memory.c - looks at the memory of the process. */
#include "server/commands/worker_memory.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"

enum { LOOK_NS = 20 * 1000 * 1000 };

static struct {
    uint64_t most;
    void (*over)(uint64_t used, uint64_t most);
} bound; /* set before the thread begins */

uint64_t memory_of_process(void)
{
    unsigned long resident = 0, of_files = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    bool read = f && fscanf(f, "%*u %lu %lu", &resident, &of_files) == 2;
    if (f)
        fclose(f);
    return read ? (uint64_t)(resident - of_files) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void *watch(void *unused)
{
    uint64_t used;
    while ((used = memory_of_process()) <= bound.most)
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    bound.over(used, bound.most);
    return unused;
}

bool memory_bound(uint64_t most, void (*over)(uint64_t used, uint64_t most), struct err *e)
{
    pthread_t thread;
    bound.most = most;
    bound.over = over;
    return thread_start(&thread, "memory", watch, NULL, e) && pthread_detach(thread) == 0;
}
