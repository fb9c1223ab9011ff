/* backend.h - which library computes, and in which precision. */
#ifndef ANCHORD_ENGINE_KERNELS_BACKEND_H
#define ANCHORD_ENGINE_KERNELS_BACKEND_H

#include "base/err.h"

enum precision { PRECISION_AUTO, PRECISION_FP32, PRECISION_BF16 }; /* auto: bf16 where it is faster */
enum backend { BACKEND_AUTO, BACKEND_BLAS, BACKEND_DNNL };         /* auto: oneDNN where it was built in */

/* Turns what is asked for into what there is: *backend and *precision are never AUTO afterwards.  ERR_BAD_INPUT when
 * the wanted precision or backend is not to be had here. */
MUST_CHECK bool backend_settle(enum backend *backend, enum precision *precision, struct err *e);

#endif
