/* The rest of a port: clock, random numbers, log. */
#ifndef PORT_SYSTEM_H
#define PORT_SYSTEM_H

#include "quecota.h"

/* Fills `table` with what every device needs; the device adds its own facts and functions. `device_key` must outlive it, and is
 * the `ctx` of the functions given here. */
void system_open(quecota_system_t *table, const char *device_key);

#endif
