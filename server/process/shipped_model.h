/* shipped_model.h - the trained model that comes with the program: models/anchord-base.safetensors of the checkout. */
#ifndef ANCHORD_SERVER_PROCESS_SHIPPED_MODEL_H
#define ANCHORD_SERVER_PROCESS_SHIPPED_MODEL_H

/* Its path; borrowed for good.  NULL when none is found.  The program looks in DIR/../models (build/anchord of a
 * checkout) and in DIR/../share/anchord (an installed one); DIR is the folder of its file. */
const char *shipped_model(void);

#endif
