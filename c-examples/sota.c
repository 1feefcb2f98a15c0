/* sota: firmware for an external MCU over the air (SOTA), from the plan to the new version.
 *
 *     sota --server mqtt://127.0.0.1:1883 --product-key PK --product-secret PS --flash mcu.bin
 *
 * The MCU is played by a file, its "flash". What a product replaces is the section "The MCU": there the bytes would go
 * over a UART to a boot loader. Everything else can stay as it is.
 *
 * One line per step goes to stdout; those of OTA events begin with the event's code. Errors go to stderr.
 *
 * An upgrade is taken up again after any crash: the library keeps the download, this program the half-written image
 * (FLASH.new) and the version that the MCU runs (FLASH.version).
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "Ql_iotApi.h"
#include "quecota.h" /* for --checkpoints only, which the QuecThing SDK does not have */

#include "md5.h"

#define COMPONENT_MAX       32
#define VERSION_MAX         64
#define PATH_SIZE           1024
#define READ_SIZE           1024 /* what fits a UART frame of the MCU */
#define CHECKPOINT_INTERVAL (16 * 1024)
#define DIGEST_SIZE         32
#define SILENCE_MAX         120 /* seconds; every state of an upgrade has an event or an end within a minute */
/* Fields of the longest event text, and one more to notice a longer one. */
#define WORDS 8

/* ----------------------------------------------------------------------------------------------- what we are told */

static struct {
    const char *server;
    const char *product_key;
    const char *product_secret;
    const char *component;
    const char *version; /* of a brand-new MCU; later FLASH.version says what it runs */
    const char *flash;
    unsigned request_every; /* seconds */
    unsigned battery;       /* per cent */
    int once;
    int checkpoints;
} options;

static const char usage[] =
    "usage: sota --server URL --product-key PK --product-secret PS --flash FILE [options]\n"
    "\n"
    "  --server URL             mqtt://host:port or mqtts://host:port      (SOTA_SERVER)\n"
    "  --product-key PK         of the product in Developer Center         (SOTA_PRODUCT_KEY)\n"
    "  --product-secret PS      likewise                                   (SOTA_PRODUCT_SECRET)\n"
    "  --flash FILE             plays the flash memory of the MCU          (SOTA_FLASH)\n"
    "  --component NAME         component identifier, default STM32        (SOTA_COMPONENT)\n"
    "  --version VERSION        what a new MCU runs, default 1_0_0         (SOTA_VERSION)\n"
    "  --request-every SECONDS  how often to ask for a plan, default 5     (SOTA_REQUEST_EVERY)\n"
    "  --battery PERCENT        what the board's battery holds, default 100 (SOTA_BATTERY)\n"
    "  --checkpoints            keep the place in the image each 16 KB, so that an image larger than the library's\n"
    "                           staging area goes on there after a power cut\n"
    "  --once                   end after one upgrade: 0 if it succeeded, 1 if not\n";

/* -------------------------------------------------------------------------------------------------------- talking */

/* main() and the library's thread both talk. */
static pthread_mutex_t talking = PTHREAD_MUTEX_INITIALIZER;
static int progress_is_open; /* the cursor stands behind a progress bar */

static void say(FILE *to, const char *prefix, const char *format, va_list values)
{
    pthread_mutex_lock(&talking);
    if (progress_is_open) {
        fputc('\n', stdout);
        progress_is_open = 0;
    }
    fputs(prefix, to);
    vfprintf(to, format, values);
    fputc('\n', to);
    fflush(to);
    pthread_mutex_unlock(&talking);
}

static void step(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    say(stdout, "", format, values);
    va_end(values);
}

static void error(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    say(stderr, "sota: ", format, values);
    va_end(values);
}

