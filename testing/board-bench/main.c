/* Counts instructions of single steps. With `qemu-system-arm -icount shift=0` an instruction takes a nanosecond, so that a tick
 * of SysTick at 25 MHz is 40 instructions, the same in every run. The rest is c-examples/bare-metal. */
#include "console.h"

#include <stdint.h>

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD  (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE   (*(volatile uint32_t *)0xE000E018u)
#define LONGEST         0x00FFFFFFu
#define PER_TICK        40u
#define WRAPPED         0x10000u /* COUNTFLAG */

uint32_t bench_frame_copies(uint32_t rounds);
uint32_t bench_frames(uint32_t rounds);
uint32_t bench_plans(uint32_t rounds);
uint32_t bench_upgrades(uint32_t rounds);
uint32_t bench_journal_records(uint32_t rounds);
uint32_t bench_file(uint32_t bytes);
uint32_t bench_download(uint32_t bytes);
void bench_panic(void) __attribute__((noreturn));

_Alignas(8) uint8_t bench_heap[2 * 1024 * 1024];

void bench_panic(void)
{
    console_print("panic\n");
    console_exit(1);
}

static void count(const char *name, uint32_t (*step)(uint32_t), uint32_t rounds)
{
    uint32_t ticks, result;

    SYSTICK_RELOAD = LONGEST;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 5; /* on, without interrupt, from the core's clock */
    result = step(rounds);
    ticks = LONGEST - SYSTICK_VALUE;
    if (SYSTICK_CONTROL & WRAPPED || result == 0) {
        console_print(result == 0 ? "failed: " : "too long: ");
        console_print(name);
        console_print("\n");
        console_exit(1);
    }
    console_print(name);
    console_print(" ");
    console_number((int32_t)rounds);
    console_print(" ");
    console_number((int32_t)result);
    console_print(" ");
    console_number((int32_t)ticks * (int32_t)PER_TICK);
    console_print("\n");
}

int main(void)
{
    count("frame_copies", bench_frame_copies, 1000);
    count("frames", bench_frames, 1000);
    count("plans", bench_plans, 1000);
    count("upgrades", bench_upgrades, 1000);
    count("journal_records", bench_journal_records, 200);
    count("journal_records", bench_journal_records, 1000);
    count("file", bench_file, 65536);
    count("file", bench_file, 131072);
    count("download", bench_download, 65536);
    count("download", bench_download, 131072);
    return 0;
}
