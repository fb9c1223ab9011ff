/* shipped_model.c - looked for beside the program, so that it does not matter from where it is started. */
#include "server/process/shipped_model.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/num.h"

static const char *const places[] = {"../models", "../share/anchord"};
static char found[PATH_MAX];

static void look(void)
{
    char self[PATH_MAX], path[PATH_MAX];
    if (!realpath("/proc/self/exe", self))
        return;
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < COUNT(places); i++) {
        if (access(path_join(path, self, "%s/anchord-base.safetensors", places[i]), R_OK) == 0 && realpath(path, found))
            return;
    }
    found[0] = '\0';
}

const char *shipped_model(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, look);
    return found[0] ? found : NULL;
}
