#!/bin/sh
# Starts anchord in a container.  Before it serves for the first time without any key, it makes one and prints it
# once, for a container listens beyond loopback, where nothing is served without a key.
set -eu

# What stops the program is said by the program itself; a folder that is not ours is the usual reason.
explain() {
    code=$1
    if ! [ -w "${ANCHORD_DATA:-/data}" ]; then
        echo "anchord: ${ANCHORD_DATA:-/data} must be writable for uid $(id -u): chown -R $(id -u) it on the host, or use a named volume" >&2
    fi
    exit "$code"
}

if [ "${1:-serve}" = serve ] && [ -z "${ANCHORD_ADMIN_KEY:-}${ANCHORD_ADMIN_KEY_FILE:-}" ]; then
    key=$(anchord key add --role admin --name first-start --first) || explain $?
    if [ -n "$key" ]; then
        echo "anchord: this is the first start; here is the key with the role admin, shown this once:"
        echo "$key"
    fi
fi
exec anchord "$@"
