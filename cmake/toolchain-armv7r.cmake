# Cortex-R4, R5 with the calling convention of software floats:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-armv7r.cmake && cmake --build build
set(TRIPLE armv7r-none-eabi)
set(CPU "-mcpu=cortex-r5 -marm -mfloat-abi=soft")
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
