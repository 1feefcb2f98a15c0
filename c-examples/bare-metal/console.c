#include "console.h"

#include "semihosting.h"

void console_print(const char *text)
{
    host_print(text);
}

void console_number(int32_t number)
{
    char text[12], *at = text + sizeof text;
    uint32_t rest = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;

    *--at = '\0';
    do *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0) *--at = '-';
    host_print(at);
}

void console_exit(int status)
{
    host_exit(status);
}
