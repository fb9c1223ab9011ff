/* model_write.c - models to files: ours with its metadata, and plain torchvision weights. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/arch_family.h"
#include "engine/model_parts.h"
#include "engine/safetensors.h"

static struct safetensor_out out_of(const struct weight *w, bool compact)
{
    return (struct safetensor_out){w->name, w->rank, w->shape, w->data, w->count, compact && w->rank > 1};
}

bool model_save(const struct model *m, const char *path, struct err *e)
{
    struct safetensor_out *tensors = mem_new(m->n_weights, sizeof *tensors);
    struct buf metadata = {0};

    for (size_t i = 0; i < m->n_weights; i++)
        tensors[i] = out_of(&m->weights[i], m->compact);
    model_meta_write(m, &metadata);
    bool ok = safetensors_write(path, tensors, m->n_weights, MODEL_METADATA_KEY, metadata.data, e);
    buf_clear(&metadata);
    free(tensors);
    return ok;
}

/* Others know no projection, but a classifier of as many classes computes the same. */
bool model_export(const struct model *m, const char *path, struct err *e)
{
    const char *classifier = arch_family(&m->arch)->classifier;
    struct safetensor_out *tensors = mem_new(m->n_weights + 1, sizeof *tensors);
    float *zeros = mem_new(m->arch.projection, sizeof *zeros);
    struct arena names = {0};
    size_t n = 0;

    for (; n < m->n_weights; n++)
        tensors[n] = out_of(&m->weights[n], false);
    if (m->arch.projection && classifier) {
        tensors[n - 1].name = arena_print(&names, "%s.weight", classifier); /* the projection is the last */
        tensors[n++] = (struct safetensor_out){
            arena_print(&names, "%s.bias", classifier), 1, &m->arch.projection, zeros, m->arch.projection, false};
    }
    bool ok = safetensors_write(path, tensors, n, NULL, NULL, e);
    arena_clear(&names);
    free(zeros);
    free(tensors);
    return ok;
}
