/* train_config_views.c - how views are made: the augmentation, and crops of several sizes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "engine/learning/train_config_parts.h"

enum { FULL_COUNT = 2, SMALL_COUNT = 6, ROWS_MAX = 65536 };
static const double small_least = 0.05, small_most = 0.14; /* parts of the area (Caron et al. 2020) */

enum { AUGMENTATION_FIELDS = 13 };

static void augmentation_fields(struct augmentation *a, struct field *out)
{
    const struct field fields[AUGMENTATION_FIELDS] = {
        {"crop_min", FIELD_REAL, &a->crop_min, 0.001, 1, NULL},
        {"crop_max", FIELD_REAL, &a->crop_max, 0.001, 1, NULL},
        {"flip", FIELD_REAL, &a->flip, 0, 1, NULL},
        {"jitter", FIELD_REAL, &a->jitter, 0, 1, NULL},
        {"brightness", FIELD_REAL, &a->brightness, 0, 1, NULL},
        {"contrast", FIELD_REAL, &a->contrast, 0, 1, NULL},
        {"saturation", FIELD_REAL, &a->saturation, 0, 1, NULL},
        {"hue", FIELD_REAL, &a->hue, 0, 0.5, NULL},
        {"gray", FIELD_REAL, &a->gray, 0, 1, NULL},
        {"blur", FIELD_REAL, &a->blur, 0, 1, NULL},
        {"sigma_min", FIELD_REAL, &a->sigma_min, 0.01, 20, NULL},
        {"sigma_max", FIELD_REAL, &a->sigma_max, 0.01, 20, NULL},
        {"solarize", FIELD_REAL, &a->solarize, 0, 1, NULL},
    };
    memcpy(out, fields, sizeof fields);
}

bool config_augmentation(struct train_config *c, const struct json *v, struct err *e)
{
    bool object = json_kind(v) == JSON_KIND_OBJECT;
    const char *name = json_as_text(object ? json_member(v, "recipe") : v, NULL);
    const struct recipe *r = recipe_find(name ? name : object ? "simclr" : "");
    if (!r)
        return err_field(e, "augmentation", "must name a recipe, such as simclr, moco, byol, cifar or finetune");
    snprintf(c->recipe, sizeof c->recipe, "%s", r->name);
    for (size_t i = 0; i < 2; i++) {
        struct augmentation *a = &c->augment[i];
        struct field fields[AUGMENTATION_FIELDS + 1] = {{"recipe", FIELD_OTHER, NULL, 0, 0, NULL}};
        *a = r->view[i];
        augmentation_fields(a, fields + 1);
        if (object && !config_fields(v, "augmentation", fields, COUNT(fields), e))
            return false;
        if (!augmentation_check(a, e))
            return false;
    }
    return true;
}

/* As the augmentation says; small ones show what is smaller than the least that a full one shows. */
static struct crop_group group_defaults(const struct train_config *c, size_t group)
{
    struct crop_group g = {.count = group ? SMALL_COUNT : FULL_COUNT};
    memcpy(g.augment, c->augment, sizeof g.augment);
    for (size_t i = 0; group && i < 2; i++) {
        g.augment[i].crop_min = small_least;
        g.augment[i].crop_max = fmax(small_most, c->crops.groups[0].augment[i].crop_min);
    }
    return g;
}

static bool read_group(struct train_config *c, const struct json *v, size_t group, struct err *e)
{
    struct crop_group *g = &c->crops.groups[group];
    uint64_t count, size = 0;
    char where[64];
    snprintf(where, sizeof where, "crops[%zu]", group);
    *g = group_defaults(c, group);
    count = g->count;
    for (size_t i = 0; i < 2; i++) {
        struct err why = {0};
        struct field fields[AUGMENTATION_FIELDS + 2] = {
            {"count", FIELD_COUNT, &count, group ? 1 : FULL_COUNT, CROPS_MAX, NULL},
            {"size", FIELD_COUNT, &size, CROP_SIDE_MIN, CROP_SIDE_MAX, NULL},
        };
        augmentation_fields(&g->augment[i], fields + 2);
        if (!config_fields(v, where, fields, COUNT(fields), e))
            return false;
        if (!augmentation_check(&g->augment[i], &why))
            return config_refuse(&why, where, e);
    }
    g->count = count;
    g->size = (uint32_t)size;
    return true;
}

bool config_crops(struct train_config *c, const struct json *list, struct err *e)
{
    size_t n = json_count(list);
    if (json_kind(list) != JSON_KIND_LIST || n < 1 || n > CROP_GROUPS_MAX)
        return err_field(e, "crops", "must be an array of 1 to %d groups, the full crops first", CROP_GROUPS_MAX);
    c->crops.n = n;
    for (size_t i = 0; i < n; i++)
        if (!read_group(c, json_item(list, i), i, e))
            return false;
    c->views = crops_count(&c->crops);
    return true;
}

bool config_check_crops(struct train_config *c, struct err *e)
{
    if (!c->crops.n) {
        c->crops = (struct crops){.groups = {{.count = c->views}}, .n = 1};
        memcpy(c->crops.groups[0].augment, c->augment, sizeof c->augment);
        return true;
    }
    if (c->views > CROPS_MAX)
        return err_field(e, "crops", "are %zu of each picture, and at most %d are possible", c->views, CROPS_MAX);
    if (c->views * c->batch > ROWS_MAX)
        return err_field(e, "crops", "make %zu rows of a batch, and at most %d are possible", c->views * c->batch,
                         ROWS_MAX);
    if (c->views > 2 && !c->objective->multicrop)
        return err_field(e, "crops",
                         "are %zu, and %s learns from two views of a picture: swav, deepclusterv2 and dino take more",
                         c->views, c->objective->name);
    return !c->chunk || err_field(e, "chunk", "cannot be given beside `crops`");
}
