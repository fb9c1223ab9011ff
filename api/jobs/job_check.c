/* job_check.c - looks at the collections, the model and the plan of a job to be. */
#include "api/jobs/job_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jobs/job_settings.h"
#include "api/services/models.h"

static bool find_collection(struct store *s, const char *name, const char *field, struct collection_row *row,
                            struct err *e)
{
    struct err why = {0};
    return !name[0] || store_collection(s, name, row, &why) || err_field(e, field, "%.200s", why.text);
}

/* Nobody is judged by what it learned from: of the pictures to judge by, two at least must not be trained on. */
static bool check_validation(struct store *s, const struct job *j, struct err *e)
{
    int64_t own;
    if (!j->validation[0])
        return true;
    if (strcmp(j->validation, j->collection) == 0)
        return err_field(e, "validation_file",
                         "is the collection that is trained on: name another, or none, and a part is held out");
    if (!store_count_unshared(s, j->validation, j->collection, 2, &own, e))
        return false;
    return own >= 2 ||
           err_field(e, "validation_file", "has %s that %.64s does not have too: too few are left to judge by",
                     own ? "one picture only" : "no picture", j->collection);
}

bool job_check_collections(struct store *s, const struct job *j, struct err *e)
{
    struct collection_row row, other;
    if (!find_collection(s, j->collection, "training_file", &row, e) ||
        !find_collection(s, j->validation, "validation_file", &other, e))
        return false;
    if (!j->collection[0])
        return err_field(e, "training_file", "is needed: the collection to train on");
    if (row.images == 0)
        return err_field(e, "training_file", "the collection %.128s has no images", row.name);
    return check_validation(s, j, e);
}

bool job_check_model(struct store *s, struct job *j, struct err *e)
{
    struct collection_row collection;
    struct model_row row;
    if (!j->model[0] && !store_collection(s, j->collection, &collection, e))
        return false;
    if (!j->model[0])
        memcpy(j->model, collection.model, sizeof j->model);
    if (!store_model(s, j->model, &row, NULL))
        return err_field(e, "model", "no model %.128s", j->model);
    model_row_clear(&row);
    return true;
}

bool job_check_plan(struct store *s, const struct job *j, struct err *e)
{
    struct train_ground g = {.validation = j->validation[0] != 0};
    struct model_row model;
    size_t *each, labels;
    char where[96] = "training_file";
    if (!store_label_counts(s, j->collection, &each, &labels, e))
        return false;
    train_ground_count(&g, each, labels);
    free(each);
    if (!store_model(s, j->model, &model, e))
        return false;
    g.trained = model.trained;
    g.small = model_is_small(&model);
    model_row_clear(&model);
    if (job_plan(j, &g, NULL, NULL, e))
        return true;
    if (e->param[0])
        snprintf(where, sizeof where, "method.%s.hyperparameters.", j->objective->name);
    return err_prefix(e, where);
}
