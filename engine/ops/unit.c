/* unit.c - each row brought to length one: the end of a network that serves.  Objectives normalise for themselves. */
#include "engine/kernels/unit.h"
#include "base/num.h"
#include "engine/ops/op.h"

static bool infer(struct site *s, struct err *e)
{
    size_t c = s->y.c;
    for (size_t i = 0; i < s->y.n; i++)
        if (!unit_vector((const float *)s->x[0].data + i * c, c, (float *)s->y.data + i * c))
            return err_set(e, ERR_UNDECODABLE, "the picture has no direction");
    return true;
}

const struct op op_unit = {.name = "unit", .infer = infer};
