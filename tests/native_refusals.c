/* What the native API refuses: NULL everywhere, wrong sizes, calls at the wrong time. Nothing may crash. */
#include "fake_platform.h"

#include <stdio.h>
#include <string.h>

static quecota_memory_t memory[2];
static uint8_t receive[QUECOTA_RECEIVE_MIN];
static fake_platform_t fake;

static quecota_config_t config(void)
{
    quecota_config_t config;
    memset(&config, 0, sizeof config);
    config.size = sizeof config;
    config.receive = receive;
    config.receive_size = sizeof receive;
    return config;
}

static quecota_error_t init(const quecota_config_t *config, const quecota_platform_t *platform)
{
    quecota_t *device = (quecota_t *)&fake;
    quecota_error_t error = quecota_init(memory, sizeof memory[0], config, platform, &device);
    CHECK((device != NULL) == (error == QUECOTA_OK));
    return error;
}

static void init_is_particular(void)
{
    quecota_config_t good = config(), bad;
    quecota_t *device = NULL;
    unsigned char *unaligned = memory[0].bytes + 1;
    fake_init(&fake);

    CHECK_EQUAL(quecota_init(NULL, sizeof memory[0], &good, &fake.platform, &device), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_init(memory, sizeof memory[0], NULL, &fake.platform, &device), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_init(memory, sizeof memory[0], &good, NULL, &device), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_init(memory, sizeof memory[0], &good, &fake.platform, NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_init(memory, 64, &good, &fake.platform, &device), QUECOTA_ERROR_MEMORY);
    CHECK_EQUAL(quecota_init(unaligned, sizeof memory[0], &good, &fake.platform, &device), QUECOTA_ERROR_ALIGN);

    bad = good;
    bad.size = 0;
    CHECK_EQUAL(init(&bad, &fake.platform), QUECOTA_ERROR_STRUCT);
    bad = good;
    bad.receive = NULL;
    CHECK_EQUAL(init(&bad, &fake.platform), QUECOTA_ERROR_RECEIVE);
    bad = good;
    bad.receive_size = QUECOTA_RECEIVE_MIN - 1;
    CHECK_EQUAL(init(&bad, &fake.platform), QUECOTA_ERROR_RECEIVE);
    bad = good;
    bad.dialect = 7;
    CHECK_EQUAL(init(&bad, &fake.platform), QUECOTA_ERROR_VALUE);

    fake.platform.storage = NULL;
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_ERROR_NULL);
    fake_init(&fake);
    fake.transport.size = 8;
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_ERROR_STRUCT);
    fake_init(&fake);
    fake.transport.publish = NULL;
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_ERROR_PLATFORM);
    fake_init(&fake);
    fake.system.unlock = NULL;
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_ERROR_PLATFORM);
    fake_init(&fake);
    fake.storage.image.size = FAKE_IMAGE_SIZE - 1;
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_ERROR_AREA);
    fake_init(&fake);
    fake.storage.journal.size = 4096; /* one block: nowhere to put the new before the old is erased */
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_ERROR_AREA);
    fake_init(&fake);
    fake.storage.journal.erase = 256; /* two blocks, but no room for what a device must not lose */
    fake.storage.journal.size = 512;
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_ERROR_AREA);
    fake_init(&fake);
    fake.storage.image.program = 3;
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_ERROR_AREA);
    fake_init(&fake);
    CHECK_EQUAL(init(&good, &fake.platform), QUECOTA_OK);
}

/* A program compiled against a later header hands in a longer struct. */
static void a_longer_struct_is_taken(void)
{
    struct {
        quecota_config_t config;
        void *later;
    } longer;
    memset(&longer, 0xA5, sizeof longer);
    longer.config = config();
    longer.config.size = sizeof longer;
    fake_init(&fake);
    CHECK_EQUAL(init(&longer.config, &fake.platform), QUECOTA_OK);
}

static void every_call_refuses(quecota_t *device, quecota_error_t with)
{
    uint8_t data[16];
    char text[16];
    uint32_t count = 7;
    quecota_progress_t progress;
    CHECK_EQUAL(quecota_poll(device), 1000);
    CHECK_EQUAL(quecota_on_link(device, QUECOTA_LINK_LOST, 0), with);
    CHECK_EQUAL(quecota_on_message(device, "topic", data, 1), with);
    CHECK_EQUAL(quecota_on_sent(device, 1, 1), with);
    CHECK_EQUAL(quecota_on_fetch_begin(device, 200, 0, 1, 1), QUECOTA_FLOW_STOP);
    CHECK_EQUAL(quecota_on_fetch_head(device, NULL), QUECOTA_FLOW_STOP);
    CHECK_EQUAL(quecota_on_fetch_data(device, data, 1), QUECOTA_FLOW_STOP);
    CHECK_EQUAL(quecota_on_fetch_end(device, 1), with);
    CHECK_EQUAL(quecota_set_product(device, "key", "secret"), with);
    CHECK_EQUAL(quecota_set_server(device, "mqtt://host:1"), with);
    CHECK_EQUAL(quecota_set_device(device, "key", "secret"), with);
    CHECK_EQUAL(quecota_set_user_name(device, "name"), with);
    CHECK_EQUAL(quecota_set_lifetime(device, 60), with);
    CHECK_EQUAL(quecota_set_session_encryption(device, 1), with);
    CHECK_EQUAL(quecota_set_app_version(device, "1"), with);
    CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", "1"), with);
    CHECK_EQUAL(quecota_get_mcu_version(device, "MCU", text, sizeof text), with);
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), with);
    CHECK_EQUAL(quecota_get_mode(device), QUECOTA_MODE_IDLE);
    CHECK_EQUAL(quecota_get_work_state(device), QUECOTA_STATE_UNINITIALIZED);
    CHECK_EQUAL(quecota_ota_request(device, 0), with);
    CHECK_EQUAL(quecota_ota_action(device, QUECOTA_ACTION_CONFIRM), with);
    CHECK_EQUAL(quecota_ota_read(device, 0, data, sizeof data, &count), with);
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(quecota_ota_progress(device, &progress), with);
}

