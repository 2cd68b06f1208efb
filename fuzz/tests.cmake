# SPDX-License-Identifier: MIT
# The fuzz targets as tests: each for some seconds, from the build folder with
# sanitizers (`make test` builds it); skipped by name where that is missing.
include(${CMAKE_CURRENT_LIST_DIR}/list.cmake)
foreach(name ${SOTTO_FUZZ_TARGETS})
  add_test(NAME fuzz.${name} COMMAND
    ${CMAKE_CURRENT_LIST_DIR}/run.sh ${PROJECT_SOURCE_DIR}/build/asan ${name})
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 1200
    SKIP_RETURN_CODE 77)
endforeach()
