/* MQTT 3.1.1 over a stream of link.h, as much of it as the library needs: clean session, one subscription, one message out at a
 * time with QoS 0, 1 or 2, messages in with QoS 0 or 1. Answers go to the device by quecota_on_*(), from mqtt_step() and from
 * the stream's calls, never from inside the functions of the table. */
#ifndef MQTT_H
#define MQTT_H

#include "quecota.h"

/* Whom the answers go to. */
void mqtt_begin(quecota_t *device);

/* Members of quecota_transport_t. */
int32_t mqtt_connect(void *ctx, const quecota_connect_t *to);
void mqtt_disconnect(void *ctx);
int32_t mqtt_subscribe(void *ctx, const char *filter);
int32_t mqtt_publish(void *ctx, const char *topic, const uint8_t *payload, uint32_t length, uint8_t qos, uint16_t id);

/* Keep-alive; from the network's interrupt. */
void mqtt_step(uint32_t now);

#endif
