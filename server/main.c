/* main.c - the command line: finds the command and runs it. */
#include <stdio.h>

int main(void)
{
    fputs("usage: anchord COMMAND\n", stderr);
    return 2;
}
