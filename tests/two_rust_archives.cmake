# A program links libquecota.a beside another Rust static library: one of the same compiler with the same settings, one with
# fat LTO and no unwinding, and one of Debian's compiler if it is there; in both orders.
cmake_policy(VERSION 3.19)
file(MAKE_DIRECTORY ${BUILD})
set(source ${CMAKE_CURRENT_LIST_DIR}/two_rust_archives)

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT result EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}\nended with ${result}\n${output}")
    endif()
endfunction()

function(link_beside name rustc)
    set(other ${BUILD}/libother_${name}.a)
    run(${rustc} --edition 2021 --crate-type staticlib -O ${ARGN} -o ${other} ${source}/other.rs)
    foreach(order "${ARCHIVE};${other}" "${other};${ARCHIVE}")
        run(${CC} -I${INCLUDE} -o ${BUILD}/program ${source}/main.c ${order} -lpthread -ldl -lm)
        run(${BUILD}/program)
    endforeach()
    message("${name}: both orders")
endfunction()

link_beside(same ${RUSTC})
link_beside(lto_abort ${RUSTC} -Clto=fat -Cpanic=abort)
if(EXISTS /usr/bin/rustc)
    link_beside(debian /usr/bin/rustc)
endif()
