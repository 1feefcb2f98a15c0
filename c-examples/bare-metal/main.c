/* The firmware: one device that upgrades itself.
 *
 * The task polls the library. A timer interrupt is the network: it reads what the serial port has received and makes the
 * quecota_on_*() calls. The library's lock masks that interrupt, and nothing more urgent. */
#include "board.h"
#include "console.h"
#include "core.h"
#include "flash.h"
#include "http.h"
#include "link.h"
#include "mqtt.h"
#include "semihosting.h"
#include "serial.h"
#include "settings.h"
#include "stack.h"

#include <string.h>

#define RESTART_MS         200    /* between apply() and the restart: the library stores what it did */
#define REQUEST_MS         2000   /* between two questions for a plan */
#define RESULT_MS          3000   /* for the report of the result */
#define NET_TIMER_PER_S    1000
#define RANDOM_OF_THE_HOST "/dev/urandom"

static settings_t settings;
static quecota_t *device;
static uint32_t masked_before;
static volatile int is_woken;
static int is_restart_due, has_ended, has_succeeded;
/* Bytes of stack, the port's own functions among them. */
static struct {
    uint32_t init, start, poll, interrupts;
} deepest;

/* -------------------------------------------------------------------------------------------------- the platform's last part */

static uint32_t millis(void *ctx)
{
    (void)ctx;
    return core_millis();
}

/* A real board has a generator; clock and serial number are none. */
static void random_bytes(void *ctx, uint8_t *data, uint32_t length)
{
    static int32_t file;
    (void)ctx;
    if (file == 0) file = host_open(RANDOM_OF_THE_HOST, 0);
    if (file < 0 || !host_read(file, 0, data, length)) {
        console_print("there are no random numbers\n");
        console_exit(1);
    }
}

static const char *device_key(void *ctx)
{
    (void)ctx;
    return settings.device_key;
}

/* The lock is taken by the task and by the network's interrupt, which is not interrupted by the task: one variable is enough. */
static void lock(void *ctx)
{
    uint32_t before = core_mask_net();
    (void)ctx;
    masked_before = before;
}

static void unlock(void *ctx)
{
    (void)ctx;
    core_unmask(masked_before);
}

static void wake(void *ctx)
{
    (void)ctx;
    is_woken = 1;
}

static void log_line(void *ctx, quecota_level_t level, const char *line, uint32_t length)
{
    (void)ctx, (void)length;
    if (level > QUECOTA_LEVEL_WARN) return;
    console_print("quecota: ");
    console_print(line);
    console_print("\n");
}

static const char *module_version(void *ctx)
{
    (void)ctx;
    return FIRMWARE_VERSION;
}

/* Leaves the loader a record that says what is staged; after a power cut in here, the library calls again. */
static int32_t apply(void *ctx, uint32_t length)
{
    boot_record_t record = { .magic = BOOT_MAGIC, .length = length };

    (void)ctx;
    if (!flash_crc(IMAGE, length, &record.crc)) return -1;
    record.check = record.magic ^ record.length ^ record.crc;
    if (!flash_erase(BOOT) || !flash_program(BOOT, &record, sizeof record)) return -1;
    console_print("apply\n");
    is_restart_due = 1;
    return RESTART_MS;
}

static const quecota_transport_t transport = {
    .size = sizeof transport,
    .connect = mqtt_connect,
    .disconnect = mqtt_disconnect,
    .subscribe = mqtt_subscribe,
    .publish = mqtt_publish,
    .fetch = http_fetch,
    .fetch_cancel = http_fetch_cancel,
};

static const quecota_system_t facts = {
    .size = sizeof facts,
    .millis = millis,
    .random = random_bytes,
    .device_key = device_key,
    .lock = lock,
    .unlock = unlock,
    .wake = wake,
    .log = log_line,
    .module_version = module_version,
    .apply = apply,
};

static const quecota_platform_t platform = {
    .size = sizeof platform,
    .transport = &transport,
    .storage = &flash_storage,
    .system = &facts,
};

/* --------------------------------------------------------------------------------------------------------------- the network */

#define NET_TIMER_REGISTER(offset) (*(volatile uint32_t *)(NET_TIMER + (offset)))

void net_interrupt(void);
void net_interrupt(void)
{
    NET_TIMER_REGISTER(0x0Cu) = 1; /* taken */
    link_step();
    mqtt_step(core_millis());
}

