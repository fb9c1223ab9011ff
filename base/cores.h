/* cores.h - how many processor cores this process may really use. */
#ifndef ANCHORD_BASE_CORES_H
#define ANCHORD_BASE_CORES_H

#include <stddef.h>

/* The smaller of the affinity mask and the control group's quota; at least 1.  A container sees all cores of its host,
 * and may use two of them. */
size_t cores_usable(void);

#endif
