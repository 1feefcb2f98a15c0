# Cortex-M4, M7 with the calling convention of software floats:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-thumbv7em.cmake && cmake --build build
set(TRIPLE thumbv7em-none-eabi)
set(CPU "-mcpu=cortex-m4 -mthumb")
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
