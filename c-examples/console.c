#define _POSIX_C_SOURCE 200809L

#include "console.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* main() and the library's thread both write. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
static int progress_is_open; /* the cursor stands behind a progress bar */
static const char *program = "example";

static void write_line(FILE *to, const char *prefix, const char *colon, const char *format, va_list values)
{
    pthread_mutex_lock(&writing);
    if (progress_is_open) fputc('\n', stdout);
    progress_is_open = 0;
    fprintf(to, "%s%s", prefix, colon);
    vfprintf(to, format, values);
    fputc('\n', to);
    fflush(to);
    pthread_mutex_unlock(&writing);
}

void console_step(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    write_line(stdout, "", "", format, values);
    va_end(values);
}

void console_error(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    write_line(stderr, program, ": ", format, values);
    va_end(values);
}

void console_progress(uint32_t done, uint32_t total)
{
    char bar[41];
    size_t filled = total == 0 ? sizeof bar - 1 : (size_t)((unsigned long long)done * (sizeof bar - 1) / total);

    if (!isatty(STDOUT_FILENO)) return;
    memset(bar, '.', sizeof bar - 1);
    memset(bar, '#', filled);
    bar[sizeof bar - 1] = '\0';
    pthread_mutex_lock(&writing);
    printf("\r[%s] %lu of %lu bytes", bar, (unsigned long)done, (unsigned long)total);
    fflush(stdout);
    progress_is_open = 1;
    pthread_mutex_unlock(&writing);
}

int console_number(const char *text, uint32_t most, uint32_t *value)
{
    char *end;
    unsigned long long parsed;

    errno = 0;
    parsed = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || parsed > most) return 0;
    *value = (uint32_t)parsed;
    return 1;
}

long console_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void console_watch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN; /* a peer that closes early is no reason to end */
    (void)sigaction(SIGPIPE, &action, NULL);
}

int console_is_interrupted(void)
{
    return interrupted;
}

static void help(const option_t *options)
{
    printf("usage: %s OPTIONS\n\n", program);
    for (; options->name; options++) {
        printf("  %-18s %s", options->name, options->help);
        if (!options->flag) printf(options->otherwise ? "; otherwise %s" : "; needed", options->otherwise);
        putchar('\n');
    }
}

int console_options(const option_t *options, int argc, char **argv, int *status)
{
    const option_t *option;
    int i;

    program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    *status = EXIT_FAILURE;
    for (option = options; option->name; option++)
        if (option->value) *option->value = option->otherwise;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            help(options);
            *status = EXIT_SUCCESS;
            return 0;
        }
        for (option = options; option->name && strcmp(option->name, argv[i]) != 0; option++) {
        }
        if (!option->name) {
            console_error("unknown option %s; --help lists them", argv[i]);
            return 0;
        }
        if (option->flag) {
            *option->flag = 1;
        } else if (++i < argc) {
            *option->value = argv[i];
        } else {
            console_error("%s needs a value: %s", option->name, option->help);
            return 0;
        }
    }
    for (option = options; option->name; option++) {
        if (option->value && !*option->value) {
            console_error("%s is needed: %s", option->name, option->help);
            return 0;
        }
    }
    return 1;
}
