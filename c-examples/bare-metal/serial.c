#include "serial.h"

#include "board.h"
#include "core.h"

#define DATA      (*(volatile uint32_t *)(UART + 0x00u))
#define STATE     (*(volatile uint32_t *)(UART + 0x04u))
#define CONTROL   (*(volatile uint32_t *)(UART + 0x08u))
#define INTERRUPT (*(volatile uint32_t *)(UART + 0x0Cu))
#define DIVISOR   (*(volatile uint32_t *)(UART + 0x10u))

#define STATE_TX_FULL    1u
#define STATE_RX_FULL    2u
#define CONTROL_TX       1u
#define CONTROL_RX       2u
#define CONTROL_RX_IRQ   8u
#define INTERRUPT_RX     2u
#define SMALLEST_DIVISOR 16u

/* Two frames of link.c, each byte escaped. */
#define ROOM 4096u

static volatile uint8_t ring[ROOM];
static volatile uint32_t written, taken; /* they count on and wrap at 2^32 */

void serial_begin(void)
{
    DIVISOR = SMALLEST_DIVISOR;
    CONTROL = CONTROL_TX | CONTROL_RX | CONTROL_RX_IRQ;
    core_enable_interrupt(UART_IRQ, PRIORITY_SERIAL);
}

void serial_interrupt(void);
void serial_interrupt(void)
{
    INTERRUPT = INTERRUPT_RX;
    while (STATE & STATE_RX_FULL) {
        uint8_t byte = (uint8_t)DATA;
        /* What finds no room is lost, as on any line: link.c sees that by its check. */
        if (written - taken < ROOM) {
            ring[written % ROOM] = byte;
            written++;
        }
    }
}

int serial_read(void)
{
    uint8_t byte;
    if (taken == written) return -1;
    byte = ring[taken % ROOM];
    taken++;
    return byte;
}

void serial_write(uint8_t byte)
{
    while (STATE & STATE_TX_FULL) {}
    DATA = byte;
}
