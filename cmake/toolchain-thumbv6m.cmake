# Cortex-M0, M0+:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-thumbv6m.cmake && cmake --build build
set(TRIPLE thumbv6m-none-eabi)
set(CPU "-mcpu=cortex-m0 -mthumb")
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
