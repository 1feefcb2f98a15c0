#include "core.h"

#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD  REGISTER(0xE000E014u)
#define SYSTICK_VALUE   REGISTER(0xE000E018u)
#define NVIC_ENABLE     0xE000E100u /* one bit for each */
#define NVIC_PRIORITY   0xE000E400u /* one byte for each */
#define AIRCR           REGISTER(0xE000ED0Cu)
#define SHPR3           REGISTER(0xE000ED20u)

#define SYSTICK_ON    7u /* enabled, with interrupt, from the core's clock */
#define AIRCR_KEY     0x05FA0000u
#define AIRCR_RESET   4u
#define SHPR3_SYSTICK 24

static volatile uint32_t millis;

void tick_interrupt(void);
void tick_interrupt(void)
{
    millis++;
}

void core_begin(void)
{
    SHPR3 = PRIORITY_TICK << SHPR3_SYSTICK;
    SYSTICK_RELOAD = CORE_HZ / 1000 - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_ON;
}

void core_enable_interrupt(uint32_t number, uint32_t priority)
{
    ((volatile uint8_t *)NVIC_PRIORITY)[number] = (uint8_t)priority;
    ((volatile uint32_t *)NVIC_ENABLE)[number / 32] = 1u << number % 32;
}

uint32_t core_millis(void)
{
    return millis;
}

uint32_t core_mask_net(void)
{
    uint32_t before;
    __asm__ volatile("mrs %0, basepri\n"
                     "msr basepri, %1\n"
                     "isb\n"
                     : "=&r"(before)
                     : "r"(PRIORITY_NET)
                     : "memory");
    return before;
}

void core_unmask(uint32_t before)
{
    __asm__ volatile("msr basepri, %0\n"
                     "isb\n"
                     :
                     : "r"(before)
                     : "memory");
}

void core_wait(void)
{
    __asm__ volatile("wfi" ::: "memory");
}

void core_reset(void)
{
    AIRCR = AIRCR_KEY | AIRCR_RESET;
    for (;;) {}
}
