/* Arm MPS2 with application note 505: Cortex-M33 in its secure state. */
#ifndef BOARD_H
#define BOARD_H

#define CORE_HZ       20000000u
#define SLOT_ADDRESS  0x10010000u /* as SLOT of memory.ld */
#define UART          0x50200000u /* CMSDK APB UART 0 */
#define UART_IRQ      32          /* a byte has come */
#define NET_TIMER     0x50000000u /* CMSDK APB timer 0 */
#define NET_TIMER_IRQ 3
#define NET_TIMER_HZ  20000000u

#endif
