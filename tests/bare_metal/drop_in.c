/* An application of the drop-in API and the least of a port. */
#include "ql_api_qthsdk.h"
#include "quecota.h"

const quecota_platform_t *quecota_default_platform(void)
{
    return NULL;
}

int main(void)
{
    return Ql_iotInit() == TRUE ? 1 : 0;
}
