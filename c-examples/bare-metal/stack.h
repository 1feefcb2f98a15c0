/* How much stack was used, by painting what is free and looking later how much of the paint is left. */
#ifndef STACK_H
#define STACK_H

#include <stdint.h>

extern uint32_t interrupt_stack[], interrupt_stack_end[], task_stack[], task_stack_end[];

/* Paints both stacks; by the reset handler, on the interrupt stack. */
void stack_paint_all(void);

/* Paints what the task does not use now. */
void stack_paint(void);

/* Bytes that the task used since, counted from the present stack pointer. */
uint32_t stack_deepest(void);

/* Bytes of the interrupt stack that were used since the reset. */
uint32_t stack_of_interrupts(void);

#endif
