#include "mqtt.h"

#include "link.h"

#include <string.h>

/* The high half of a packet's first byte, with the flags that it must have. */
enum {
    CONNECT = 0x10,
    CONNACK = 0x20,
    PUBLISH = 0x30,
    PUBACK = 0x40,
    PUBREC = 0x50,
    PUBREL = 0x62,
    PUBCOMP = 0x70,
    SUBSCRIBE = 0x82,
    SUBACK = 0x90,
    PINGREQ = 0xC0,
    PINGRESP = 0xD0,
    DISCONNECT = 0xE0
};
enum { CLEAN_SESSION = 0x02, HAS_PASSWORD = 0x40, HAS_USER_NAME = 0x80 };

#define TOPIC_SIZE   161  /* with its NUL */
#define PACKET_SIZE  2304 /* a frame of the library, its topic, and what is around them */
#define SUBSCRIBE_ID 0xFFFFu
#define REFUSED      0x80u

static quecota_t *device;

static void opened(void);
static uint32_t data(const uint8_t *bytes, uint32_t length);
static void closed(void);
static stream_t stream = { opened, data, closed, 0 };

static struct {
    int is_connected;
    uint32_t keep_alive; /* milliseconds */
    uint32_t last_sent, ping_sent, now;
    int is_ping_open;
    /* The message under way: the library's number of it, and the packet's. */
    uint16_t id, packet_id, last_packet_id;
    int is_sent; /* with QoS 0; the library is not told yet */
    uint8_t out[PACKET_SIZE];
    uint32_t out_length;
    uint8_t in[PACKET_SIZE];
    uint32_t in_length;
} mqtt;

/* --------------------------------------------------------------------------------------------------------- packets that go */

static void put_byte(uint32_t byte)
{
    if (mqtt.out_length < sizeof mqtt.out) mqtt.out[mqtt.out_length] = (uint8_t)byte;
    mqtt.out_length++;
}

static void put_number(uint32_t number)
{
    put_byte(number >> 8);
    put_byte(number & 0xFF);
}

static void put_bytes(const void *bytes, uint32_t length)
{
    const uint8_t *from = bytes;
    while (length-- > 0) put_byte(*from++);
}

static void put_text(const char *text)
{
    put_number((uint32_t)strlen(text));
    put_bytes(text, (uint32_t)strlen(text));
}

/* `length` is that of what follows. */
static void begin_packet(uint32_t first, uint32_t length)
{
    mqtt.out_length = 0;
    put_byte(first);
    do {
        put_byte((length & 0x7F) | (length > 0x7F ? 0x80 : 0));
        length >>= 7;
    } while (length > 0);
}

static uint32_t text_length(const char *text)
{
    return 2 + (uint32_t)strlen(text);
}

/* Whether it has fitted. */
static int is_packet(void)
{
    return mqtt.out_length <= sizeof mqtt.out;
}

static void send_packet(void)
{
    link_send(&stream, mqtt.out, mqtt.out_length);
    mqtt.last_sent = mqtt.now;
}

static void send_answer(uint32_t first, uint32_t packet_id)
{
    begin_packet(first, 2);
    put_number(packet_id);
    send_packet();
}

/* ---------------------------------------------------------------------------------------------------------- the platform table */

void mqtt_begin(quecota_t *to)
{
    device = to;
}

/* The packet waits in `out` until the stream is open. Devices of QuecThing send a password and no user name. */
int32_t mqtt_connect(void *ctx, const quecota_connect_t *to)
{
    static const char scheme[] = "mqtt://", protocol[] = "MQTT";
    uint32_t length = text_length(protocol) + 4 + text_length(to->client_id) + text_length(to->password);

    (void)ctx;
    if (strncmp(to->url, scheme, sizeof scheme - 1) != 0) return -1; /* no TLS here */
    if (to->user_name) length += text_length(to->user_name);
    memset(&mqtt, 0, offsetof(__typeof__(mqtt), out));
    mqtt.in_length = 0;
    begin_packet(CONNECT, length);
    put_text(protocol);
    put_byte(4); /* MQTT 3.1.1 */
    put_byte(CLEAN_SESSION | HAS_PASSWORD | (to->user_name ? HAS_USER_NAME : 0));
    put_number(to->keep_alive);
    put_text(to->client_id);
    if (to->user_name) put_text(to->user_name);
    put_text(to->password);
    if (!is_packet()) return -1;
    mqtt.keep_alive = to->keep_alive * 1000u;
    link_open(&stream, to->url + sizeof scheme - 1);
    return 0;
}

void mqtt_disconnect(void *ctx)
{
    (void)ctx;
    if (mqtt.is_connected) {
        begin_packet(DISCONNECT, 0);
        send_packet();
    }
    mqtt.is_connected = 0;
    link_close(&stream);
}

int32_t mqtt_subscribe(void *ctx, const char *filter)
{
    (void)ctx;
    if (!mqtt.is_connected) return -1;
    begin_packet(SUBSCRIBE, 2 + text_length(filter) + 1);
    put_number(SUBSCRIBE_ID);
    put_text(filter);
    put_byte(1); /* QoS */
    if (!is_packet()) return -1;
    send_packet();
    return 0;
}