/* A bar that redraws itself on a terminal. Elsewhere the lines of the pieces are enough. */
static void show_progress(quint32_t done, quint32_t total)
{
    enum { WIDTH = 40 };
    char bar[WIDTH + 1];
    int filled = total == 0 ? WIDTH : (int)((unsigned long long)done * WIDTH / total);
    int i;

    if (!isatty(STDOUT_FILENO)) {
        return;
    }
    for (i = 0; i < WIDTH; i++) {
        bar[i] = i < filled ? '#' : '.';
    }
    bar[WIDTH] = '\0';
    pthread_mutex_lock(&talking);
    printf("\r[%s] %u of %u bytes", bar, done, total);
    fflush(stdout);
    progress_is_open = 1;
    pthread_mutex_unlock(&talking);
}

/* -------------------------------------------------------------------------------------------------------- The MCU
 *
 * It has two slots, as MCUs with a boot loader have: FLASH, which it runs, and FLASH.new, which is written.
 * FLASH.version says what it runs. FLASH.version.new is the mark that the new slot is verified and to be activated;
 * whoever finds it ends the change of slots, also after a power cut in the middle of it.
 */

static char slot_running[PATH_SIZE], slot_new[PATH_SIZE], version_running[PATH_SIZE], version_new[PATH_SIZE];

/* 0: not all paths fit. */
static int mcu_paths(const char *flash)
{
    return snprintf(slot_running, PATH_SIZE, "%s", flash) < PATH_SIZE - 16 &&
           snprintf(slot_new, PATH_SIZE, "%s.new", flash) < PATH_SIZE &&
           snprintf(version_running, PATH_SIZE, "%s.version", flash) < PATH_SIZE &&
           snprintf(version_new, PATH_SIZE, "%s.version.new", flash) < PATH_SIZE;
}

/* Makes a renamed or created file outlive a power cut. Losing that costs an upgrade, never a wrong one. */
static void sync_folder_of(const char *path)
{
    char folder[PATH_SIZE];
    char *slash;
    int fd;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL) {
        strcpy(folder, ".");
    } else {
        slash[slash == folder] = '\0';
    }
    fd = open(folder, O_RDONLY);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* 0: failed, and said so. */
static int store_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    int good;

    if (file == NULL) {
        error("cannot write %s: %s", path, strerror(errno));
        return 0;
    }
    good = fprintf(file, "%s\n", text) > 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (fclose(file) != 0 || !good) {
        error("cannot write %s: %s", path, strerror(errno));
        return 0;
    }
    return 1;
}

static int move(const char *from, const char *to)
{
    if (rename(from, to) != 0) {
        error("cannot rename %s to %s: %s", from, to, strerror(errno));
        return 0;
    }
    sync_folder_of(to);
    return 1;
}

static int exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* What the MCU's boot loader does at power-on: changes slots if it is marked, then says what it runs.
 * 0: it does not start. */
static int mcu_power_on(char version[VERSION_MAX + 1])
{
    FILE *file;

    if (exists(version_new)) {
        /* Without the image it has changed places already, and only its version has not. */
        if ((exists(slot_new) && !move(slot_new, slot_running)) || !move(version_new, version_running)) {
            return 0;
        }
    }
    if (!exists(version_running)) {
        if (!store_text(version_running, options.version)) {
            return 0;
        }
    }
    file = fopen(version_running, "r");
    if (file == NULL || fgets(version, VERSION_MAX + 1, file) == NULL) {
        error("cannot read %s", version_running);
        if (file != NULL) {
            fclose(file);
        }
        return 0;
    }
    fclose(file);
    version[strcspn(version, "\r\n")] = '\0';
    return 1;
}

/* Writes to the slot that does not run. What an earlier attempt left there is overwritten. 0: failed, and said so. */
static int mcu_write(int slot, quint32_t offset, const quint8_t *data, quint32_t length)
{
    while (length > 0) {
        ssize_t written = pwrite(slot, data, length, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            error("cannot write %s at byte %u: %s", slot_new, offset, strerror(written < 0 ? errno : ENOSPC));
            return 0;
        }
        data += written;
        offset += (quint32_t)written;
        length -= (quint32_t)written;
    }
    return 1;
}

