/* Uses both libraries. */
#include "Ql_iotApi.h"
#include "quecota.h"

unsigned other_sum(unsigned count);
unsigned other_panic(void);

int main(void)
{
    if (other_sum(4) != 10 || other_panic() != 1) {
        return 1;
    }
    if (quecota_error_text(QUECOTA_ERROR_NULL) == NULL) {
        return 2;
    }
    return Ql_iotGetWorkState() == QIOT_STATE_UNINITIALIZE ? 0 : 3;
}
