/* exif.h - the one thing that we want from EXIF: which way is up.
 *
 * EXIF (CIPA DC-008) is a TIFF structure.  Only the first directory is looked at, every offset is checked,
 * nothing is followed in a loop.  Whatever is damaged or out of range means orientation 1.
 */
#ifndef ANCHORD_ENGINE_PICTURES_EXIF_H
#define ANCHORD_ENGINE_PICTURES_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* `block` is the TIFF structure, with or without the six bytes "Exif\0\0" in front.  Gives 1 to 8. */
uint8_t exif_orientation(const uint8_t *block, size_t len);

#endif