/* MD5 of the image as the MCU reads it back: this finds errors of the UART and of the flash as well. */
static int mcu_digest(quint32_t size, char text[MD5_TEXT])
{
    quint8_t buffer[READ_SIZE];
    quint32_t offset = 0;
    struct md5 md5;
    int slot = open(slot_new, O_RDONLY);

    if (slot < 0) {
        error("cannot read %s: %s", slot_new, strerror(errno));
        return 0;
    }
    md5_begin(&md5);
    while (offset < size) {
        size_t want = size - offset < sizeof(buffer) ? size - offset : sizeof(buffer);
        ssize_t got = read(slot, buffer, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            error("cannot read %s at byte %u", slot_new, offset);
            close(slot);
            return 0;
        }
        md5_add(&md5, buffer, (size_t)got);
        offset += (quint32_t)got;
    }
    close(slot);
    md5_end(&md5, text);
    return 1;
}

/* Marks the new slot for the next power-on. The mark appears whole or not at all. */
static int mcu_mark(const char *version)
{
    char draft[PATH_SIZE + 8];

    snprintf(draft, sizeof(draft), "%s.draft", version_new);
    return store_text(draft, version) && move(draft, version_new);
}

static void mcu_unmark(void)
{
    (void)unlink(version_new);
}

/* ---------------------------------------------------------------------------------------------------- the upgrade */

enum phase { IDLE, RUNNING, ACTIVATE, SUCCEEDED, FAILED };

/* What the event callback tells main(). */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum phase phase;
    time_t last_event;
} news = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, IDLE, 0 };

/* What is being installed. The event callback's own: the library calls it from one thread. */
static struct {
    char target[VERSION_MAX + 1];
    char md5[DIGEST_SIZE + 1];
    quint32_t size;
} upgrade;

static time_t seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void enter(enum phase phase)
{
    pthread_mutex_lock(&news.lock);
    news.phase = phase;
    pthread_cond_signal(&news.changed);
    pthread_mutex_unlock(&news.lock);
}

/* 0: the text is no number. */
static int number(const char *text, quint32_t *value)
{
    char *end;
    unsigned long parsed;

    errno = 0;
    parsed = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || parsed > 0xFFFFFFFFul) {
        return 0;
    }
    *value = (quint32_t)parsed;
    return 1;
}

/* "comp","srcVer","tgtVer",battery,signal,space */
static void on_plan(char **words, quint32_t count)
{
    const char *component, *source, *target;
    quint32_t battery;

    if (count < 6 || !number(words[3], &battery)) {
        error("a plan that cannot be read");
        return;
    }
    component = Quos_stringRemoveMarks(words[0]);
    source = Quos_stringRemoveMarks(words[1]);
    target = Quos_stringRemoveMarks(words[2]);
    step("10700 plan component=%s from=%s to=%s battery=%u signal=%s space=%s", component, source, target, battery,
         words[4], words[5]);

    /* Here an application looks whether now is a good time: battery, signal, is the machine at rest? */
    if (strcmp(component, options.component) != 0) {
        error("the plan is for %s, we have %s: refused", component, options.component);
        (void)Ql_iotCmdOtaAction(0);
        return;
    }
    if (options.battery < battery) {
        error("battery %u %%, the plan wants %u %%: refused", options.battery, battery);
        (void)Ql_iotCmdOtaAction(0);
        return;
    }
    if (!Ql_iotCmdOtaAction(1)) {
        error("the plan cannot be confirmed now");
        return;
    }
    snprintf(upgrade.target, sizeof(upgrade.target), "%s", target);
    enter(RUNNING);
}

/* "comp",size,"md5",crc */
static void on_start(char **words, quint32_t count)
{
    if (count < 3 || !number(words[1], &upgrade.size)) {
        error("a download that cannot be read");
        return;
    }
    snprintf(upgrade.md5, sizeof(upgrade.md5), "%s", Quos_stringRemoveMarks(words[2]));
    step("10701 download component=%s size=%u md5=%s", Quos_stringRemoveMarks(words[0]), upgrade.size, upgrade.md5);
    mcu_unmark();
}

