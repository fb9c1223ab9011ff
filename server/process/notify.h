/* notify.h - tells systemd how we are (sd_notify(3)), when it asks for that. */
#ifndef ANCHORD_SERVER_PROCESS_NOTIFY_H
#define ANCHORD_SERVER_PROCESS_NOTIFY_H

#include <stdbool.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1": a datagram to $NOTIFY_SOCKET.  False when there is nobody to tell. */
bool notify(const char *state);

#endif
