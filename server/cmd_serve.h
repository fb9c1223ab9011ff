/* cmd_serve.h - `anchord serve`. */
#ifndef ANCHORD_SERVER_CMD_SERVE_H
#define ANCHORD_SERVER_CMD_SERVE_H

int cmd_serve(int argc, char **argv); /* what follows the command's name; gives the exit code */

#endif
