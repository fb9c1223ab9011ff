/* training_fixture.h - what tests of training need: folders of drawn pictures, and a network that is small enough to run. */
#ifndef ANCHORD_TESTS_LIB_TRAINING_FIXTURE_H
#define ANCHORD_TESTS_LIB_TRAINING_FIXTURE_H

#include "engine/data/dataset.h"
#include "engine/model.h"

/* Adds DIR/<kind>/<first + i>.png for `each` pictures of one kind, DIR being there. */
void training_fixture_draw(const char *dir, uint32_t kind, size_t first, size_t each, uint32_t side);
/* The same without a folder for the kind: DIR/<kind>-<i>.png. */
void training_fixture_draw_flat(const char *dir, uint32_t kind, size_t each, uint32_t side);

struct training_fixture { /* a folder opened for training; must not move, since the data set borrows the manifest */
    struct manifest manifest;
    struct dataset *dataset;
};
/* Opens it without a split. */
void training_fixture_open(struct training_fixture *l, const char *dir, uint32_t size);
void training_fixture_close(struct training_fixture *l);

/* ResNet-18 with 8 channels for pictures of 32 x 32, random weights; fails the test when it cannot. */
struct model *training_fixture_model(uint64_t seed);

#endif
