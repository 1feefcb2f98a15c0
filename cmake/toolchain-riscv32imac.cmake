# RISC-V of 32 bits with multiplication, atomics and compressed instructions. The C library, of which the
# library takes malloc() and free() for the drop-in API, is Debian's picolibc-riscv64-unknown-elf; link with --specs=picolibc.specs:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-riscv32imac.cmake && cmake --build build
set(TRIPLE riscv32imac-unknown-none-elf)
set(CPU "-march=rv32imac -mabi=ilp32 -isystem /usr/lib/picolibc/riscv64-unknown-elf/include")
set(TOOLS riscv64-unknown-elf)
set(EMULATION -melf32lriscv)
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
