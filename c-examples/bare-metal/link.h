/* TCP streams over the serial port, whose other end is bridge.py; a modem with sockets does the same.
 *
 * Each frame is SLIP (RFC 1055) around: kind, stream, number, up to LINK_DATA bytes, CRC-16/XMODEM of all of these (high byte
 * first). A damaged frame is dropped.
 *
 *     to the bridge    R  the board has started: close all streams
 *                      O  open a stream to the address in it, "host:port"
 *                      D  data        C  close        A  the frame of this number was taken
 *     from the bridge  O  opened      D  data         C  closed, or not to be opened
 *
 * The bridge sends one frame and waits for its A; after a second without, it sends the same frame again. Frames to the bridge
 * are not answered: what is lost there, the timers of the library notice.
 *
 * All of it runs in the network's interrupt, or with that masked. */
#ifndef LINK_H
#define LINK_H

#include <stdint.h>

#define LINK_DATA 512

typedef struct {
    void (*opened)(void);
    /* Takes what it can and returns how many bytes; it is called again with the rest. */
    uint32_t (*data)(const uint8_t *data, uint32_t length);
    /* By the peer, or it could not be opened; not after link_close(). */
    void (*closed)(void);
    uint8_t number; /* 0: there is none */
} stream_t;

void link_begin(void);

/* Opens a stream; one that is open is closed first. `address` is "host:port". */
void link_open(stream_t *stream, const char *address);

void link_send(const stream_t *stream, const void *data, uint32_t length);

void link_close(stream_t *stream);

/* Handles what came. */
void link_step(void);

#endif
