#!/bin/sh
# Starts anchord in a container.  Before it serves for the first time without any key, it makes one and prints it
# once, for a container listens beyond loopback, where nothing is served without a key.
set -eu
if [ "${1:-serve}" = serve ] && [ -z "${ANCHORD_ADMIN_KEY:-}${ANCHORD_ADMIN_KEY_FILE:-}" ] &&
    [ -z "$(anchord key list 2>/dev/null)" ]; then
    echo "anchord: this is the first start; here is the key with the role admin, shown this once:"
    anchord key add --role admin --name first-start 2>/dev/null
fi
exec anchord "$@"
