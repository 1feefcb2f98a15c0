# Cortex-M33 with the calling convention of hardware floats:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-thumbv8m.main-hf.cmake && cmake --build build
set(TRIPLE thumbv8m.main-none-eabihf)
set(CPU "-mcpu=cortex-m33 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16")
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
