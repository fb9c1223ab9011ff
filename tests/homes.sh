#!/usr/bin/env bash
# homes.sh - the documents' tables of library homes say what tests/layers.sh enforces: each file of a home stands in each table, and a
# table names no other.  A table begins with a line of "| library |" and ends with an empty line; its files stand in `backquotes`.
set -u
cd "$(dirname "$0")/.."
bad=0
mapfile -t homes < <(sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' tests/layers.sh | sed -n "s/^home '[^']*' *//p" | tr -s ' ' '\n' | sort -u)
[ ${#homes[@]} -gt 10 ] || { echo "homes.sh finds no homes in tests/layers.sh"; exit 1; }

matches() { # FILE PATTERN...
    local file=$1 pattern
    shift
    for pattern in "$@"; do [[ $file == $pattern ]] && return 0; done
    return 1
}

for table in THIRD_PARTY.md ARCHITECTURE.md; do
    mapfile -t named < <(sed -n '/^| library |/,/^$/p' "$table" | grep -oE '`[a-z_*]+/[^` ]*`' | tr -d '`' | grep -v '^tests/')
    for file in "${homes[@]}"; do
        matches "$file" "${named[@]}" || { echo "$table does not name $file as a library's home"; bad=1; }
    done
    for pattern in "${named[@]}"; do
        found=
        for file in "${homes[@]}"; do matches "$file" "$pattern" && found=1; done
        [ -n "$found" ] || { echo "$table names $pattern, which is no library's home"; bad=1; }
    done
done
[ $bad = 0 ] && echo "homes: the tables agree"
exit $bad
