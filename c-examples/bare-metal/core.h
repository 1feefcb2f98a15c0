/* What a Cortex-M has: priorities of interrupts, the millisecond tick, reset. */
#ifndef CORE_H
#define CORE_H

#include <stdint.h>

/* Smaller is more urgent. The lock of the library masks PRIORITY_NET and nothing above it, so that no byte and no tick is lost
 * while the flash is written. */
#define PRIORITY_SERIAL 0x20u
#define PRIORITY_TICK   0x40u
#define PRIORITY_NET    0x80u

/* Starts the tick. */
void core_begin(void);

void core_enable_interrupt(uint32_t number, uint32_t priority);

/* Milliseconds since the reset; wraps at 2^32. */
uint32_t core_millis(void);

/* Masks the interrupts of PRIORITY_NET, and gives what core_unmask() needs to undo that. From anywhere. */
uint32_t core_mask_net(void);
void core_unmask(uint32_t before);

/* Sleeps until an interrupt. */
void core_wait(void);

void core_reset(void) __attribute__((noreturn));

#endif
