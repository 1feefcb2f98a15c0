#include "semihosting.h"

/* Operations of "Semihosting for AArch32 and AArch64". */
enum {
    SYS_OPEN = 0x01,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_SEEK = 0x0A,
    SYS_FLEN = 0x0C,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20
};
enum { MODE_RB = 1, MODE_R_PLUS_B = 3 };

#define APPLICATION_EXIT 0x20026u

static int32_t call(uint32_t operation, const void *arguments)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static uint32_t length_of(const char *text)
{
    uint32_t length = 0;
    while (text[length] != '\0') length++;
    return length;
}

int32_t host_open(const char *path, int is_writable)
{
    uint32_t arguments[] = { (uint32_t)path, is_writable ? MODE_R_PLUS_B : MODE_RB, length_of(path) };
    return call(SYS_OPEN, arguments);
}

uint32_t host_length(int32_t file)
{
    uint32_t arguments[] = { (uint32_t)file };
    int32_t length = call(SYS_FLEN, arguments);
    return length < 0 ? 0 : (uint32_t)length;
}

/* Both operations answer how many bytes are left, so 0 is success. */
static int transfer(uint32_t operation, int32_t file, uint32_t offset, const void *data, uint32_t length)
{
    uint32_t seek[] = { (uint32_t)file, offset };
    uint32_t arguments[] = { (uint32_t)file, (uint32_t)data, length };
    return call(SYS_SEEK, seek) == 0 && call(operation, arguments) == 0;
}

int host_read(int32_t file, uint32_t offset, void *data, uint32_t length)
{
    return transfer(SYS_READ, file, offset, data, length);
}

int host_write(int32_t file, uint32_t offset, const void *data, uint32_t length)
{
    return transfer(SYS_WRITE, file, offset, data, length);
}

int host_command_line(char *line, uint32_t size)
{
    uint32_t arguments[] = { (uint32_t)line, size };
    return call(SYS_GET_CMDLINE, arguments) == 0;
}

void host_print(const char *text)
{
    (void)call(SYS_WRITE0, text);
}

void host_exit(int status)
{
    uint32_t arguments[] = { APPLICATION_EXIT, (uint32_t)status };
    for (;;) (void)call(SYS_EXIT_EXTENDED, arguments);
}
