#!/bin/sh
# make torture: runs the tests that send bad input and writes down what came back, one table row for each case.
#   torture.sh FILE TEST...
set -u
file=$1
shift
mkdir -p "$(dirname "$file")"
table=$(mktemp)
trap 'rm -f "$table"' EXIT
failed=0
for test in "$@"; do
    RESULTS_TABLE=$table "$test" || failed=1
done
{
    echo '# What bad input gets'
    echo
    echo 'Written by `make torture`: each row is one case that the tests in `tests/http` send to the running program, with'
    echo 'what must come back and what came back.  "close" means that the server ends the connection; "4xx" is any status'
    echo 'from 400 to 499; "a/b" is either.  After each case the program must still answer `/healthz` within a second.'
    cat "$table"
} >"$file"
exit $failed
