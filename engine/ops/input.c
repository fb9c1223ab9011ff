/* input.c - the pixels.  Whoever runs the network fills them in. */
#include "base/num.h"
#include "engine/ops/op.h"

static bool run(struct site *s)
{
    UNUSED(s);
    return true;
}

const struct op op_input = {.name = "input", .forward = run, .backward = run};
