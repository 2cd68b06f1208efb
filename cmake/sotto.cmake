# SPDX-License-Identifier: MIT
# Helpers: a folder of src/ is one object library, its tests one program.

add_library(sotto_flags INTERFACE)
target_compile_options(sotto_flags INTERFACE -Wall -Wextra -Wconversion
  -Wno-sign-conversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Wimplicit-fallthrough -Wno-missing-field-initializers -fno-math-errno -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND
   CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlapping copies in "literal" + std::string (its bug 105651).
  target_compile_options(sotto_flags INTERFACE -Wno-restrict)
endif()
if(SOTTO_WERROR)
  target_compile_options(sotto_flags INTERFACE -Werror)
endif()
if(SOTTO_SANITIZE)
  target_compile_options(sotto_flags INTERFACE -fsanitize=${SOTTO_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(sotto_flags INTERFACE -fsanitize=${SOTTO_SANITIZE})
  target_compile_definitions(sotto_flags INTERFACE _GLIBCXX_ASSERTIONS)
endif()
target_include_directories(sotto_flags INTERFACE
  ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)

# sotto_folder(NAME SOURCES a.cc ... LIBS outside libraries ...)
# Adds the folder's objects to the one library all programs link.
function(sotto_folder name)
  cmake_parse_arguments(F "" "" "SOURCES;LIBS" ${ARGN})
  add_library(sotto_${name} OBJECT ${F_SOURCES})
  target_link_libraries(sotto_${name} PUBLIC sotto_flags fmt::fmt ${F_LIBS})
  set_property(GLOBAL APPEND PROPERTY SOTTO_FOLDERS sotto_${name})
endfunction()

# sotto_test(NAME SOURCES a_test.cc ... [LABELS unit] [LIBS ...])
# One test program, one ctest entry; it takes data from SOTTO_TEST_DATA.
function(sotto_test name)
  if(NOT SOTTO_TESTS)
    return()
  endif()
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LABELS;LIBS;ARGS" ${ARGN})
  add_executable(${name}_test ${T_SOURCES})
  target_link_libraries(${name}_test PRIVATE sotto_lib GTest::gtest
    GTest::gmock GTest::gtest_main ${T_LIBS})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name}_test PRIVATE
    SOTTO_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name}_test ${T_ARGS})
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 600)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}"
    TIMEOUT ${T_TIMEOUT} WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
