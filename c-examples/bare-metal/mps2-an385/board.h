/* Arm MPS2 with application note 385: Cortex-M3. */
#ifndef BOARD_H
#define BOARD_H

#define CORE_HZ       25000000u
#define SLOT_ADDRESS  0x00010000u /* as SLOT of memory.ld */
#define UART          0x40004000u /* CMSDK APB UART 0 */
#define UART_IRQ      0           /* a byte has come */
#define NET_TIMER     0x40000000u /* CMSDK APB timer 0 */
#define NET_TIMER_IRQ 8
#define NET_TIMER_HZ  25000000u

#endif
