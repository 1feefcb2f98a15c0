# Cortex-M33 with the calling convention of software floats:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-thumbv8m.main.cmake && cmake --build build
set(TRIPLE thumbv8m.main-none-eabi)
set(CPU "-mcpu=cortex-m33+nofp -mthumb")
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
