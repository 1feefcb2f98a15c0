#include "fake_platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fake_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    exit(1);
}

void fake_fail_equal(const char *file, int line, const char *left, long long a, const char *right, long long b)
{
    fprintf(stderr, "%s:%d: %s is %lld, but %s is %lld\n", file, line, left, a, right, b);
    exit(1);
}

uint8_t fake_firmware(uint32_t offset)
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

quecota_error_t fake_send(quecota_t *device, const fake_platform_t *fake, uint16_t command, const uint8_t *payload, size_t length)
{
    static uint16_t packet;
    uint8_t raw[1100];
    char topic[128];
    packet = (uint16_t)(packet % 1000 + 1);
    snprintf(topic, sizeof topic, "q/1/d/%s/ota", fake->client_id);
    length = put_frame(raw, packet, command, payload, length);
    return quecota_on_message(device, topic, raw, (uint32_t)length);
}

/* --------------------------------------------------------------------------------------------------- the transport */

static int32_t fake_connect(void *ctx, const quecota_connect_t *to)
{
    fake_platform_t *fake = ctx;
    CHECK(fake->locked == 1);
    CHECK(strcmp(to->url, "mqtt://cloud.example:1883") == 0);
    snprintf(fake->password, sizeof fake->password, "%s", to->password);
    snprintf(fake->client_id, sizeof fake->client_id, "%s", to->client_id);
    fake->user_name_given = to->user_name != NULL;
    fake->connect = 1;
    fake->connects++;
    return 0;
}

static void fake_disconnect(void *ctx)
{
    fake_platform_t *fake = ctx;
    fake->connect = fake->subscribe = fake->sent = fake->provision = 0;
    fake->disconnects++;
}

static int32_t fake_subscribe(void *ctx, const char *filter)
{
    fake_platform_t *fake = ctx;
    char expected[128];
    snprintf(expected, sizeof expected, "q/1/d/%s/+", fake->client_id);
    CHECK(strcmp(filter, expected) == 0);
    fake->subscribe = 1;
    return 0;
}

static void keep_frame(fake_platform_t *fake, const char *topic, uint8_t qos, const uint8_t *frame, size_t length)
{
    fake_frame_t *kept = &fake->frames[fake->frame_count++ % FAKE_FRAMES];
    kept->packet = (unsigned)(frame[5] << 8 | frame[6]);
    kept->command = (unsigned)(frame[7] << 8 | frame[8]);
    kept->qos = qos;
    snprintf(kept->leaf, sizeof kept->leaf, "%s", strrchr(topic, '/') + 1);
    kept->length = length - 9;
    memcpy(kept->payload, frame + 9, kept->length);
}

const fake_frame_t *fake_last(const fake_platform_t *fake, unsigned command)
{
    for (size_t back = 1; back <= fake->frame_count && back <= FAKE_FRAMES; back++) {
        const fake_frame_t *frame = &fake->frames[(fake->frame_count - back) % FAKE_FRAMES];
        if (frame->command == command) return frame;
    }
    return NULL;
}

static int32_t fake_publish(void *ctx, const char *topic, const uint8_t *payload, uint32_t length, uint8_t qos, uint16_t id)
{
    fake_platform_t *fake = ctx;
    uint8_t frame[2048];
    size_t size, whole = get_frame(frame, sizeof frame, payload, length);
    const uint8_t *value;
    unsigned command = (unsigned)(frame[7] << 8 | frame[8]);
    CHECK(whole >= 9);
    CHECK(strncmp(topic, "q/2/d/", 6) == 0);
    CHECK(!fake->sent); /* one at a time */
    fake->sent = 1;
    fake->sent_id = id;
    keep_frame(fake, topic, qos, frame, whole);
    if (command == 0x0115) {
        CHECK_EQUAL(qos, 2);
        CHECK(strcmp(strrchr(topic, '/'), "/ota") == 0);
        value = find(frame + 9, whole - 9, 26, 3, &size);
        if (value) snprintf(fake->mcu_list, sizeof fake->mcu_list, "%.*s", (int)size, (const char *)value);
        fake->plan = 1;
    } else if (command == 0x0114) {
        CHECK_EQUAL(qos, 2);
        value = find(frame + 9, whole - 9, 13, 2, &size);
        CHECK(value && size == 1);
        if (fake->state_count < FAKE_STATES) fake->states[fake->state_count++] = value[0];
        if (value[0] == 2) fake->firmware = 1;
    }
    return 0;
}

