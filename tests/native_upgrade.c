/* An MCU is upgraded through the native API, from the first connection to QUECOTA_OTA_SUCCESS. */
#include "fake_platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    quecota_t *device;
    fake_platform_t *fake;
    int online, done, failed;
    unsigned plans, starts, pieces, updatings;
    uint32_t read;
} app_t;

/* One field of an event text, without its quotes. */
static void field(char *out, size_t room, const char *text, int number)
{
    size_t used = 0;
    for (; *text; text++) {
        if (*text == ',') number--;
        else if (number == 0 && *text != '"' && used + 1 < room) out[used++] = *text;
    }
    out[used] = 0;
}

static void read_piece(app_t *app, const char *text)
{
    char word[64];
    uint8_t data[1024];
    uint32_t size, start, length, count;
    field(word, sizeof word, text, 0);
    CHECK(strcmp(word, "MCU") == 0);
    field(word, sizeof word, text, 1);
    size = (uint32_t)strtoul(word, NULL, 10);
    field(word, sizeof word, text, 2);
    start = (uint32_t)strtoul(word, NULL, 10);
    field(word, sizeof word, text, 3);
    length = (uint32_t)strtoul(word, NULL, 10);
    CHECK_EQUAL(size, FAKE_FIRMWARE_SIZE);
    CHECK_EQUAL(start, app->read);
    CHECK(length > 0 && start + length <= size);

    /* Outside the piece there is nothing to read. */
    CHECK_EQUAL(quecota_ota_read(app->device, start + length, data, sizeof data, &count), QUECOTA_ERROR_RANGE);
    CHECK_EQUAL(count, 0);
    while (app->read < start + length) {
        CHECK_EQUAL(quecota_ota_read(app->device, app->read, data, sizeof data, &count), QUECOTA_OK);
        CHECK(count > 0 && count <= sizeof data);
        for (uint32_t i = 0; i < count; i++) CHECK_EQUAL(data[i], fake_firmware(app->read + i));
        app->read += count;
    }
    if (app->read < size) {
        CHECK_EQUAL(quecota_ota_action(app->device, QUECOTA_ACTION_UPDATING), QUECOTA_ERROR_STATE);
        CHECK_EQUAL(quecota_ota_action(app->device, QUECOTA_ACTION_NEXT), QUECOTA_OK);
    } else {
        CHECK_EQUAL(quecota_ota_action(app->device, QUECOTA_ACTION_NEXT), QUECOTA_ERROR_STATE);
        CHECK_EQUAL(quecota_ota_action(app->device, QUECOTA_ACTION_UPDATING), QUECOTA_OK);
    }
}

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    app_t *app = ctx;
    char *text = value;
    quecota_end_t end = {.size = sizeof end};
    CHECK(!app->fake->locked);
    CHECK((value == NULL) == (length == 0));
    if (text) {
        CHECK_EQUAL(strlen(text), length);
        if (getenv("FAKE_LOG")) fprintf(stderr, "[%u] event %u,%d,%s\n", app->fake->now, event, code, text);
    } else if (getenv("FAKE_LOG")) {
        fprintf(stderr, "[%u] event %u,%d\n", app->fake->now, event, code);
    }
    /* A poll inside a callback does nothing, and the device cannot end under its own feet. */
    CHECK_EQUAL(quecota_poll(app->device), 1000);
    CHECK_EQUAL(quecota_deinit(app->device), QUECOTA_ERROR_REENTRY);

    if (event == QUECOTA_EVENT_SUBSCRIBE && code == 10200) app->online = 1;
    if (event != QUECOTA_EVENT_OTA) return;
    switch (code) {
    case QUECOTA_OTA_PLAN:
        CHECK(strcmp(text, "\"MCU\",\"1\",\"2\",30,-113,698000") == 0);
        app->plans++;
        CHECK_EQUAL(quecota_ota_action(app->device, QUECOTA_ACTION_CONFIRM), QUECOTA_OK);
        break;
    case QUECOTA_OTA_START:
        CHECK(strcmp(text, "\"MCU\",100000,\"" FAKE_FIRMWARE_MD5 "\"," FAKE_FIRMWARE_CRC32_DECIMAL) == 0);
        app->starts++;
        break;
    case QUECOTA_OTA_DOWNLOADED:
        app->pieces++;
        read_piece(app, text);
        memset(text, 'x', length); /* the value is ours to write on */
        break;
    case QUECOTA_OTA_UPDATING:
        app->updatings++;
        /* Its old version means nothing yet; the new one, success. */
        CHECK_EQUAL(quecota_set_mcu_version(app->device, "MCU", "1"), QUECOTA_OK);
        CHECK_EQUAL(quecota_set_mcu_version(app->device, "MCU", "2"), QUECOTA_OK);
        break;
    case QUECOTA_OTA_SUCCESS:
        CHECK_EQUAL(quecota_parse_end(app->device, code, &end), QUECOTA_OK);
        CHECK(end.succeeded && strcmp(end.component, "MCU") == 0);
        app->done = 1;
        break;
    case QUECOTA_OTA_FAILED:
        CHECK_EQUAL(quecota_parse_end(app->device, code, &end), QUECOTA_OK);
        CHECK(!end.succeeded && strcmp(end.component, "MCU") == 0);
        app->failed = app->done = 1;
        break;
    default:
        break;
    }
}

