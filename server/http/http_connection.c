/* http_connection.c - what exchanges, streams and refusals ask of a connection. */
#include <stdio.h>

#include "server/http/http_exchange.h"

struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* Counted first: who stops the daemons sees either the count or nobody who gets past the flag. */
bool connection_suspend(struct connection *c)
{
    atomic_fetch_add(&c->front->suspended, 1);
    if (atomic_load(&c->front->stopping)) {
        atomic_fetch_sub(&c->front->suspended, 1);
        return false;
    }
    MHD_suspend_connection(c->mhd);
    return true;
}

void request_id_make(struct front *f, char out[REQUEST_ID_SIZE])
{
    uint64_t n = atomic_fetch_add_explicit(&f->ids, 1, memory_order_relaxed);
    uint64_t mixed = (n + f->id_seed) * 0x9e3779b97f4a7c15u; /* odd: no two n give the same */
    snprintf(out, REQUEST_ID_SIZE, "%016llx", (unsigned long long)(mixed ^ (mixed >> 32)));
}
