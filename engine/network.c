/* network.c - builds and fuses the graph, and lets each operation pack its weights. */
#include "engine/network.h"

#include <stdlib.h>

#include "base/mem.h"

struct site network_site(const struct network *net, size_t i, size_t batch)
{
    const struct node *nodes = net->graph.nodes;
    struct site s = {.node = &nodes[i], .packed = net->packed[i]};

    for (size_t k = 0; k < nodes[i].n_in; k++)
        s.x[k] = node_tensor(&nodes[nodes[i].in[k]], batch, net->dtype);
    s.y = node_tensor(&nodes[i], batch, net->dtype);
    return s;
}

struct network *network_over(const struct graph *raw, const struct weight *weights, enum dtype dtype, enum backend b,
                             struct err *e)
{
    struct network *net = mem_new(1, sizeof *net);

    net->dtype = dtype;
    graph_fuse(raw, GRAPH_SERVES, &net->graph, NULL);
    net->packed = mem_new(net->graph.n, sizeof *net->packed);
    for (size_t i = 0; i < net->graph.n; i++) {
        const struct op *op = net->graph.nodes[i].does.op;
        const struct site s = network_site(net, i, 1);
        if (op->pack && !(net->packed[i] = op->pack(&s, weights, b, e))) {
            network_free(net);
            return NULL;
        }
    }
    return net;
}

struct network *network_new(const struct model *m, enum dtype dtype, enum backend b, struct err *e)
{
    struct graph raw = {0};
    size_t x = arch_build(&m->arch, 1, m->pre.size, &raw);

    graph_then(&raw, &op_unit, (struct op_settings){0}, NULL, x);
    struct network *net = network_over(&raw, m->weights, dtype, b, e);
    graph_clear(&raw);
    return net;
}

void network_free(struct network *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < net->graph.n; i++)
        if (net->packed[i])
            net->graph.nodes[i].does.op->unpack(net->packed[i]);
    free(net->packed);
    graph_clear(&net->graph);
    free(net);
}