/* Everything before `offset` is in the MCU's flash: after a power cut the library goes on there. 0: failed. */
static int checkpoint(int slot, quint32_t offset)
{
    /* First the bytes, then the checkpoint. */
    if (fsync(slot) != 0) {
        error("cannot write %s: %s", slot_new, strerror(errno));
        return 0;
    }
    if (quecota_ota_checkpoint(quecota_default_device(), offset) != QUECOTA_OK) {
        /* Costs a longer download after a power cut, and nothing else. */
        error("no checkpoint at %u", offset);
    }
    return 1;
}

/* Copies one piece from the library to the MCU. 0: failed, and said so. */
static int copy_piece(int slot, quint32_t start, quint32_t length, quint32_t size)
{
    quint8_t buffer[READ_SIZE];
    quint32_t offset = start;
    quint32_t end = start + length;

    while (offset < end) {
        quint32_t want = end - offset < sizeof(buffer) ? end - offset : (quint32_t)sizeof(buffer);
        /* The address counts from the start of the whole file, not of the piece. */
        quint32_t got = Ql_iotCmdOtaMcuFWDataRead(offset, buffer, want);
        if (got == 0 || got > want) {
            error("cannot read the firmware at byte %u", offset);
            return 0;
        }
        if (!mcu_write(slot, offset, buffer, got)) {
            return 0;
        }
        offset += got;
        show_progress(offset, size);
        if (options.checkpoints && (offset % CHECKPOINT_INTERVAL == 0 || offset == end) && !checkpoint(slot, offset)) {
            return 0;
        }
    }
    /* Before the next piece is asked for: the library lets go of this one. */
    if (fsync(slot) != 0) {
        error("cannot write %s: %s", slot_new, strerror(errno));
        return 0;
    }
    return 1;
}

/* All pieces are in the new slot: is it the image that was announced? 0: no, and said so. */
static int image_is_good(quint32_t size)
{
    char md5[MD5_TEXT];

    if (!mcu_digest(size, md5)) {
        return 0;
    }
    if (strcmp(md5, upgrade.md5) != 0) {
        error("the MCU's image has MD5 %s, announced was %s: not activated", md5, upgrade.md5);
        return 0;
    }
    step("verified md5=%s", md5);
    return 1;
}

/* "comp",totalSize,startAddr,pieceLen */
static void on_piece(char **words, quint32_t count)
{
    quint32_t size, start, length;
    int slot, good;

    if (count < 4 || !number(words[1], &size) || !number(words[2], &start) || !number(words[3], &length) ||
        start > size || length > size - start) {
        error("a piece that cannot be read");
        return;
    }
    step("10703 piece component=%s size=%u start=%u length=%u", Quos_stringRemoveMarks(words[0]), size, start, length);

    slot = open(slot_new, O_RDWR | O_CREAT, 0644);
    if (slot < 0) {
        error("cannot open %s: %s", slot_new, strerror(errno));
        return;
    }
    /* An earlier, longer image leaves no tail. */
    good = ftruncate(slot, (off_t)size) == 0;
    if (!good) {
        error("cannot make %s %u bytes long: %s", slot_new, size, strerror(errno));
    }
    good = good && copy_piece(slot, start, length, size);
    if (close(slot) != 0 && good) {
        error("cannot write %s: %s", slot_new, strerror(errno));
        good = 0;
    }
    if (!good) {
        /* Nothing more is read; within a minute the library ends the upgrade as failed. */
        return;
    }

    if (start + length < size) {
        if (!Ql_iotCmdOtaAction(2)) {
            error("the next piece is refused");
        }
    } else if (image_is_good(size) && mcu_mark(upgrade.target) && !Ql_iotCmdOtaAction(3)) {
        error("the update is refused");
        mcu_unmark();
    }
}

