#include "stack.h"

#define PAINT  0xA5A5A5A5u
#define MARGIN 16 /* words below the stack pointer that stack_paint() itself may use */

static uint32_t *stack_pointer(void)
{
    uint32_t *pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

static void paint(volatile uint32_t *from, uint32_t *to)
{
    while (from < to) *from++ = PAINT;
}

static uint32_t *lowest_used(uint32_t *from, uint32_t *to)
{
    while (from < to && *from == PAINT) from++;
    return from;
}

void stack_paint_all(void)
{
    paint(interrupt_stack, stack_pointer() - MARGIN);
    paint(task_stack, task_stack_end);
}

void stack_paint(void)
{
    paint(task_stack, stack_pointer() - MARGIN);
}

uint32_t stack_deepest(void)
{
    uint32_t *top = stack_pointer();
    return (uint32_t)(top - lowest_used(task_stack, top)) * sizeof(uint32_t);
}

uint32_t stack_of_interrupts(void)
{
    return (uint32_t)(interrupt_stack_end - lowest_used(interrupt_stack, interrupt_stack_end)) * sizeof(uint32_t);
}
