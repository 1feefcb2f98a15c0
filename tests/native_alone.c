/* Uses the native API alone. */
#include "quecota.h"

int main(void)
{
    return quecota_init(NULL, 0, NULL, NULL, NULL) == QUECOTA_ERROR_NULL ? 0 : 1;
}
