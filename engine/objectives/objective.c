/* objective.c - the table of objectives. */
#include "engine/objectives/objective.h"

#include <string.h>

#include "base/num.h"

static const struct objective *const table[] = {
    &objective_infonce, &objective_triplet, &objective_proxy,         &objective_moco,
    &objective_mocov2,  &objective_byol,    &objective_simsiam,       &objective_barlow,
    &objective_vicreg,  &objective_swav,    &objective_deepclusterv2, &objective_dino,
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
