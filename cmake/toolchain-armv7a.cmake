# Cortex-A without an operating system, with the calling convention of software floats:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-armv7a.cmake && cmake --build build
set(TRIPLE armv7a-none-eabi)
set(CPU "-march=armv7-a -marm -mfloat-abi=soft")
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