static quecota_memory_t memory;
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static fake_platform_t fake;

static quecota_t *make(app_t *app)
{
    quecota_config_t config;
    quecota_t *device = NULL;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    config.event = on_event;
    config.event_ctx = app;
    CHECK_EQUAL(quecota_init(&memory, sizeof memory, &config, &fake.platform, &device), QUECOTA_OK);
    app->device = device;
    app->fake = &fake;
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK(fake.device == device);
    return device;
}

static void go_online(app_t *app)
{
    CHECK_EQUAL(quecota_set_mode(app->device, QUECOTA_MODE_REQUEST), QUECOTA_OK);
    CHECK_EQUAL(quecota_get_mode(app->device), QUECOTA_MODE_REQUEST);
    CHECK(fake_run(&fake, app->device, &app->online, 60000));
    CHECK_EQUAL(quecota_get_work_state(app->device), QUECOTA_STATE_SUBSCRIBED);
}

int main(void)
{
    app_t app = {0};
    char version[512];
    quecota_progress_t progress;
    fake_init(&fake);
    make(&app);

    CHECK_EQUAL(quecota_set_mode(app.device, QUECOTA_MODE_REQUEST), QUECOTA_ERROR_INCOMPLETE);
    CHECK_EQUAL(quecota_set_product(app.device, "p1abcd", "MTIzNDU2Nzg5MGFi"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_server(app.device, "mqtt://cloud.example:1883"), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mcu_version(app.device, "MCU", "1"), QUECOTA_OK);
    CHECK_EQUAL(quecota_ota_request(app.device, 0), QUECOTA_ERROR_OFFLINE);
    CHECK_EQUAL(quecota_ota_action(app.device, QUECOTA_ACTION_CONFIRM), QUECOTA_ERROR_STATE);
    CHECK_EQUAL(quecota_get_work_state(app.device), QUECOTA_STATE_INITIALIZED);

    go_online(&app);
    CHECK(fake.password[0] == '0'); /* bootstrap: no device secret yet */
    CHECK(strcmp(fake.client_id, "qdp1abcd860000000000001") == 0);
    CHECK(!fake.user_name_given);
    CHECK_EQUAL(quecota_set_product(app.device, "p1abcd", "another"), QUECOTA_ERROR_NOT_IDLE);

    CHECK_EQUAL(quecota_ota_request(app.device, 0), QUECOTA_OK);
    CHECK(fake_run(&fake, app.device, &app.done, 120000));
    CHECK(!app.failed);
    CHECK(strcmp(fake.mcu_list, "MCU:1") == 0);
    CHECK_EQUAL(app.plans, 1);
    CHECK_EQUAL(app.starts, 1);
    CHECK_EQUAL(app.updatings, 1);
    CHECK_EQUAL(app.read, FAKE_FIRMWARE_SIZE);
    CHECK(app.pieces >= FAKE_FIRMWARE_SIZE / FAKE_IMAGE_SIZE + 1);
    CHECK_EQUAL(fake.fetched, FAKE_FIRMWARE_SIZE);
    CHECK(fake.wakes > 0);

    /* The last reports still have to leave. */
    fake_run(&fake, app.device, &app.failed, 5000);
    for (int state = 1; state <= 11; state++)
        if (state != 3 && state != 6 && state != 7 && state != 10) CHECK(fake_reported(&fake, state));
    CHECK(!fake_reported(&fake, 6) && !fake_reported(&fake, 12));

    CHECK_EQUAL(quecota_get_mcu_version(app.device, "MCU", version, sizeof version), QUECOTA_OK);
    CHECK(strcmp(version, "2") == 0);
    CHECK_EQUAL(quecota_get_mcu_version(app.device, NULL, version, sizeof version), QUECOTA_OK);
    CHECK(strcmp(version, "MCU:2") == 0);
    CHECK_EQUAL(quecota_get_mcu_version(app.device, "MC", version, sizeof version), QUECOTA_ERROR_UNKNOWN);
    CHECK_EQUAL(quecota_get_mcu_version(app.device, "MCU", version, 1), QUECOTA_ERROR_ROOM);
    CHECK_EQUAL(quecota_ota_progress(app.device, &progress), QUECOTA_OK);
    CHECK_EQUAL(progress.state, 0);

    /* The same device after a reboot logs in with the secret that it was given. */
    CHECK_EQUAL(quecota_deinit(app.device), QUECOTA_OK);
    CHECK_EQUAL(quecota_get_mode(app.device), QUECOTA_MODE_IDLE);
    fake_reboot(&fake);
    memset(&app, 0, sizeof app);
    make(&app);
    go_online(&app);
    CHECK(fake.password[0] == '1');
    CHECK_EQUAL(quecota_deinit(app.device), QUECOTA_OK);
    puts("native_upgrade: passed");
    return 0;
}
