# Cortex-M3:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-thumbv7m.cmake && cmake --build build
set(TRIPLE thumbv7m-none-eabi)
set(CPU "-mcpu=cortex-m3 -mthumb")
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
