/* From reset to main(): vector table, initialized variables, two stacks. Interrupts have a stack of their own (MSP), so that
 * what the task needs (PSP) and what they need are known apart. */
#include "board.h"
#include "console.h"
#include "stack.h"

#include <stdint.h>

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);

void reset(void);
void fault(void);
/* The firmware has these; the loader has no interrupts. */
void tick_interrupt(void) __attribute__((weak, alias("fault")));
void net_interrupt(void) __attribute__((weak, alias("fault")));
void serial_interrupt(void) __attribute__((weak, alias("fault")));

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector_t;

__attribute__((section(".vectors"), used)) static const vector_t vectors[16 + 48] = {
    [0] = { .stack = interrupt_stack_end },
    [1] = { .handler = reset },
    [2] = { .handler = fault }, /* NMI */
    [3] = { .handler = fault }, /* hard fault, and all others as long as they are not enabled */
    [15] = { .handler = tick_interrupt },
    [16 + UART_IRQ] = { .handler = serial_interrupt },
    [16 + NET_TIMER_IRQ] = { .handler = net_interrupt },
};

void fault(void)
{
    console_print("fault\n");
    console_exit(2);
}

static __attribute__((used, noreturn)) void run(void)
{
    console_exit(main());
}

__attribute__((noreturn)) void reset(void)
{
    uint32_t *to, *from = data_load;

    for (to = data_start; to < data_end;) *to++ = *from++;
    for (to = bss_start; to < bss_end;) *to++ = 0;
    stack_paint_all();
    /* Thread mode goes on with the process stack. */
    __asm__ volatile("msr psp, %0\n"
                     "msr control, %1\n"
                     "isb\n"
                     "bl run\n"
                     :
                     : "r"(task_stack_end), "r"(2)
                     : "memory");
    __builtin_unreachable();
}