int32_t mqtt_publish(void *ctx, const char *topic, const uint8_t *payload, uint32_t length, uint8_t qos, uint16_t id)
{
    (void)ctx;
    if (!mqtt.is_connected) return -1;
    mqtt.last_packet_id = (uint16_t)(mqtt.last_packet_id % (SUBSCRIBE_ID - 1) + 1);
    begin_packet(PUBLISH | (uint32_t)qos << 1, text_length(topic) + (qos > 0 ? 2 : 0) + length);
    put_text(topic);
    if (qos > 0) put_number(mqtt.last_packet_id);
    put_bytes(payload, length);
    if (!is_packet()) return -1;
    mqtt.id = id;
    mqtt.packet_id = qos > 0 ? mqtt.last_packet_id : 0;
    mqtt.is_sent = qos == 0;
    send_packet();
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- packets that come */

static uint32_t number_at(uint32_t offset)
{
    return offset + 2 <= mqtt.in_length ? (uint32_t)mqtt.in[offset] << 8 | mqtt.in[offset + 1] : 0;
}

static void lose_connection(void)
{
    mqtt.is_connected = 0;
    link_close(&stream);
    (void)quecota_on_link(device, QUECOTA_LINK_LOST, 0);
}

/* 0: the library has no room for it now. It is acknowledged once the library has taken it. */
static int on_publish(uint32_t body)
{
    char topic[TOPIC_SIZE];
    uint32_t length = number_at(body), qos = mqtt.in[0] >> 1 & 3, payload = body + 2 + length + (qos > 0 ? 2 : 0);

    if (length >= sizeof topic || payload > mqtt.in_length || qos > 1) {
        lose_connection();
        return 1;
    }
    memcpy(topic, mqtt.in + body + 2, length);
    topic[length] = '\0';
    if (quecota_on_message(device, topic, mqtt.in + payload, mqtt.in_length - payload) == QUECOTA_ERROR_BUSY) return 0;
    if (qos > 0) send_answer(PUBACK, number_at(payload - 2));
    return 1;
}

static void on_acknowledged(uint32_t packet_id)
{
    if (packet_id == 0 || packet_id != mqtt.packet_id) return;
    mqtt.packet_id = 0;
    (void)quecota_on_sent(device, mqtt.id, 1);
}

/* The packet in `in`, whose body begins there. 0: it is to come again. */
static int on_packet(uint32_t body)
{
    uint32_t code;

    switch (mqtt.in[0] & 0xF0) {
    case CONNACK:
        code = number_at(body) & 0xFF;
        mqtt.is_connected = code == 0;
        if (code != 0) link_close(&stream);
        (void)quecota_on_link(device, code == 0 ? QUECOTA_LINK_CONNECTED : QUECOTA_LINK_REFUSED, (uint8_t)code);
        return 1;
    case SUBACK:
        code = mqtt.in[mqtt.in_length - 1];
        (void)quecota_on_link(device, code == REFUSED ? QUECOTA_LINK_SUBSCRIBE_REFUSED : QUECOTA_LINK_SUBSCRIBED, 0);
        return 1;
    case PUBLISH:
        return on_publish(body);
    case PUBREC:
        send_answer(PUBREL, number_at(body));
        return 1;
    case PUBACK:
    case PUBCOMP:
        on_acknowledged(number_at(body));
        return 1;
    case PINGRESP:
        mqtt.is_ping_open = 0;
        return 1;
    default:
        lose_connection();
        return 1;
    }
}

/* Where the body of the packet begins, and where it ends; 0: that is not known yet. */
static uint32_t head_length(uint32_t *end)
{
    uint32_t at, length = 0;

    for (at = 1; at < mqtt.in_length && at <= 4; at++) {
        length |= (uint32_t)(mqtt.in[at] & 0x7F) << 7 * (at - 1);
        if ((mqtt.in[at] & 0x80) == 0) {
            *end = at + 1 + length;
            return at + 1;
        }
    }
    return 0;
}

static void opened(void)
{
    send_packet();
}

static uint32_t data(const uint8_t *bytes, uint32_t length)
{
    uint32_t taken = 0, body, end = 0;

    for (;;) {
        body = head_length(&end);
        if (body > 0 && mqtt.in_length == end) {
            if (!on_packet(body)) return taken;
            mqtt.in_length = 0;
            continue;
        }
        if (taken == length || stream.number == 0) return length;
        if (mqtt.in_length == sizeof mqtt.in || end > sizeof mqtt.in) {
            lose_connection();
            return length;
        }
        mqtt.in[mqtt.in_length++] = bytes[taken++];
    }
}

static void closed(void)
{
    mqtt.is_connected = 0;
    (void)quecota_on_link(device, QUECOTA_LINK_LOST, 0);
}

void mqtt_step(uint32_t now)
{
    mqtt.now = now;
    if (!mqtt.is_connected) return;
    if (mqtt.is_sent) {
        mqtt.is_sent = 0;
        (void)quecota_on_sent(device, mqtt.id, 1);
    }
    if (mqtt.is_ping_open && now - mqtt.ping_sent > mqtt.keep_alive / 2) {
        lose_connection();
    } else if (!mqtt.is_ping_open && now - mqtt.last_sent > mqtt.keep_alive / 2) {
        begin_packet(PINGREQ, 0);
        send_packet();
        mqtt.ping_sent = now;
        mqtt.is_ping_open = 1;
    }
}