static void on_ota(qint32_t code, char **words, quint32_t count)
{
    pthread_mutex_lock(&news.lock);
    news.last_event = seconds();
    pthread_mutex_unlock(&news.lock);

    switch (code) {
    case QIOT_OTA_TASK_NOTIFY:
        on_plan(words, count);
        break;
    case QIOT_OTA_START:
        on_start(words, count);
        break;
    case QIOT_OTA_DOWNLOADING:
        step("10702 downloading");
        break;
    case QIOT_OTA_DOWNLOADED:
        on_piece(words, count);
        break;
    case QIOT_OTA_UPDATING:
        step("10704 updating");
        /* Restarting the MCU takes its time: main() does it, not the library's thread. */
        enter(ACTIVATE);
        break;
    case QIOT_OTA_UPDATE_OK:
        step("10705 updated");
        enter(SUCCEEDED);
        break;
    case QIOT_OTA_UPDATE_FAIL:
        step("10706 failed");
        enter(FAILED);
        break;
    default:
        step("%d", code);
        break;
    }
}

static void on_event(quint32_t event, qint32_t code, const void *value, quint32_t length)
{
    char *words[WORDS] = { NULL };
    quint32_t count = 0;

    if (event != QIOT_ATEVENT_TYPE_OTA) {
        step("event %u,%d", event, code);
        return;
    }
    /* Only these are text. The value is ours to write on while we are in here. */
    if (value != NULL && (code == QIOT_OTA_TASK_NOTIFY || code == QIOT_OTA_START || code == QIOT_OTA_DOWNLOADED)) {
        count = Quos_stringSplit((char *)value, length, words, WORDS, ",", FALSE);
    }
    on_ota(code, words, count);
}

/* ----------------------------------------------------------------------------------------------------------- main */

static volatile sig_atomic_t interrupted;

static void on_signal(int number_of_signal)
{
    (void)number_of_signal;
    interrupted = 1;
}

/* An option's value: behind its name, or in the environment. */
static const char *given(int argc, char **argv, const char *name, const char *variable, const char *otherwise)
{
    const char *value = getenv(variable);
    int i;

    for (i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            value = argv[i + 1];
        }
    }
    return value != NULL && *value != '\0' ? value : otherwise;
}

/* 0: cannot be used, and said so. */
static int read_options(int argc, char **argv)
{
    static const char *const known[] = { "--server",    "--product-key", "--product-secret", "--component", "--version",
                                         "--flash",     "--request-every", "--battery" };
    const char *text;
    int i;

    for (i = 1; i < argc; i++) {
        size_t k;
        if (strcmp(argv[i], "--once") == 0) {
            options.once = 1;
            continue;
        }
        if (strcmp(argv[i], "--checkpoints") == 0) {
            options.checkpoints = 1;
            continue;
        }
        for (k = 0; k < sizeof(known) / sizeof(known[0]) && strcmp(argv[i], known[k]) != 0; k++) {
        }
        if (k == sizeof(known) / sizeof(known[0])) {
            error("unknown option %s\n\n%s", argv[i], usage);
            return 0;
        }
        if (++i == argc) {
            error("%s needs a value\n\n%s", argv[i - 1], usage);
            return 0;
        }
    }
    options.server = given(argc, argv, "--server", "SOTA_SERVER", NULL);
    options.product_key = given(argc, argv, "--product-key", "SOTA_PRODUCT_KEY", NULL);
    options.product_secret = given(argc, argv, "--product-secret", "SOTA_PRODUCT_SECRET", NULL);
    options.component = given(argc, argv, "--component", "SOTA_COMPONENT", "STM32");
    options.version = given(argc, argv, "--version", "SOTA_VERSION", "1_0_0");
    options.flash = given(argc, argv, "--flash", "SOTA_FLASH", NULL);

    if (options.server == NULL || options.product_key == NULL || options.product_secret == NULL ||
        options.flash == NULL) {
        error("--server, --product-key, --product-secret and --flash are needed\n\n%s", usage);
        return 0;
    }
    if (strlen(options.component) > COMPONENT_MAX) {
        error("--component %s: at most %d characters", options.component, COMPONENT_MAX);
        return 0;
    }
    if (strlen(options.version) > VERSION_MAX) {
        error("--version %s: at most %d characters", options.version, VERSION_MAX);
        return 0;
    }
    text = given(argc, argv, "--request-every", "SOTA_REQUEST_EVERY", "5");
    if (!number(text, &options.request_every) || options.request_every < 1 || options.request_every > 86400) {
        error("--request-every %s: must be 1 to 86400 seconds", text);
        return 0;
    }
    text = given(argc, argv, "--battery", "SOTA_BATTERY", "100");
    if (!number(text, &options.battery) || options.battery > 100) {
        error("--battery %s: must be 0 to 100 per cent", text);
        return 0;
    }
    if (!mcu_paths(options.flash)) {
        error("--flash: the path is longer than %d bytes", PATH_SIZE - 17);
        return 0;
    }
    return 1;
}

