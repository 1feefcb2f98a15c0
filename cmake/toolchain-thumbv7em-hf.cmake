# Cortex-M4F, M7F with the calling convention of hardware floats:
#
#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-thumbv7em-hf.cmake && cmake --build build
set(TRIPLE thumbv7em-none-eabihf)
set(CPU "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16")
include(${CMAKE_CURRENT_LIST_DIR}/bare-metal.cmake)
