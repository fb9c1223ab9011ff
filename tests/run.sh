#!/usr/bin/env bash
# run.sh PROGRAM... - runs test programs, TEST_JOBS at a time (as many as there are cores without it, 4 at most).
# A program's output is printed whole when it ends.  The last line counts; the exit code is 0 when all passed.
# tests/order.txt says which begin first, and which run alone after all others.
set -u
order=$(dirname "$0")/order.txt
cores=$(nproc)
jobs=${TEST_JOBS:-$((cores < 4 ? cores : 4))}
folder=$(mktemp -d "${TMPDIR:-/tmp}/anchord-run-XXXXXX")
declare -A running=() began=() # by process id: the program; the millisecond it began at
passed=0; failed=; times=

now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
begin=$(now)

leave() { # what still runs ends, and all that it started: timeout has a process group and hands signals on
    for pid in "${!running[@]}"; do kill "$pid" 2>/dev/null; done
    wait
    rm -rf "$folder"
}
trap leave EXIT
trap 'exit 130' INT TERM

start() { # PROGRAM
    env --default-signal=INT,QUIT OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive \
        timeout -k 5 1800 "$1" >"$folder/${1//\//-}" 2>&1 &
    running[$!]=$1
    began[$!]=$(now)
}

finish_one() { # waits for any, and tells what it said
    local pid status took program
    wait -n -p pid "${!running[@]}"
    status=$?
    program=${running[$pid]}
    took=$(($(now) - began[$pid]))
    unset "running[$pid]"
    times+="$took ${program#build/}"$'\n'
    echo "== ${program#build/}: $((took / 1000)).$((took / 100 % 10)) s, done after $((($(now) - begin) / 1000)) s"
    cat "$folder/${program//\//-}"
    if [ $status = 0 ]; then
        passed=$((passed + 1))
    else
        failed+=" $program"
        echo "== exit code $status"
    fi
}

run() { # JOBS PROGRAM...
    local most=$1
    shift
    for program in "$@"; do
        [ ${#running[@]} -lt "$most" ] || finish_one
        start "$program"
    done
    while [ ${#running[@]} -gt 0 ]; do finish_one; done
}

# ---- sorting ----

first=(); alone=(); others=()
declare -A given=()
for program in "$@"; do given[${program##*/tests/}]=$program; done
while read -r word name; do
    case $word in
    ''|\#) continue ;;
    first|alone|process) ;;
    *) echo "$order: what is $word?" >&2; exit 1 ;;
    esac
    [ -e "${order%/*}/$name.c" ] || { echo "$order: there is no $name" >&2; exit 1; }
    [ -n "${given[$name]:-}" ] || continue
    case $word in
    first) first+=("${given[$name]}") ;;
    alone) alone+=("${given[$name]}") ;;
    process) continue ;;
    esac
    unset "given[$name]"
done <"$order"
for program in "$@"; do [ -z "${given[${program##*/tests/}]:-}" ] || others+=("$program"); done

run "$jobs" "${first[@]}" "${others[@]}"
run 1 "${alone[@]}"

[ $# -le 5 ] || printf 'the slowest:\n%s\n' "$(printf %s "$times" | sort -rn | head -5 | awk '{printf "%8.1f s  %s\n", $1 / 1000, $2}')"
[ -z "$failed" ] || echo "failed:$failed"
set -- $failed
echo "$passed passed, $# failed in $((($(now) - begin) / 1000)) s"
[ $# = 0 ] && [ $passed -gt 0 ]
