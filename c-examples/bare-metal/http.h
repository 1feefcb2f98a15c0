/* The download, over a stream of link.h: the library writes the request and reads the answer (quecota_http_*). */
#ifndef HTTP_H
#define HTTP_H

#include "quecota.h"

/* Whom the answers go to. */
void http_begin(quecota_t *device);

/* Members of quecota_transport_t. */
int32_t http_fetch(void *ctx, const char *url, uint32_t start, uint32_t length);
void http_fetch_cancel(void *ctx);

#endif
