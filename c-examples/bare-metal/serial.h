/* The serial port: an interrupt receives, whoever sends waits. */
#ifndef SERIAL_H
#define SERIAL_H

#include <stdint.h>

void serial_begin(void);

/* The next byte that came; -1: none. From one context only. */
int serial_read(void);

void serial_write(uint8_t byte);

#endif
