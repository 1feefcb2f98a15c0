/* The network of a port: MQTT by libmosquitto, HTTP by libcurl, both in one task. */
#ifndef PORT_TRANSPORT_H
#define PORT_TRANSPORT_H

#include "quecota.h"

typedef struct transport transport_t;

/* `ca_file`: PEM file of trusted certificates; NULL: those of the system. NULL is returned when there is no memory. */
transport_t *transport_open(const char *ca_file);

/* For the platform table; lives until transport_close(). */
const quecota_transport_t *transport_table(transport_t *transport);

/* Does what the library asked for, then waits for the network, `milliseconds` at most, and answers the library. Call it
 * in turn with quecota_poll(), from the same task. */
void transport_step(transport_t *transport, quecota_t *device, uint32_t milliseconds);

void transport_close(transport_t *transport);

#endif
