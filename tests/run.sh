#!/bin/sh
# Runs test programs one after the other; each prints its own cmocka summary.  The last line counts.
set -u
passed=0; failed=0; names=; begin=$(date +%s)
for t in "$@"; do
    echo "== ${t#build/}, after $(($(date +%s) - begin)) s"
    if OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 timeout 1800 "$t"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)); names="$names $t"
    fi
done
[ -z "$names" ] || echo "failed:$names"
echo "$passed passed, $failed failed in $(($(date +%s) - begin)) s"
[ $failed = 0 ] && [ $passed -gt 0 ]
