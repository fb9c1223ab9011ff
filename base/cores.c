/* cores.c - affinity and cgroup v2's cpu.max. */
#include "base/cores.h"

#include <sched.h>
#include <stdio.h>

static size_t cores_of_quota(void)
{
    long long quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re"); /* "max 100000" without a limit: nothing is read */
    int got = f ? fscanf(f, "%lld %lld", &quota, &period) : 0;
    if (f)
        fclose(f);
    return got == 2 && quota > 0 && period > 0 ? (size_t)((quota + period - 1) / period) : 0;
}

size_t cores_usable(void)
{
    cpu_set_t set;
    size_t quota = cores_of_quota();
    size_t n = sched_getaffinity(0, sizeof set, &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
    return quota && quota < n ? quota : n;
}
