/* Files and console of the host that runs the simulated board (Arm semihosting). A real board has a flash, a random number
 * generator and a UART for its console in their place. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

/* Opens a file that is there: to read, or to read and write. Negative: it cannot be opened. */
int32_t host_open(const char *path, int is_writable);

/* Bytes of the file. */
uint32_t host_length(int32_t file);

/* All of `length` bytes at `offset`; 0: it failed. */
int host_read(int32_t file, uint32_t offset, void *data, uint32_t length);
int host_write(int32_t file, uint32_t offset, const void *data, uint32_t length);

/* The command line, up to `size` bytes with the NUL; 0: it failed. */
int host_command_line(char *line, uint32_t size);

void host_print(const char *text);

void host_exit(int status) __attribute__((noreturn));

#endif
