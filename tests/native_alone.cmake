# A program with the native API alone has nothing of the drop-in API's device, although its linker collects no garbage.
execute_process(COMMAND ${NM} ${PROGRAM} OUTPUT_VARIABLE symbols RESULT_VARIABLE result)
if(NOT result EQUAL 0 OR NOT symbols MATCHES "quecota_init")
    message(FATAL_ERROR "${NM} ${PROGRAM} ended with ${result}:\n${symbols}")
endif()
string(REGEX MATCH "[^\n]*(Ql_iotInit|instance[^\n]*MEMORY)[^\n]*" found "${symbols}")
if(found)
    message(FATAL_ERROR "the drop-in API's device is in the program: ${found}")
endif()