static int32_t fake_fetch(void *ctx, const char *url, uint32_t start, uint32_t length)
{
    fake_platform_t *fake = ctx;
    CHECK(strcmp(url, "http://files.example:8080/fw.bin?key=1") == 0);
    CHECK(length > 0 && start + length <= FAKE_FIRMWARE_SIZE);
    fake->fetch = 1;
    fake->fetch_start = start;
    fake->fetch_length = length;
    fake->fetch_done = 0;
    fake->fetches++;
    return 0;
}

static void fake_fetch_cancel(void *ctx)
{
    ((fake_platform_t *)ctx)->fetch = 0;
}

/* ------------------------------------------------------------------------------------------------------ the storage */

static uint8_t *place(fake_platform_t *fake, quecota_area_id_t area, uint32_t offset, uint32_t length)
{
    uint32_t size = area == QUECOTA_AREA_IMAGE ? FAKE_IMAGE_SIZE : FAKE_JOURNAL_SIZE;
    CHECK(fake->locked == 1);
    CHECK(offset <= size && length <= size - offset);
    return (area == QUECOTA_AREA_IMAGE ? fake->image : fake->journal) + offset;
}

static quecota_storage_result_t fake_read(void *ctx, quecota_area_id_t area, uint32_t offset, uint8_t *data, uint32_t length)
{
    memcpy(data, place(ctx, area, offset, length), length);
    return QUECOTA_STORAGE_OK;
}

