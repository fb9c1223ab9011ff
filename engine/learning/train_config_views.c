/* train_config_views.c - how views are made: the augmentation, and crops of several sizes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "engine/learning/train_config_parts.h"

enum { FULL_COUNT = 2, SMALL_COUNT = 6, ROWS_MAX = 65536 };
static const double small_least = 0.05, small_most = 0.14; /* parts of the area (Caron et al. 2020) */

static const struct setting view_table[] = {
    {"crop_min", SETTING_REAL, AT(struct augmentation, crop_min), .lo = 0.001, .hi = 1},
    {"crop_max", SETTING_REAL, AT(struct augmentation, crop_max), .lo = 0.001, .hi = 1},
    {"flip", SETTING_REAL, AT(struct augmentation, flip), .lo = 0, .hi = 1},
    {"jitter", SETTING_REAL, AT(struct augmentation, jitter), .lo = 0, .hi = 1},
    {"brightness", SETTING_REAL, AT(struct augmentation, brightness), .lo = 0, .hi = 1},
    {"contrast", SETTING_REAL, AT(struct augmentation, contrast), .lo = 0, .hi = 1},
    {"saturation", SETTING_REAL, AT(struct augmentation, saturation), .lo = 0, .hi = 1},
    {"hue", SETTING_REAL, AT(struct augmentation, hue), .lo = 0, .hi = 0.5},
    {"gray", SETTING_REAL, AT(struct augmentation, gray), .lo = 0, .hi = 1},
    {"blur", SETTING_REAL, AT(struct augmentation, blur), .lo = 0, .hi = 1},
    {"sigma_min", SETTING_REAL, AT(struct augmentation, sigma_min), .lo = 0.01, .hi = 20},
    {"sigma_max", SETTING_REAL, AT(struct augmentation, sigma_max), .lo = 0.01, .hi = 20},
    {"solarize", SETTING_REAL, AT(struct augmentation, solarize), .lo = 0, .hi = 1},
};

bool config_augmentation(struct train_config *c, const struct json *v, struct err *e)
{
    bool object = json_kind(v) == JSON_KIND_OBJECT;
    const char *name = json_as_text(object ? json_member(v, "recipe") : v, NULL);
    const struct recipe *r = recipe_find(name ? name : object ? "simclr" : "");
    if (!r)
        return err_field(e, "augmentation", "must name a recipe, such as simclr, moco, byol, cifar or finetune");
    snprintf(c->recipe, sizeof c->recipe, "%s", r->name);
    memcpy(c->augment, r->view, sizeof c->augment);
    static const struct setting name_table[] = {{.name = "recipe"}};
    const struct settings_of parts[] = {{name_table, 1, NULL},
                                        {view_table, COUNT(view_table), &c->augment[0]},
                                        {view_table, COUNT(view_table), &c->augment[1]}};
    return (!object || settings_read(v, "augmentation", parts, COUNT(parts), e)) &&
           augmentation_check(&c->augment[0], e) && augmentation_check(&c->augment[1], e);
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
    char where[SETTING_PATH];
    snprintf(where, sizeof where, "crops[%zu]", group);
    *g = group_defaults(c, group);
    const struct setting own[] = {
        {"count", SETTING_INT, AT(struct crop_group, count), .lo = group ? 1 : FULL_COUNT, .hi = CROPS_MAX},
        {"size", SETTING_INT, AT(struct crop_group, size), .lo = CROP_SIDE_MIN, .hi = CROP_SIDE_MAX},
    };
    const struct settings_of parts[] = {{own, COUNT(own), g},
                                        {view_table, COUNT(view_table), &g->augment[0]},
                                        {view_table, COUNT(view_table), &g->augment[1]}};
    struct err why = {0};
    if (!settings_read(v, where, parts, COUNT(parts), e))
        return false;
    return (augmentation_check(&g->augment[0], &why) && augmentation_check(&g->augment[1], &why)) ||
           config_refuse(&why, where, e);
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
