#include "settings.h"

#include "console.h"
#include "semihosting.h"

/* Ends the word and gives the next one. */
static char *next_word(char **rest)
{
    char *word = *rest, *end = word;

    while (*end != '\0' && *end != ' ') end++;
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

int settings_read(settings_t *settings)
{
    char *rest = settings->line;

    settings->line[0] = '\0';
    if (!host_command_line(settings->line, sizeof settings->line)) settings->line[0] = '\0';
    settings->flash = next_word(&rest);
    settings->server = next_word(&rest);
    settings->product_key = next_word(&rest);
    settings->product_secret = next_word(&rest);
    settings->device_key = next_word(&rest);
    if (settings->device_key[0] != '\0') return 1;
    console_print("the command line must be: FLASH SERVER PRODUCT-KEY PRODUCT-SECRET DEVICE-KEY\n");
    return 0;
}
