#include <Ql_iotApi.h>
#include <quecota.h>

int main(void)
{
    printf("quecota %s: %s\n", quecota_version(), quecota_error_text(QUECOTA_ERROR_OFFLINE));
    return Ql_iotGetWorkState() == QIOT_STATE_UNINITIALIZE ? 0 : 1;
}
