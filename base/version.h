/* version.h - the program's version, as --version, GET / and the metrics tell it. */
#ifndef ANCHORD_BASE_VERSION_H
#define ANCHORD_BASE_VERSION_H

#define ANCHORD_VERSION "0.1.0"

#endif