static quecota_storage_result_t fake_write(void *ctx, quecota_area_id_t area, uint32_t offset, const uint8_t *data,
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

static quecota_storage_result_t fake_erase(void *ctx, quecota_area_id_t area, uint32_t offset, uint32_t length)
{
    CHECK(offset % 4096 == 0 && length % 4096 == 0);
    memset(place(ctx, area, offset, length), 0xFF, length);
    return QUECOTA_STORAGE_OK;
}

/* ------------------------------------------------------------------------------------------------------- the system */

static uint32_t fake_millis(void *ctx)
{
    return ((fake_platform_t *)ctx)->now;
}

static void fake_random(void *ctx, uint8_t *data, uint32_t length)
{
    static uint32_t state = 1;
    (void)ctx;
    for (uint32_t i = 0; i < length; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = (uint8_t)(state >> 24);
    }
}

static const char *fake_device_key(void *ctx)
{
    const char *own = ((fake_platform_t *)ctx)->hardware_id;
    return own ? own : "860000000000001";
}

static const char *fake_module_version(void *ctx)
{
    (void)ctx;
    return "FWV1";
}

static void fake_lock(void *ctx)
{
    fake_platform_t *fake = ctx;
    CHECK(!fake->locked);
    fake->locked = 1;
}

static void fake_unlock(void *ctx)
{
    fake_platform_t *fake = ctx;
    CHECK(fake->locked);
    fake->locked = 0;
}

static void fake_wake(void *ctx)
{
    fake_platform_t *fake = ctx;
    CHECK(!fake->locked);
    fake->wakes++;
}

static void fake_log(void *ctx, quecota_level_t level, const char *line, uint32_t length)
{
    fake_platform_t *fake = ctx;
    CHECK(strlen(line) == length);
    CHECK(level >= QUECOTA_LEVEL_ERROR && level <= QUECOTA_LEVEL_DEBUG);
    snprintf(fake->line, sizeof fake->line, "%s", line);
    if (strlen(fake->lines) + length + 2 < sizeof fake->lines) {
        strcat(fake->lines, line);
        strcat(fake->lines, "\n");
    }
    if (getenv("FAKE_LOG")) fprintf(stderr, "[%u] %d %s\n", fake->now, level, line);
    if (fake->in_log) fake->in_log(fake->device);
}

static int32_t fake_battery(void *ctx)
{
    (void)ctx;
    return 80;
}

static int32_t fake_run_task(void *ctx, quecota_t *device)
{
    fake_platform_t *fake = ctx;
    CHECK(!fake->locked);
    fake->device = device;
    return 0;
}

void fake_reboot(fake_platform_t *fake)
{
    uint8_t *flash = malloc(sizeof fake->image + sizeof fake->journal);
    CHECK(flash != NULL);
    memcpy(flash, fake->image, sizeof fake->image);
    memcpy(flash + sizeof fake->image, fake->journal, sizeof fake->journal);
    fake_init(fake);
    memcpy(fake->image, flash, sizeof fake->image);
    memcpy(fake->journal, flash + sizeof fake->image, sizeof fake->journal);
    free(flash);
}

void fake_init(fake_platform_t *fake)
{
    memset(fake, 0, sizeof *fake);
    memset(fake->image, 0xFF, sizeof fake->image);
    memset(fake->journal, 0xFF, sizeof fake->journal);
    fake->http_status = 206;

    fake->transport.size = sizeof fake->transport;
    fake->transport.ctx = fake;
    fake->transport.connect = fake_connect;
    fake->transport.disconnect = fake_disconnect;
    fake->transport.subscribe = fake_subscribe;
    fake->transport.publish = fake_publish;
    fake->transport.fetch = fake_fetch;
    fake->transport.fetch_cancel = fake_fetch_cancel;

    fake->storage.size = sizeof fake->storage;
    fake->storage.ctx = fake;
    fake->storage.image.size = FAKE_IMAGE_SIZE;
    fake->storage.image.erase = 4096;
    fake->storage.image.program = 4;
    fake->storage.image.erased = 0xFF;
    fake->storage.journal = fake->storage.image;
    fake->storage.journal.size = FAKE_JOURNAL_SIZE;
    fake->storage.read = fake_read;
    fake->storage.write = fake_write;
    fake->storage.erase = fake_erase;

    fake->system.size = sizeof fake->system;
    fake->system.ctx = fake;
    fake->system.millis = fake_millis;
    fake->system.random = fake_random;
    fake->system.device_key = fake_device_key;
    fake->system.module_version = fake_module_version;
    fake->system.lock = fake_lock;
    fake->system.unlock = fake_unlock;
    fake->system.wake = fake_wake;
    fake->system.log = fake_log;
    fake->system.battery = fake_battery;
    fake->system.run = fake_run_task;

    fake->platform.size = sizeof fake->platform;
    fake->platform.transport = &fake->transport;
    fake->platform.storage = &fake->storage;
    fake->platform.system = &fake->system;
}

/* -------------------------------------------------------------------------------------------------------- the cloud */

static void send_provision(fake_platform_t *fake, quecota_t *device)
{
    uint8_t payload[64];
    size_t length = put_text(payload, 5, "0123456789abcdef0123456789abcdef");
    CHECK_EQUAL(fake_send(device, fake, 0x00B4, payload, length), QUECOTA_OK);
}

/* The plan as it is on the wire: component MCU, 1 -> 2, battery 30, space 698000, signal -113. */
static void send_plan(fake_platform_t *fake, quecota_t *device)
{
    static const uint8_t plan[] = {
        0x00, 0x23, 0x00, 0x03, 0x4d, 0x43, 0x55, 0x00, 0x2b, 0x00, 0x01, 0x31, 0x00, 0x33, 0x00, 0x01, 0x32, 0x00,
        0x3a, 0x00, 0x01, 0x00, 0x42, 0x00, 0x1e, 0x00, 0x4a, 0x02, 0x0a, 0xa6, 0x90, 0x00, 0x52, 0x80, 0x71,
    };
    CHECK_EQUAL(fake_send(device, fake, 0x0111, plan, sizeof plan), QUECOTA_OK);
}

static void send_firmware(fake_platform_t *fake, quecota_t *device)
{
    uint8_t payload[512];
    size_t length = 0;
    length += put_text(payload + length, 1, "http://files.example:8080/fw.bin?key=1");
    length += put_number(payload + length, 2, FAKE_FIRMWARE_SIZE);
    length += put_text(payload + length, 3, FAKE_FIRMWARE_MD5);
    length += put_text(payload + length, 4, "MCU");
    length += put_text(payload + length, 5, "1");
    length += put_text(payload + length, 6, "2");
    length += put_number(payload + length, 7, 1);
    length += put_text(payload + length, 15, FAKE_FIRMWARE_CRC32);
    CHECK_EQUAL(fake_send(device, fake, 0x0113, payload, length), QUECOTA_OK);
}

static void serve(fake_platform_t *fake, quecota_t *device)
{
    uint8_t data[1460];
    uint32_t portion = fake->fetch_length - fake->fetch_done;
    if (fake->fetch_done == 0) {
        quecota_fetch_head_t head;
        quecota_flow_t flow;
        memset(&head, 0, sizeof head);
        head.size = sizeof head;
        head.status = fake->http_status;
        head.first = fake->fetch_start;
        head.length = fake->fetch_length;
        head.total = FAKE_FIRMWARE_SIZE;
        head.content_encoding = fake->http_encoding;
        head.retry_after = fake->http_retry_after;
        flow = quecota_on_fetch_head(device, &head);
        if (flow == QUECOTA_FLOW_STOP) {
            fake->fetch = 0;
            return;
        }
    }
    if (portion > sizeof data) portion = sizeof data;
    for (uint32_t i = 0; i < portion; i++) data[i] = fake_firmware(fake->fetch_start + fake->fetch_done + i);
    fake->fetch_done += portion;
    fake->fetched += portion;
    if (quecota_on_fetch_data(device, data, portion) == QUECOTA_FLOW_STOP) {
        fake->fetch = 0;
    } else if (fake->deliver_broken && fake->fetch_done > fake->fetch_length / 2) {
        fake->deliver_broken--;
        fake->fetch = 0;
        CHECK_EQUAL(quecota_on_fetch_end(device, 0), QUECOTA_OK);
    } else if (fake->fetch_done == fake->fetch_length) {
        fake->fetch = 0;
        CHECK_EQUAL(quecota_on_fetch_end(device, 1), QUECOTA_OK);
    }
}

int fake_answer(fake_platform_t *fake, quecota_t *device)
{
    if (fake->connect) {
        fake->connect = 0;
        CHECK_EQUAL(quecota_on_link(device, QUECOTA_LINK_CONNECTED, 0), QUECOTA_OK);
    } else if (fake->subscribe) {
        fake->subscribe = 0;
        fake->provision = fake->password[0] == '0';
        CHECK_EQUAL(quecota_on_link(device, QUECOTA_LINK_SUBSCRIBED, 0), QUECOTA_OK);
    } else if (fake->provision) {
        fake->provision = 0;
        send_provision(fake, device);
    } else if (fake->sent) {
        fake->sent = 0;
        CHECK_EQUAL(quecota_on_sent(device, fake->sent_id, 1), QUECOTA_OK);
    } else if (fake->plan) {
        fake->plan = 0;
        send_plan(fake, device);
    } else if (fake->firmware) {
        fake->firmware = 0;
        send_firmware(fake, device);
    } else if (fake->fetch) {
        serve(fake, device);
    } else {
        return 0;
    }
    return 1;
}

int fake_run(fake_platform_t *fake, quecota_t *device, const int *done, uint32_t milliseconds)
{
    uint32_t end = fake->now + milliseconds;
    for (long steps = 0; !*done && fake->now < end; steps++) {
        uint32_t wait = quecota_poll(device);
        CHECK(!fake->locked);
        CHECK(steps < 1000000);
        if (*done || fake_answer(fake, device)) continue;
        fake->now += wait > 1000 ? 1000 : wait ? wait : 1;
    }
    return *done;
}

int fake_reported(const fake_platform_t *fake, int state)
{
    for (size_t i = 0; i < fake->state_count; i++)
        if (fake->states[i] == state) return 1;
    return 0;
}
