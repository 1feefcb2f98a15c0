#include "toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void toy_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    exit(1);
}

void toy_fail_equal(const char *file, int line, const char *left, long long a, const char *right, long long b)
{
    fprintf(stderr, "%s:%d: %s is %lld, but %s is %lld\n", file, line, left, a, right, b);
    exit(1);
}

uint8_t toy_firmware(uint32_t offset)
{
    return (uint8_t)((offset * 31u) ^ ((offset >> 8) * 7u));
}

/* ---------------------------------------------------------------------------------------------------- frames, TTLV */

static size_t put_text(uint8_t *out, unsigned id, const char *text)
{
    size_t length = strlen(text);
    out[0] = (uint8_t)(id >> 5);
    out[1] = (uint8_t)(id << 3 | 3);
    out[2] = (uint8_t)(length >> 8);
    out[3] = (uint8_t)length;
    memcpy(out + 4, text, length);
    return 4 + length;
}

static size_t put_number(uint8_t *out, unsigned id, uint32_t value)
{
    unsigned bytes = value > 0xFFFFFF ? 4 : value > 0xFFFF ? 3 : value > 0xFF ? 2 : 1;
    out[0] = (uint8_t)(id >> 5);
    out[1] = (uint8_t)(id << 3 | 2);
    out[2] = (uint8_t)(bytes - 1);
    for (unsigned i = 0; i < bytes; i++) out[3 + i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    return 3 + bytes;
}

static size_t put_frame(uint8_t *out, uint16_t packet, uint16_t command, const uint8_t *payload, size_t length)
{
    uint8_t plain[1024];
    size_t whole = length + 9, used = 0;
    uint8_t sum = 0;
    plain[0] = plain[1] = 0xAA;
    plain[2] = (uint8_t)((length + 5) >> 8);
    plain[3] = (uint8_t)(length + 5);
    plain[5] = (uint8_t)(packet >> 8);
    plain[6] = (uint8_t)packet;
    plain[7] = (uint8_t)(command >> 8);
    plain[8] = (uint8_t)command;
    if (length) memcpy(plain + 9, payload, length);
    for (size_t i = 5; i < whole; i++) sum = (uint8_t)(sum + plain[i]);
    plain[4] = sum;
    for (size_t i = 0; i < whole; i++) {
        int last = i + 1 == whole;
        out[used++] = plain[i];
        if (i >= 1 && plain[i] == 0xAA && (last || plain[i + 1] == 0xAA || plain[i + 1] == 0x55)) out[used++] = 0x55;
    }
    return used;
}

/* Takes the stuffing out; returns the length, 0 for a frame that is none. */
static size_t get_frame(uint8_t *out, size_t room, const uint8_t *raw, size_t length)
{
    size_t used = 0;
    uint8_t sum = 0;
    if (length < 9 || raw[0] != 0xAA || raw[1] != 0xAA) return 0;
    for (size_t i = 0; i < length && used < room; i++) {
        if (i > 1 && raw[i] == 0x55 && raw[i - 1] == 0xAA) continue;
        out[used++] = raw[i];
    }
    for (size_t i = 5; i < used; i++) sum = (uint8_t)(sum + out[i]);
    return sum == out[4] && (size_t)(out[2] << 8 | out[3]) + 4 == used ? used : 0;
}

/* The element with this id and type in a flat list. */
static const uint8_t *find(const uint8_t *list, size_t length, unsigned id, unsigned type, size_t *size)
{
    size_t at = 0;
    while (at + 2 <= length) {
        unsigned tag = (unsigned)(list[at] << 8 | list[at + 1]);
        size_t head = 2, body = 0;
        if ((tag & 7) == 2) {
            head = 3;
            body = (size_t)(list[at + 2] & 7) + 1;
        } else if ((tag & 7) == 3) {
            head = 4;
            body = (size_t)(list[at + 2] << 8 | list[at + 3]);
        }
        if (tag == (id << 3 | type)) {
            *size = body;
            return list + at + head;
        }
        at += head + body;
    }
    return NULL;
}

quecota_error_t toy_send(quecota_t *device, const toy_t *toy, uint16_t command, const uint8_t *payload, size_t length)
{
    static uint16_t packet;
    uint8_t raw[1100];
    char topic[128];
    packet = (uint16_t)(packet % 1000 + 1);
    snprintf(topic, sizeof topic, "q/1/d/%s/ota", toy->client_id);
    length = put_frame(raw, packet, command, payload, length);
    return quecota_on_message(device, topic, raw, (uint32_t)length);
}

/* --------------------------------------------------------------------------------------------------- the transport */

static int32_t toy_connect(void *ctx, const quecota_connect_t *to)
{
    toy_t *toy = ctx;
    CHECK(toy->locked == 1);
    CHECK(strcmp(to->url, "mqtt://cloud.example:1883") == 0);
    snprintf(toy->password, sizeof toy->password, "%s", to->password);
    snprintf(toy->client_id, sizeof toy->client_id, "%s", to->client_id);
    toy->user_name_given = to->user_name != NULL;
    toy->connect = 1;
    toy->connects++;
    return 0;
}

static void toy_disconnect(void *ctx)
{
    toy_t *toy = ctx;
    toy->connect = toy->subscribe = toy->sent = toy->provision = 0;
    toy->disconnects++;
}

static int32_t toy_subscribe(void *ctx, const char *filter)
{
    toy_t *toy = ctx;
    char expected[128];
    snprintf(expected, sizeof expected, "q/1/d/%s/+", toy->client_id);
    CHECK(strcmp(filter, expected) == 0);
    toy->subscribe = 1;
    return 0;
}

static int32_t toy_publish(void *ctx, const char *topic, const uint8_t *payload, uint32_t length, uint8_t qos, uint16_t id)
{
    toy_t *toy = ctx;
    uint8_t frame[2048];
    size_t size, whole = get_frame(frame, sizeof frame, payload, length);
    const uint8_t *value;
    unsigned command = (unsigned)(frame[7] << 8 | frame[8]);
    CHECK(whole >= 9);
    CHECK(strncmp(topic, "q/2/d/", 6) == 0);
    CHECK(!toy->sent); /* one at a time */
    toy->sent = 1;
    toy->sent_id = id;
    if (command == 0x0115) {
        CHECK_EQUAL(qos, 2);
        CHECK(strcmp(strrchr(topic, '/'), "/ota") == 0);
        value = find(frame + 9, whole - 9, 26, 3, &size);
        if (value) snprintf(toy->mcu_list, sizeof toy->mcu_list, "%.*s", (int)size, (const char *)value);
        toy->plan = 1;
    } else if (command == 0x0114) {
        CHECK_EQUAL(qos, 2);
        value = find(frame + 9, whole - 9, 13, 2, &size);
        CHECK(value && size == 1);
        if (toy->state_count < TOY_STATES) toy->states[toy->state_count++] = value[0];
        if (value[0] == 2) toy->firmware = 1;
    }
    return 0;
}

static int32_t toy_fetch(void *ctx, const char *url, uint32_t start, uint32_t length)
{
    toy_t *toy = ctx;
    CHECK(strcmp(url, "http://files.example:8080/fw.bin?key=1") == 0);
    CHECK(length > 0 && start + length <= TOY_FIRMWARE_SIZE);
    toy->fetch = 1;
    toy->fetch_start = start;
    toy->fetch_length = length;
    toy->fetch_done = 0;
    toy->fetches++;
    return 0;
}

static void toy_fetch_cancel(void *ctx)
{
    ((toy_t *)ctx)->fetch = 0;
}

/* ------------------------------------------------------------------------------------------------------ the storage */

static uint8_t *place(toy_t *toy, quecota_area_id_t area, uint32_t offset, uint32_t length)
{
    uint32_t size = area == QUECOTA_AREA_IMAGE ? TOY_IMAGE_SIZE : TOY_JOURNAL_SIZE;
    CHECK(toy->locked == 1);
    CHECK(offset <= size && length <= size - offset);
    return (area == QUECOTA_AREA_IMAGE ? toy->image : toy->journal) + offset;
}

static quecota_storage_result_t toy_read(void *ctx, quecota_area_id_t area, uint32_t offset, uint8_t *data, uint32_t length)
{
    memcpy(data, place(ctx, area, offset, length), length);
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t toy_write(void *ctx, quecota_area_id_t area, uint32_t offset, const uint8_t *data,
                                          uint32_t length)
{
    uint8_t *to = place(ctx, area, offset, length);
    CHECK(offset % 4 == 0 && length % 4 == 0);
    for (uint32_t i = 0; i < length; i++) {
        CHECK(to[i] == 0xFF); /* erased before */
        to[i] = data[i];
    }
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t toy_erase(void *ctx, quecota_area_id_t area, uint32_t offset, uint32_t length)
{
    CHECK(offset % 4096 == 0 && length % 4096 == 0);
    memset(place(ctx, area, offset, length), 0xFF, length);
    return QUECOTA_STORAGE_OK;
}

/* ------------------------------------------------------------------------------------------------------- the system */

static uint32_t toy_millis(void *ctx)
{
    return ((toy_t *)ctx)->now;
}

static void toy_random(void *ctx, uint8_t *data, uint32_t length)
{
    static uint32_t state = 1;
    (void)ctx;
    for (uint32_t i = 0; i < length; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = (uint8_t)(state >> 24);
    }
}

static const char *toy_device_key(void *ctx)
{
    (void)ctx;
    return "860000000000001";
}

static const char *toy_module_version(void *ctx)
{
    (void)ctx;
    return "FWV1";
}

static void toy_lock(void *ctx)
{
    toy_t *toy = ctx;
    CHECK(!toy->locked);
    toy->locked = 1;
}

static void toy_unlock(void *ctx)
{
    toy_t *toy = ctx;
    CHECK(toy->locked);
    toy->locked = 0;
}

static void toy_wake(void *ctx)
{
    toy_t *toy = ctx;
    CHECK(!toy->locked);
    toy->wakes++;
}

static void toy_log(void *ctx, quecota_level_t level, const char *line, uint32_t length)
{
    toy_t *toy = ctx;
    CHECK(strlen(line) == length);
    CHECK(level >= QUECOTA_LEVEL_ERROR && level <= QUECOTA_LEVEL_DEBUG);
    snprintf(toy->line, sizeof toy->line, "%s", line);
    if (getenv("TOY_LOG")) fprintf(stderr, "[%u] %d %s\n", toy->now, level, line);
    if (toy->in_log) toy->in_log(toy->device);
}

static int32_t toy_battery(void *ctx)
{
    (void)ctx;
    return 80;
}

static int32_t toy_run_task(void *ctx, quecota_t *device)
{
    toy_t *toy = ctx;
    CHECK(!toy->locked);
    toy->device = device;
    return 0;
}

void toy_reboot(toy_t *toy)
{
    uint8_t *flash = malloc(sizeof toy->image + sizeof toy->journal);
    CHECK(flash != NULL);
    memcpy(flash, toy->image, sizeof toy->image);
    memcpy(flash + sizeof toy->image, toy->journal, sizeof toy->journal);
    toy_init(toy);
    memcpy(toy->image, flash, sizeof toy->image);
    memcpy(toy->journal, flash + sizeof toy->image, sizeof toy->journal);
    free(flash);
}

void toy_init(toy_t *toy)
{
    memset(toy, 0, sizeof *toy);
    memset(toy->image, 0xFF, sizeof toy->image);
    memset(toy->journal, 0xFF, sizeof toy->journal);
    toy->http_status = 206;

    toy->transport.size = sizeof toy->transport;
    toy->transport.ctx = toy;
    toy->transport.connect = toy_connect;
    toy->transport.disconnect = toy_disconnect;
    toy->transport.subscribe = toy_subscribe;
    toy->transport.publish = toy_publish;
    toy->transport.fetch = toy_fetch;
    toy->transport.fetch_cancel = toy_fetch_cancel;

    toy->storage.size = sizeof toy->storage;
    toy->storage.ctx = toy;
    toy->storage.image.size = TOY_IMAGE_SIZE;
    toy->storage.image.erase = 4096;
    toy->storage.image.program = 4;
    toy->storage.image.erased = 0xFF;
    toy->storage.journal = toy->storage.image;
    toy->storage.journal.size = TOY_JOURNAL_SIZE;
    toy->storage.read = toy_read;
    toy->storage.write = toy_write;
    toy->storage.erase = toy_erase;

    toy->system.size = sizeof toy->system;
    toy->system.ctx = toy;
    toy->system.millis = toy_millis;
    toy->system.random = toy_random;
    toy->system.device_key = toy_device_key;
    toy->system.module_version = toy_module_version;
    toy->system.lock = toy_lock;
    toy->system.unlock = toy_unlock;
    toy->system.wake = toy_wake;
    toy->system.log = toy_log;
    toy->system.battery = toy_battery;
    toy->system.run = toy_run_task;

    toy->platform.size = sizeof toy->platform;
    toy->platform.transport = &toy->transport;
    toy->platform.storage = &toy->storage;
    toy->platform.system = &toy->system;
}

/* -------------------------------------------------------------------------------------------------------- the cloud */

static void send_provision(toy_t *toy, quecota_t *device)
{
    uint8_t payload[64];
    size_t length = put_text(payload, 5, "0123456789abcdef0123456789abcdef");
    CHECK_EQUAL(toy_send(device, toy, 0x00B4, payload, length), QUECOTA_OK);
}

/* The plan as it is on the wire: component MCU, 1 -> 2, battery 30, space 698000, signal -113. */
static void send_plan(toy_t *toy, quecota_t *device)
{
    static const uint8_t plan[] = {
        0xaa, 0xaa, 0x00, 0x28, 0x4c, 0x00, 0x02, 0x01, 0x11, 0x00, 0x23, 0x00, 0x03, 0x4d, 0x43,
        0x55, 0x00, 0x2b, 0x00, 0x01, 0x31, 0x00, 0x33, 0x00, 0x01, 0x32, 0x00, 0x3a, 0x00, 0x01,
        0x00, 0x42, 0x00, 0x1e, 0x00, 0x4a, 0x02, 0x0a, 0xa6, 0x90, 0x00, 0x52, 0x80, 0x71,
    };
    char topic[128];
    snprintf(topic, sizeof topic, "q/1/d/%s/ota", toy->client_id);
    CHECK_EQUAL(quecota_on_message(device, topic, plan, sizeof plan), QUECOTA_OK);
}

static void send_firmware(toy_t *toy, quecota_t *device)
{
    uint8_t payload[512];
    size_t length = 0;
    length += put_text(payload + length, 1, "http://files.example:8080/fw.bin?key=1");
    length += put_number(payload + length, 2, TOY_FIRMWARE_SIZE);
    length += put_text(payload + length, 3, TOY_FIRMWARE_MD5);
    length += put_text(payload + length, 4, "MCU");
    length += put_text(payload + length, 5, "1");
    length += put_text(payload + length, 6, "2");
    length += put_number(payload + length, 7, 1);
    length += put_text(payload + length, 15, TOY_FIRMWARE_CRC32);
    CHECK_EQUAL(toy_send(device, toy, 0x0113, payload, length), QUECOTA_OK);
}

static void serve(toy_t *toy, quecota_t *device)
{
    uint8_t data[1460];
    uint32_t portion = toy->fetch_length - toy->fetch_done;
    if (toy->fetch_done == 0) {
        quecota_flow_t flow = quecota_on_fetch_begin(device, toy->http_status, toy->fetch_start, toy->fetch_length,
                                                     TOY_FIRMWARE_SIZE);
        if (flow == QUECOTA_FLOW_STOP) {
            toy->fetch = 0;
            return;
        }
    }
    if (portion > sizeof data) portion = sizeof data;
    for (uint32_t i = 0; i < portion; i++) data[i] = toy_firmware(toy->fetch_start + toy->fetch_done + i);
    toy->fetch_done += portion;
    toy->fetched += portion;
    if (quecota_on_fetch_data(device, data, portion) == QUECOTA_FLOW_STOP) {
        toy->fetch = 0;
    } else if (toy->deliver_broken && toy->fetch_done > toy->fetch_length / 2) {
        toy->deliver_broken--;
        toy->fetch = 0;
        CHECK_EQUAL(quecota_on_fetch_end(device, 0), QUECOTA_OK);
    } else if (toy->fetch_done == toy->fetch_length) {
        toy->fetch = 0;
        CHECK_EQUAL(quecota_on_fetch_end(device, 1), QUECOTA_OK);
    }
}

int toy_answer(toy_t *toy, quecota_t *device)
{
    if (toy->connect) {
        toy->connect = 0;
        CHECK_EQUAL(quecota_on_link(device, QUECOTA_LINK_CONNECTED, 0), QUECOTA_OK);
    } else if (toy->subscribe) {
        toy->subscribe = 0;
        toy->provision = toy->password[0] == '0';
        CHECK_EQUAL(quecota_on_link(device, QUECOTA_LINK_SUBSCRIBED, 0), QUECOTA_OK);
    } else if (toy->provision) {
        toy->provision = 0;
        send_provision(toy, device);
    } else if (toy->sent) {
        toy->sent = 0;
        CHECK_EQUAL(quecota_on_sent(device, toy->sent_id, 1), QUECOTA_OK);
    } else if (toy->plan) {
        toy->plan = 0;
        send_plan(toy, device);
    } else if (toy->firmware) {
        toy->firmware = 0;
        send_firmware(toy, device);
    } else if (toy->fetch) {
        serve(toy, device);
    } else {
        return 0;
    }
    return 1;
}

int toy_run(toy_t *toy, quecota_t *device, const int *done, uint32_t milliseconds)
{
    uint32_t end = toy->now + milliseconds;
    for (long steps = 0; !*done && toy->now < end; steps++) {
        uint32_t wait = quecota_poll(device);
        CHECK(!toy->locked);
        CHECK(steps < 1000000);
        if (*done || toy_answer(toy, device)) continue;
        toy->now += wait > 1000 ? 1000 : wait ? wait : 1;
    }
    return *done;
}

int toy_reported(const toy_t *toy, int state)
{
    for (size_t i = 0; i < toy->state_count; i++)
        if (toy->states[i] == state) return 1;
    return 0;
}