/* 0: the library refuses something, and it was said what. */
static int connect_device(const char *version)
{
    if (!Ql_iotInit()) {
        error("the library does not start; its log says why");
        return 0;
    }
    Ql_iotConfigSetEventCB(on_event);
    if (!Ql_iotConfigSetProductinfo(options.product_key, options.product_secret)) {
        error("product key %s or its secret is not accepted", options.product_key);
        return 0;
    }
    if (!Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, options.server)) {
        error("server %s: must be mqtt://host:port or mqtts://host:port, shorter than 64 characters", options.server);
        return 0;
    }
    /* What the MCU runs. If an upgrade was under way, this decides whether it succeeded. */
    if (!Ql_iotConfigSetMcuVersion(options.component, version)) {
        error("component %s or version %s is not accepted", options.component, version);
        return 0;
    }
    if (!Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ)) {
        error("the connection to %s cannot be started", options.server);
        return 0;
    }
    return 1;
}

/* What is to be done: at once if something is, else after a quarter of a second. */
static enum phase next_phase(void)
{
    struct timespec until;
    enum phase phase;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 250000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec += 1;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&news.lock);
    if (news.phase == IDLE || news.phase == RUNNING) {
        (void)pthread_cond_timedwait(&news.changed, &news.lock, &until);
    }
    if (news.phase == RUNNING && seconds() - news.last_event > SILENCE_MAX) {
        error("no news of the upgrade for %d s: asking for a plan again", SILENCE_MAX);
        news.phase = IDLE;
    }
    phase = news.phase;
    if (phase == ACTIVATE) {
        news.phase = RUNNING;
    } else if (phase != RUNNING) {
        news.phase = IDLE;
    }
    pthread_mutex_unlock(&news.lock);
    return phase;
}

/* Restarts the MCU, which then runs the image that was marked, and reports the version. */
static void restart_mcu(void)
{
    char version[VERSION_MAX + 1];

    if (!mcu_power_on(version)) {
        return;
    }
    step("mcu restarted version=%s", version);
    if (!Ql_iotConfigSetMcuVersion(options.component, version)) {
        error("the version %s cannot be reported", version);
    }
}

/* Returns when one upgrade has ended and --once was given (its exit code), or at a signal. */
static int run(void)
{
    time_t next_request = seconds();

    while (!interrupted) {
        enum phase phase = next_phase();

        if (phase == ACTIVATE) {
            restart_mcu();
        } else if (phase == SUCCEEDED || phase == FAILED) {
            if (options.once) {
                return phase == SUCCEEDED ? EXIT_SUCCESS : EXIT_FAILURE;
            }
        } else if (phase == IDLE && Ql_iotGetWorkState() == QIOT_STATE_SUBSCRIBED && seconds() >= next_request) {
            /* FALSE means that the link has just gone: the next round asks again. */
            if (Ql_iotCmdOtaRequest(0)) {
                step("request an upgrade plan");
            }
            next_request = seconds() + (time_t)options.request_every;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct sigaction action;
    char version[VERSION_MAX + 1];
    int result;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (!read_options(argc, argv)) {
        return EXIT_FAILURE;
    }
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    if (!mcu_power_on(version)) {
        return EXIT_FAILURE;
    }
    step("mcu component=%s version=%s", options.component, version);
    if (!connect_device(version)) {
        return EXIT_FAILURE;
    }
    result = run();
    if (!interrupted) {
        /* The report of the result is on its way while its event is here. */
        struct timespec moment = { 2, 0 };
        nanosleep(&moment, NULL);
    }
    (void)Ql_iotConfigSetConnmode(QIOT_CONNMODE_IDLE);
    return result;
}
