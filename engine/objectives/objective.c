/* objective.c - the table of objectives. */
#include "engine/objectives/objective.h"

#include <string.h>

#include "base/num.h"

static const struct objective *const table[] = {
#define OBJECTIVE(name) &objective_##name,
#include "engine/objectives/objectives.def"
#undef OBJECTIVE
};

const struct objective *const *objective_list(size_t *n)
{
    *n = COUNT(table);
    return table;
}

const struct objective *objective_find(const char *name)
{
    for (size_t i = 0; i < COUNT(table); i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}
