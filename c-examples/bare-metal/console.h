/* Lines for whoever watches the board. */
#ifndef BARE_METAL_CONSOLE_H
#define BARE_METAL_CONSOLE_H

#include <stdint.h>

void console_print(const char *text);

void console_number(int32_t number);

/* Ends the simulation. A product would restart. */
void console_exit(int status) __attribute__((noreturn));

#endif
