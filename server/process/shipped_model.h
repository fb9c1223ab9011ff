/* shipped_model.h - the trained model that comes with the program: models/anchord-base.safetensors of the checkout. */
#ifndef ANCHORD_SERVER_PROCESS_SHIPPED_MODEL_H
#define ANCHORD_SERVER_PROCESS_SHIPPED_MODEL_H

/* Its path; borrowed for good.  NULL when none lies where the program would look: DIR/../models (build/anchord of a checkout) or
 * DIR/../share/anchord (an installed one), DIR being the folder of the program's file. */
const char *shipped_model(void);

#endif
