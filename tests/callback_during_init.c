/* The event callback that another thread sets while Ql_iotInit() runs is the one that gets the events. */
#include "Ql_iotApi.h"

#include "fake_platform.h"

#include <pthread.h>

static fake_platform_t fake;
static void (*fake_lock)(void *ctx);
static unsigned set_during_init, heard_by_first, heard_by_second;
static int heard;

const quecota_platform_t *quecota_default_platform(void)
{
    return &fake.platform;
}

static void first(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    (void)event, (void)errcode, (void)value, (void)valLen;
    heard_by_first++;
}

static void second(quint32_t event, qint32_t errcode, const void *value, quint32_t valLen)
{
    (void)event, (void)errcode, (void)value, (void)valLen;
    heard_by_second++;
    heard = 1;
}

static void *set_second(void *arg)
{
    (void)arg;
    Ql_iotConfigSetEventCB(second);
    return NULL;
}

/* Ql_iotInit() takes the lock for the first time to pass on the callback that it has read: the worst moment. */
static void lock(void *ctx)
{
    if (!set_during_init++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, set_second, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    fake_lock(ctx);
}

int main(void)
{
    fake_init(&fake);
    fake_lock = fake.system.lock;
    fake.system.lock = lock;
    Ql_iotConfigSetEventCB(first);
    CHECK_EQUAL(Ql_iotInit(), TRUE);
    CHECK(set_during_init > 0);
    CHECK_EQUAL(Ql_iotConfigSetProductinfo("p1demo", "ZGVtby1zZWNyZXQtMDAx"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetServer(QIOT_PPROTOCOL_MQTT, "mqtt://cloud.example:1883"), TRUE);
    CHECK_EQUAL(Ql_iotConfigSetConnmode(QIOT_CONNMODE_REQ), TRUE);
    CHECK(fake_run(&fake, fake.device, &heard, 60000));
    CHECK_EQUAL(heard_by_first, 0);
    puts("callback_during_init: passed");
    return 0;
}