static void null_arguments_are_refused(quecota_t *device)
{
    uint8_t data[16];
    uint32_t count;
    char text[16];
    static char endless[4096];
    memset(endless, 'x', sizeof endless - 1);
    CHECK_EQUAL(quecota_on_link(device, 99, 0), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_on_message(device, NULL, data, 1), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_on_message(device, "topic", NULL, 1), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_on_message(device, "topic", NULL, 0), QUECOTA_OK);
    CHECK_EQUAL(quecota_on_fetch_data(device, NULL, 1), QUECOTA_FLOW_STOP);
    CHECK_EQUAL(quecota_set_product(device, NULL, "secret"), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_set_product(device, "key", NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_set_product(device, "", "secret"), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_set_product(device, "key", "\xFF\xFE"), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_set_product(device, endless, "secret"), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_set_server(device, NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_set_server(device, ""), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_set_device(device, NULL, NULL), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_user_name(device, NULL), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_lifetime(device, 0), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_set_app_version(device, NULL), QUECOTA_OK);
    CHECK_EQUAL(quecota_set_mcu_version(device, NULL, "1"), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_set_mcu_version(device, "", "1"), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_set_mcu_version(device, "MCU", NULL), QUECOTA_OK);
    CHECK_EQUAL(quecota_get_mcu_version(device, "MCU", NULL, 4), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_get_mcu_version(device, NULL, text, sizeof text), QUECOTA_OK);
    CHECK_EQUAL(text[0], 0);
    CHECK_EQUAL(quecota_set_mode(device, 2), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_log(device, QUECOTA_LEVEL_INFO, NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_log(device, 0, "line"), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_ota_action(device, 4), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_ota_action(device, 257), QUECOTA_ERROR_VALUE);
    CHECK_EQUAL(quecota_ota_read(device, 0, NULL, 4, &count), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_ota_read(device, 0, data, 4, NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_ota_read(device, 0, data, 0, &count), QUECOTA_ERROR_VALUE);
    CHECK(quecota_ota_read(device, 0, data, 4, &count) != QUECOTA_OK);
    CHECK_EQUAL(quecota_ota_progress(device, NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_set_event_callback(device, NULL, NULL), QUECOTA_OK);
}

static unsigned reentries;

static void call_back_from_log(quecota_t *device)
{
    uint32_t count;
    uint8_t data[4];
    reentries++;
    CHECK_EQUAL(quecota_set_mode(device, QUECOTA_MODE_REQUEST), QUECOTA_ERROR_REENTRY);
    CHECK_EQUAL(quecota_ota_read(device, 0, data, sizeof data, &count), QUECOTA_ERROR_REENTRY);
    CHECK_EQUAL(quecota_on_link(device, QUECOTA_LINK_LOST, 0), QUECOTA_ERROR_REENTRY);
    CHECK_EQUAL(quecota_poll(device), 1000);
}

/* Without a lock a call from inside a platform function is noticed, not undefined. */
static void calls_from_inside_the_platform_are_refused(void)
{
    quecota_config_t good = config();
    quecota_t *device;
    fake_init(&fake);
    fake.system.lock = fake.system.unlock = NULL;
    CHECK_EQUAL(quecota_init(memory, sizeof memory[0], &good, &fake.platform, &device), QUECOTA_OK);
    fake.device = device;
    fake.in_log = call_back_from_log;
    CHECK_EQUAL(quecota_log(device, QUECOTA_LEVEL_WARN, "a line"), QUECOTA_OK);
    CHECK_EQUAL(reentries, 1);
    CHECK(strcmp(fake.line, "a line") == 0);
}

int main(void)
{
    quecota_config_t good = config();
    quecota_t *device = NULL, *none;

    CHECK(strcmp(quecota_error_text(QUECOTA_OK), "no error") == 0);
    CHECK(strcmp(quecota_error_text(-5), "unknown error code") == 0);
    CHECK(strstr(quecota_version(), ".") != NULL);

    /* NULL, and memory in which no device was made. */
    CHECK_EQUAL(quecota_start(NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_deinit(NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_set_event_callback(NULL, NULL, NULL), QUECOTA_ERROR_NULL);
    CHECK_EQUAL(quecota_log(NULL, QUECOTA_LEVEL_INFO, "line"), QUECOTA_ERROR_NULL);
    every_call_refuses(NULL, QUECOTA_ERROR_NULL);
    none = (quecota_t *)&memory[1];
    CHECK_EQUAL(quecota_start(none), QUECOTA_ERROR_NULL);
    every_call_refuses(none, QUECOTA_ERROR_NULL);

    init_is_particular();
    a_longer_struct_is_taken();
    calls_from_inside_the_platform_are_refused();

    fake_init(&fake);
    CHECK_EQUAL(quecota_init(memory, sizeof memory[0], &good, &fake.platform, &device), QUECOTA_OK);
    every_call_refuses(device, QUECOTA_ERROR_STARTED);
    CHECK_EQUAL(quecota_start(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_start(device), QUECOTA_ERROR_STARTED);
    null_arguments_are_refused(device);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_OK);
    CHECK_EQUAL(quecota_deinit(device), QUECOTA_ERROR_NULL);
    every_call_refuses(device, QUECOTA_ERROR_NULL);
    puts("native_refusals: passed");
    return 0;
}
