/* What the examples need as programs: options, lines, numbers. Nothing here has to do with an upgrade. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdint.h>

/* An option of the command line: one with a value, or a flag. */
typedef struct {
    const char *name;      /* with its dashes */
    const char *help;
    const char **value;    /* NULL: a flag */
    int *flag;             /* NULL: an option with a value */
    const char *otherwise; /* the value where none is given; NULL: it must be given */
} option_t;

/* Reads the command line. 0: the program must end, with `*status`; what was wrong, or the help, was written. The table ends with
 * an option without a name. */
int console_options(const option_t *options, int argc, char **argv, int *status);

/* One line to stdout: a step that was taken. From any thread. */
void console_step(const char *format, ...);

/* One line to stderr, after the program's name. From any thread. */
void console_error(const char *format, ...);

/* A bar that redraws itself on a terminal; nothing elsewhere. */
void console_progress(uint32_t done, uint32_t total);

/* Decimal digits and nothing else. 0: the text is no number up to `most`. */
int console_number(const char *text, uint32_t most, uint32_t *value);

/* Seconds of a clock that never goes back. */
long console_seconds(void);

/* From here on SIGINT and SIGTERM end nothing by themselves, and SIGPIPE is ignored. */
void console_watch_signals(void);

/* Whether SIGINT or SIGTERM came. */
int console_is_interrupted(void);

#endif
