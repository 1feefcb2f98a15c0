# Makes the archive that C programs link out of the one that cargo built: an object whose only global names are those of the
# headers, without debug information, and the object of src/ql_iot/init.c. So it links beside another Rust library. In one of the
# profile firmware nothing of Rust may be left that panics, formats or allocates.
#
#   cmake -D CARGO_ARCHIVE=... -D ARCHIVE=... -D INIT=... -D HEADERS=... -D HOST=... -D BARE_METAL=... -D LD=... -D LD_FLAGS=...
#       -D OBJCOPY=... -D NM=... -D AR=... -P archive.cmake
#
# The tools are those of GNU binutils. rustc's bitcode goes, because GNU ar would load an LLVM that cannot read it.
cmake_policy(VERSION 3.19)
include(${CMAKE_CURRENT_LIST_DIR}/header_names.cmake)
set(object ${ARCHIVE}.o)

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        list(GET ARGN 0 tool)
        message(FATAL_ERROR "${tool} ended with ${result}; libquecota.a needs ld, objcopy and ar of GNU binutils for the target")
    endif()
endfunction()

header_names(names ${HEADERS})
list(REMOVE_ITEM names Ql_iotInit Ql_iotInit_2_10)
list(APPEND names quecota_ql_iot_init)
if(NOT HOST)
    # The port defines it.
    list(REMOVE_ITEM names quecota_default_platform)
endif()
# A section that no public name leads to is left out; every other one stays for --gc-sections of the program.
set(roots "${names}")
list(TRANSFORM roots PREPEND --undefined=)
run(${LD} ${LD_FLAGS} -r --gc-sections --force-group-allocation ${roots} -o ${object} ${CARGO_ARCHIVE})
set(globals "${names}")
list(TRANSFORM globals PREPEND --keep-global-symbol=)
if(NOT HOST)
    # The heap of Ql_iotTtlv*, which init.c asks for in its place.
    list(APPEND globals --weaken-symbol=malloc --weaken-symbol=free)
endif()
run(${OBJCOPY} --remove-section=.llvmbc --remove-section=.llvmcmd ${object})
if(BARE_METAL)
    execute_process(COMMAND ${NM} ${object} OUTPUT_VARIABLE symbols RESULT_VARIABLE result)
    if(NOT result EQUAL 0 OR NOT symbols MATCHES quecota_init)
        message(FATAL_ERROR "${NM} ${object} ended with ${result} and shows no symbol of the library")
    endif()
    # core::panicking, core::fmt, alloc, and its allocator; as Rust names them in both of its manglings.
    string(REGEX MATCH "[^\n]*(9panicking|4core3fmt|3fmt9Formatter|5alloc5alloc|__rust_alloc)[^\n]*" found "${symbols}")
    if(found)
        message(FATAL_ERROR "the library may panic, formats, or allocates: ${found}")
    endif()
endif()
run(${OBJCOPY} ${globals} --strip-unneeded ${object})
file(REMOVE ${ARCHIVE})
run(${AR} rcs ${ARCHIVE} ${object} ${INIT})
file(REMOVE ${object})
