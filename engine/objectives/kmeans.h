/* kmeans.h - spherical k-means: clusters of directions (Dhillon and Modha 2001, "Concept decompositions for large sparse text data"). */
#ifndef ANCHORD_ENGINE_OBJECTIVES_KMEANS_H
#define ANCHORD_ENGINE_OBJECTIVES_KMEANS_H

#include <stddef.h>

/* The rows of x [n, d] and, to begin with, of c [k, d] are unit rows; c becomes the centroids.  Each of labels [n] is
 * the nearest centroid's number, the lowest of equals.  Each iteration assigns, then takes means and makes them unit
 * length; an empty cluster keeps its centroid.  The labels are of the last centroids. */
void kmeans(const float *x, size_t n, size_t d, size_t k, size_t iterations, float *c, float *labels);

#endif
