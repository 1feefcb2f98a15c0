/* The Linux platform in a process with closed descriptors, broken pipes, signals and forks. Each part runs in a process of
 * its own. */
#define _GNU_SOURCE
#include "Ql_iotApi.h"

#include "fake_platform.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[64];
static atomic_int heard;

static void on_event(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    (void)event, (void)errcode, (void)value, (void)valLen;
    heard = 1;
}

/* A device that tries a port without a listener: threads, log lines, an event. */
static void connect_in_vain(void)
{
    struct timespec tick = {0, 10 * 1000 * 1000};
    Ql_iotConfigSetEventCB(on_event);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("p1demo", "ZGVtby1zZWNyZXQtMDAx"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "mqtt://127.0.0.1:1"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), TRUE);
    for (int i = 0; !heard; i++) {
        CHECK(i < 1000);
        nanosleep(&tick, NULL);
    }
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A daemon closed its standard descriptors: what it prints must not land in the journal. */
static void descriptors_of_a_daemon_stay_free(void)
{
    char path[64], file[256], inherited[256];
    close(0), close(1), close(2);
    for (int descriptor = 0; descriptor < 256; descriptor++) inherited[descriptor] = fcntl(descriptor, F_GETFD) != -1;
    connect_in_vain();
    for (int descriptor = 0; descriptor < 256; descriptor++) {
        int flags = fcntl(descriptor, F_GETFD);
        ssize_t length;
        if (flags == -1 || inherited[descriptor]) continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        length = readlink(path, file, sizeof file - 1);
        if (length < 0) continue;
        file[length] = 0;
        if (descriptor <= 2 && strcmp(file, "/dev/null") != 0) _exit(10 + descriptor);
        if (!(flags & FD_CLOEXEC)) _exit(20);
    }
}

/* A log line that cannot be written is dropped; the process lives on. */
static void a_reader_of_the_log_that_is_gone_ends_nothing(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(dup2(ends[1], 2) == 2);
    close(ends[0]), close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
    connect_in_vain();
    /* In this thread, too. */
    CHECK_EQUAL(quecota_log(quecota_default_device(), QUECOTA_LEVEL_ERROR, "a line"), QUECOTA_OK);
}

/* The application waits for SIGTERM itself; no thread of the library takes it. */
static void a_signal_comes_to_the_application(void)
{
    struct timespec limit = {10, 0};
    sigset_t set;
    connect_in_vain();
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(kill(getpid(), SIGTERM) == 0);
    CHECK_EQUAL(sigtimedwait(&set, NULL, &limit), SIGTERM);
}

static pthread_t application;

static void never_in_the_application_s_thread(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    CHECK(!pthread_equal(pthread_self(), application));
    on_event(event, errcode, value, valLen);
}

/* The library's thread polls, and nobody else: a poll of the application returns at once, with 1000. */
static void a_poll_of_the_application_does_nothing(void)
{
    application = pthread_self();
    Ql_iotConfigSetEventCB(never_in_the_application_s_thread);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("p1demo", "ZGVtby1zZWNyZXQtMDAx"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "mqtt://127.0.0.1:1"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), TRUE);
    for (int i = 0; i < 100000 || !heard; i++) CHECK_EQUAL(quecota_poll(quecota_default_device()), 1000);
}

/* No file may be so large: an error, and no SIGXFSZ. */
static void a_limit_of_the_file_size_is_an_error(void)
{
    struct rlimit limit = {32 * 1024, 32 * 1024};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_EQUAL(Ql_iotInit(), FALSE);
}

/* A broker that answers CONNECT, and then nothing: the MQTT client says at debug that it subscribes. */
static void lines_of_the_network_crates_come_to_the_log(void)
{
    static const unsigned char connack[] = {0x20, 2, 0, 0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    char url[64], log[4096];
    int broker = socket(AF_INET, SOCK_STREAM, 0), lines[2], link;
    CHECK(bind(broker, (struct sockaddr *)&address, length) == 0 && listen(broker, 1) == 0);
    CHECK(getsockname(broker, (struct sockaddr *)&address, &length) == 0);
    CHECK(pipe(lines) == 0 && setenv("QUECOTA_LOG", "debug", 1) == 0);
    snprintf(url, sizeof url, "mqtt://127.0.0.1:%d", ntohs(address.sin_port));
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("p1demo", "ZGVtby1zZWNyZXQtMDAx"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, url), TRUE);
    CHECK(dup2(lines[1], 2) == 2);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), TRUE);
    link = accept(broker, NULL, NULL);
    CHECK(read(link, log, sizeof log) > 0); /* CONNECT */
    CHECK(write(link, connack, sizeof connack) == sizeof connack);
    CHECK(read(link, log, sizeof log) > 0); /* SUBSCRIBE */
    length = (socklen_t)read(lines[0], log, sizeof log - 1);
    log[length] = 0;
    if (!strstr(log, "debug quecota: rumqttc")) _exit(30);
}

static void files_are_private(void)
{
    static const char *names[] = {"image", "journal", "lock", "device-key"};
    struct stat status;
    umask(022);
    CHECK(setenv("QUECOTA_DIR", in_folder("new/data"), 1) == 0);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    CHECK(stat(in_folder("new/data"), &status) == 0);
    CHECK_EQUAL(status.st_mode & 0777, 0700);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "new/data/%s", names[i]);
        CHECK(stat(in_folder(name), &status) == 0);
        CHECK_EQUAL(status.st_mode & 0777, 0600);
    }
}

/* The child has no thread that polls, so that its calls must not succeed. */
static void a_forked_child_is_refused(void)
{
    int status;
    pid_t child;
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    child = fork();
    if (child == 0) {
        CHECK_EQUAL(Ql_iotInit(), FALSE);
        CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), FALSE);
        CHECK_EQUAL(Ql_iotGetWorkState(), QIOT_STATE_UNINITIALIZE);
        CHECK_EQUAL(quecota_set_lifetime(quecota_default_device(), 60), QUECOTA_ERROR_FORKED);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(Ql_iotGetWorkState(), QIOT_STATE_INITIALIZED);
}

static void alone(const char *name, void (*part)(void))
{
    int status;
    pid_t child;
    char command[80];
    snprintf(folder, sizeof folder, "/tmp/quecota-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    CHECK(setenv("QUECOTA_DIR", folder, 1) == 0);
    child = fork();
    if (child == 0) {
        part();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0) fprintf(stderr, "host_process: %s: status %#x\n", name, status);
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(system(command) == 0);
    CHECK_EQUAL(status, 0);
}

int main(void)
{
    CHECK(setenv("QUECOTA_STAGING", "65536", 1) == 0);
    alone("descriptors", descriptors_of_a_daemon_stay_free);
    alone("log", a_reader_of_the_log_that_is_gone_ends_nothing);
    alone("network crates", lines_of_the_network_crates_come_to_the_log);
    alone("signals", a_signal_comes_to_the_application);
    alone("poll", a_poll_of_the_application_does_nothing);
    alone("file size", a_limit_of_the_file_size_is_an_error);
    alone("files", files_are_private);
    alone("fork", a_forked_child_is_refused);
    puts("host_process: passed");
    return 0;
}
