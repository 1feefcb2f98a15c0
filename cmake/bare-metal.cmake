# What the toolchain files for bare metal have in common. They set TRIPLE (Rust's name of the target) and CPU (flags of the C
# compiler), and include this. TOOLS is how the names of the C compiler and of binutils begin, if not with arm-none-eabi.
#
# Rust is Debian's: rustc-web, cargo-web, rust-web-src and libstd-rust-web-dev, which build Rust's `core` for the target. The
# C compiler is Debian's gcc-arm-none-eabi or gcc-riscv64-unknown-elf.
if(NOT TOOLS)
    set(TOOLS arm-none-eabi)
endif()
set(CMAKE_SYSTEM_NAME Generic)
string(REGEX REPLACE "-.*" "" CMAKE_SYSTEM_PROCESSOR ${TRIPLE})
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_COMPILER ${TOOLS}-gcc)
set(CMAKE_CXX_COMPILER ${TOOLS}-g++)
set(CMAKE_ASM_COMPILER ${TOOLS}-gcc)
set(CMAKE_C_FLAGS_INIT "${CPU}")
set(CMAKE_CXX_FLAGS_INIT "${CPU}")
set(CMAKE_ASM_FLAGS_INIT "${CPU}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# The caller's Rust settings are of another toolchain. Its flags would replace those of .cargo/config.toml.
set(QUECOTA_CARGO ${CMAKE_COMMAND} -E env --unset=RUSTC --unset=RUSTUP_TOOLCHAIN --unset=RUSTFLAGS
    --unset=CARGO_ENCODED_RUSTFLAGS RUSTC_BOOTSTRAP=1 PATH=/usr/bin:/bin /usr/bin/cargo
    CACHE STRING "command that runs cargo; a list, so that it may set variables by `env`")
set(QUECOTA_CARGO_ARGUMENTS -Zbuild-std=core -Zjson-target-spec CACHE STRING "more arguments for cargo build")

# Rust describes these targets with a frame pointer in every function, which takes a register and flash, and nothing reads it. So
# cargo gets the description without.
if(NOT QUECOTA_TARGET)
    execute_process(
        COMMAND ${CMAKE_COMMAND} -E env --unset=RUSTUP_TOOLCHAIN RUSTC_BOOTSTRAP=1 /usr/bin/rustc -Zunstable-options
            --print target-spec-json --target ${TRIPLE}
        OUTPUT_VARIABLE description COMMAND_ERROR_IS_FATAL ANY)
    string(REPLACE "\"frame-pointer\": \"always\"" "\"frame-pointer\": \"may-omit\"" description "${description}")
    file(WRITE ${CMAKE_BINARY_DIR}/${TRIPLE}.json "${description}")
endif()
set(QUECOTA_TARGET ${CMAKE_BINARY_DIR}/${TRIPLE}.json CACHE STRING "target triple or its description; empty: this machine")
set(QUECOTA_LD_FLAGS "${EMULATION}" CACHE STRING "more arguments for ld, which makes one object of the library")
