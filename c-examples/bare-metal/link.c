#include "link.h"

#include "serial.h"

#include <string.h>

#define SLIP_END         0xC0u
#define SLIP_ESCAPE      0xDBu
#define SLIP_ESCAPED_END 0xDCu
#define SLIP_ESCAPED     0xDDu

#define HEAD    3 /* kind, stream, number */
#define CRC     2
#define STREAMS 2 /* open at a time */

static stream_t *streams[STREAMS];
static uint8_t last_stream;

static struct {
    uint8_t bytes[HEAD + LINK_DATA + CRC];
    uint32_t length; /* of what has come of it */
    int is_escaped, is_too_long;
    int is_whole;   /* its data is being handed over */
    uint32_t taken; /* of the data */
    int last_number;
} frame = { .last_number = -1 };

static uint16_t crc_with(uint16_t crc, uint8_t byte)
{
    int bit;
    crc = (uint16_t)(crc ^ byte << 8);
    for (bit = 0; bit < 8; bit++) crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    return crc;
}

/* ---------------------------------------------------------------------------------------------------------------- sending */

static void send_byte(uint8_t byte)
{
    if (byte == SLIP_END || byte == SLIP_ESCAPE) {
        serial_write(SLIP_ESCAPE);
        byte = byte == SLIP_END ? SLIP_ESCAPED_END : SLIP_ESCAPED;
    }
    serial_write(byte);
}

static void send_frame(char kind, uint8_t stream, uint8_t number, const uint8_t *data, uint32_t length)
{
    const uint8_t head[HEAD] = { (uint8_t)kind, stream, number };
    uint16_t crc = 0;
    uint32_t i;

    serial_write(SLIP_END); /* ends what noise has begun */
    for (i = 0; i < HEAD + length; i++) {
        uint8_t byte = i < HEAD ? head[i] : data[i - HEAD];
        crc = crc_with(crc, byte);
        send_byte(byte);
    }
    send_byte((uint8_t)(crc >> 8));
    send_byte((uint8_t)crc);
    serial_write(SLIP_END);
}

void link_begin(void)
{
    send_frame('R', 0, 0, NULL, 0);
}

void link_open(stream_t *stream, const char *address)
{
    int i;

    link_close(stream);
    last_stream = (uint8_t)(last_stream == 255 ? 1 : last_stream + 1);
    stream->number = last_stream;
    for (i = 0; i < STREAMS; i++)
        if (!streams[i]) {
            streams[i] = stream;
            break;
        }
    send_frame('O', stream->number, 0, (const uint8_t *)address, (uint32_t)strlen(address));
}

void link_send(const stream_t *stream, const void *data, uint32_t length)
{
    const uint8_t *from = data;
    uint32_t part;

    for (; length > 0; from += part, length -= part) {
        part = length < LINK_DATA ? length : LINK_DATA;
        send_frame('D', stream->number, 0, from, part);
    }
}

static void forget(stream_t *stream)
{
    int i;
    for (i = 0; i < STREAMS; i++)
        if (streams[i] == stream) streams[i] = NULL;
    stream->number = 0;
}

void link_close(stream_t *stream)
{
    if (stream->number == 0) return;
    send_frame('C', stream->number, 0, NULL, 0);
    forget(stream);
}

/* -------------------------------------------------------------------------------------------------------------- receiving */

static stream_t *stream_of(uint8_t number)
{
    int i;
    for (i = 0; i < STREAMS; i++)
        if (streams[i] && streams[i]->number == number) return streams[i];
    return NULL; /* closed meanwhile */
}

/* 0: a part of its data was not taken. */
static int hand_over(void)
{
    uint32_t length = frame.length - HEAD - CRC;
    stream_t *stream = stream_of(frame.bytes[1]);

    if (!stream) return 1;
    switch (frame.bytes[0]) {
    case 'O':
        stream->opened();
        return 1;
    case 'D':
        frame.taken += stream->data(frame.bytes + HEAD + frame.taken, length - frame.taken);
        return frame.taken >= length || stream->number != frame.bytes[1];
    case 'C':
        forget(stream);
        stream->closed();
        return 1;
    default:
        return 1;
    }
}

static void begin_frame(void)
{
    frame.length = 0;
    frame.is_escaped = frame.is_too_long = frame.is_whole = 0;
    frame.taken = 0;
}

/* Whether the bytes are a frame that is to be handed over. */
static int is_wanted(void)
{
    uint16_t crc = 0;
    uint32_t i;

    if (frame.length < HEAD + CRC || frame.is_too_long) return 0;
    for (i = 0; i < frame.length; i++) crc = crc_with(crc, frame.bytes[i]);
    if (crc != 0) return 0;
    if (frame.bytes[2] != frame.last_number) return 1;
    send_frame('A', 0, frame.bytes[2], NULL, 0); /* the bridge has missed the first */
    return 0;
}

static void receive(uint8_t byte)
{
    if (byte == SLIP_END) {
        frame.is_whole = is_wanted();
        if (!frame.is_whole) begin_frame();
        return;
    }
    if (byte == SLIP_ESCAPE) {
        frame.is_escaped = 1;
        return;
    }
    if (frame.is_escaped) byte = byte == SLIP_ESCAPED_END ? SLIP_END : SLIP_ESCAPE;
    frame.is_escaped = 0;
    if (frame.length < sizeof frame.bytes)
        frame.bytes[frame.length++] = byte;
    else
        frame.is_too_long = 1;
}

void link_step(void)
{
    int byte;

    for (;;) {
        if (frame.is_whole) {
            if (!hand_over()) return; /* again in the next step */
            frame.last_number = frame.bytes[2];
            send_frame('A', 0, frame.bytes[2], NULL, 0);
            begin_frame();
        }
        byte = serial_read();
        if (byte < 0) return;
        receive((uint8_t)byte);
    }
}
