/* The quick start of the vendor's documentation, which sets no server, in an object that was compiled against another header
 * than ours: it declares what it calls. Where it goes, and whose events it gets, the build or the environment says. */
#include <stdlib.h>
#include <string.h>

#include "fake_platform.h"

/* As the header of an SDK has them. */
extern unsigned char Ql_iotInit(void);
extern void Ql_iotConfigSetEventCB(void (*eventCb)(unsigned int, int, const void *, unsigned int));
extern unsigned char Ql_iotConfigSetProductinfo(const char *pk, const char *ps);
extern unsigned char Ql_iotConfigSetConnmode(int mode);
extern unsigned char Ql_iotConfigSetServer(int type, const char *server_url);
extern void Ql_iotConfigGetServer(int *type, char **server_url);
extern unsigned char Ql_iotCmdBusPassTransSend(unsigned short mode, unsigned char *payload, unsigned int len);
extern unsigned char Ql_iotClear(void);

static fake_platform_t fake;

const quecota_platform_t *quecota_default_platform(void)
{
    return &fake.platform;
}

static int online, sent;
static unsigned int length;

static void on_event(unsigned int event, int errcode, const void *value, unsigned int valLen)
{
    if (event == 3 && errcode == 10200) online = 1;
    if (event == 4) {
        sent = 1;
        length = valLen;
        CHECK((value == NULL) == (valLen == 0));
    }
}

int main(void)
{
    const char *server = getenv("QUECOTA_DEFAULT_SERVER"), *dialect = getenv("QUECOTA_DIALECT");
#ifdef HAS_BUILD_DEFAULTS
    int has_server = 1, is_2_10 = dialect == NULL || strcmp(dialect, "2.10") == 0;
#else
    int has_server = server != NULL, is_2_10 = dialect != NULL && strcmp(dialect, "2.10") == 0;
#endif
    unsigned char byte = 1;
    char *url;
    (void)server;
    fake_init(&fake);
    if (!Ql_iotInit()) return 1;
    Ql_iotConfigSetEventCB(on_event);
    CHECK(Ql_iotConfigSetProductinfo("p1abcd", "MTIzNDU2Nzg5MGFi"));
    Ql_iotConfigGetServer(NULL, &url);
    if (!has_server) {
        CHECK(strcmp(url, "") == 0);
        CHECK(!Ql_iotConfigSetConnmode(1));
        CHECK(strstr(fake.line, "Ql_iotConfigSetConnmode(1) is refused: ") != NULL);
        CHECK(strstr(fake.line, "Ql_iotConfigSetServer() unless there is a default server") != NULL);
        CHECK(Ql_iotConfigSetServer(1, "mqtt://cloud.example:1883"));
    } else {
        if (strcmp(url, "mqtt://cloud.example:1883") != 0) fake_fail(__FILE__, __LINE__, url);
        /* What the application sets goes before it. */
        CHECK(Ql_iotConfigSetServer(1, "mqtt://other.example:1883"));
        Ql_iotConfigGetServer(NULL, &url);
        CHECK(strcmp(url, "mqtt://other.example:1883") == 0);
        CHECK(Ql_iotClear());
        CHECK(Ql_iotConfigSetProductinfo("p1abcd", "MTIzNDU2Nzg5MGFi"));
    }
    CHECK(Ql_iotConfigSetConnmode(1));
    CHECK(fake_run(&fake, fake.device, &online, 60000));
    CHECK(Ql_iotCmdBusPassTransSend(1, &byte, 1));
    CHECK(fake_run(&fake, fake.device, &sent, 60000));
    /* Later SDKs tell the packet id. */
    CHECK_EQUAL(length, is_2_10 ? 4 : 0);
    return 0;
}