static void net_begin(void)
{
    mqtt_begin(device);
    http_begin(device);
    serial_begin();
    link_begin();
    NET_TIMER_REGISTER(0x08u) = NET_TIMER_HZ / NET_TIMER_PER_S - 1; /* reload */
    NET_TIMER_REGISTER(0x00u) = 9;                                  /* on, with interrupt */
    core_enable_interrupt(NET_TIMER_IRQ, PRIORITY_NET);
}

/* ----------------------------------------------------------------------------------------------------------- the application */

static void print_event(int32_t code, uint32_t length, const char *value)
{
    console_number(code);
    if (length > 0) {
        console_print(" ");
        console_print(value);
    }
    console_print("\n");
}

static void on_event(void *ctx, uint32_t event, int32_t code, void *value, uint32_t length)
{
    (void)ctx;
    if (event != QUECOTA_EVENT_OTA) return;
    print_event(code, length, value);
    if (code == QUECOTA_OTA_PLAN) (void)quecota_ota_action(device, QUECOTA_ACTION_CONFIRM);
    if (code != QUECOTA_OTA_SUCCESS && code != QUECOTA_OTA_FAILED) return;
    has_ended = 1;
    has_succeeded = code == QUECOTA_OTA_SUCCESS;
}

/* Prints what is deeper than before. */
static void note_stack(const char *of, uint32_t bytes, uint32_t *known)
{
    if (bytes <= *known) return;
    *known = bytes;
    console_print("stack ");
    console_print(of);
    console_print(" ");
    console_number((int32_t)bytes);
    console_print("\n");
}

static quecota_error_t begin(void)
{
    static quecota_memory_t memory;
    static uint8_t receive[QUECOTA_RECEIVE_MIN];
    const quecota_config_t config = { .size = sizeof config, .receive = receive, .receive_size = sizeof receive, .event = on_event };
    quecota_error_t error;

    stack_paint();
    error = quecota_init(&memory, sizeof memory, &config, &platform, &device);
    note_stack("init", stack_deepest(), &deepest.init);
    if (error != QUECOTA_OK) return error;
    net_begin();
    stack_paint();
    error = quecota_start(device);
    note_stack("start", stack_deepest(), &deepest.start);
    if (error == QUECOTA_OK) error = quecota_set_product(device, settings.product_key, settings.product_secret);
    if (error == QUECOTA_OK) error = quecota_set_server(device, settings.server);
    if (error == QUECOTA_OK) error = quecota_set_mode(device, QUECOTA_MODE_REQUEST);
    return error;
}

/* On a new board, the library checks what flash.c promises; there is nothing yet that this could erase. */
static int storage_is_right(void)
{
    quecota_storage_fault_t fault = { .size = sizeof fault };

    if (!flash_is_erased(JOURNAL, JOURNAL_SIZE)) return 1;
    if (quecota_check_storage(&flash_storage, &fault) == QUECOTA_OK) return 1;
    console_print("storage: ");
    console_print(fault.rule ? fault.rule : "the table");
    console_print("\n");
    return 0;
}

/* Asks for a plan, unless there is one. */
static void request(uint32_t *last)
{
    quecota_progress_t progress;

    if (core_millis() - *last < REQUEST_MS || quecota_get_work_state(device) != QUECOTA_STATE_SUBSCRIBED) return;
    *last = core_millis();
    if (quecota_ota_progress(device, &progress) == QUECOTA_OK && progress.state == 0) (void)quecota_ota_request(device, 0);
}

int main(void)
{
    uint32_t pause, since, last_request = 0u - REQUEST_MS, ended = 0;

    core_begin();
    if (!settings_read(&settings) || !flash_open(settings.flash)) return 1;
    console_print("firmware " FIRMWARE_VERSION "\n");
    if (!storage_is_right() || begin() != QUECOTA_OK) return 1; /* the log says why */
    for (;;) {
        is_woken = 0;
        stack_paint();
        pause = quecota_poll(device);
        note_stack("poll", stack_deepest(), &deepest.poll);
        note_stack("interrupts", stack_of_interrupts(), &deepest.interrupts);
        if (has_ended && ended == 0) ended = core_millis();
        if (has_ended && core_millis() - ended > RESULT_MS) break;
        request(&last_request);
        for (since = core_millis(); !is_woken && core_millis() - since < (pause < RESTART_MS ? pause : RESTART_MS);) core_wait();
        if (is_restart_due && core_millis() - since >= RESTART_MS / 2) core_reset();
    }
    return has_succeeded ? 0 : 3; /* a product goes on */
}
