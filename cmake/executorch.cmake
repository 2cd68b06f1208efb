# SPDX-License-Identifier: MIT
# Finds the ExecuTorch that extension/executorch is built against: the
# published wheel, or an installed tree with a shared runtime.
#
# sotto_find_executorch() sets, for its caller,
#   SOTTO_EXECUTORCH_DIR      its folder, empty where there is none
#   SOTTO_EXECUTORCH_VERSION  "1.5.1+cpu"
# Also works in script mode (cmake -P), for its test.
set(SOTTO_EXECUTORCH AUTO CACHE STRING
  "ExecuTorch: AUTO, OFF, or its folder (site-packages/executorch or a prefix)")

# The wheel promises no binary interface from one release to the next, so only
# releases that the tests ran with are taken. The first is what tools/ installs.
set(SOTTO_EXECUTORCH_TESTED 1.5.1)

# The folder of a CMake package inside `dir`, empty where it is no ExecuTorch.
function(sotto_executorch_config dir result)
  set(${result} "" PARENT_SCOPE)
  foreach(folder lib/cmake/executorch lib/cmake/ExecuTorch share/cmake)
    if(EXISTS ${dir}/${folder}/executorch-config.cmake)
      set(${result} ${dir}/${folder} PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

function(sotto_executorch_version config result)
  set(version "of unknown version")
  set(file ${config}/executorch-config-version.cmake)
  if(EXISTS ${file})
    file(STRINGS ${file} lines
      REGEX "^ *set\\((EXECUTORCH_BUILD_VERSION|PACKAGE_VERSION) ")
    foreach(line ${lines})  # the full version stands second
      if(line MATCHES "\"([^\"]+)\"")
        set(version ${CMAKE_MATCH_1})
      endif()
    endforeach()
  endif()
  set(${result} ${version} PARENT_SCOPE)
endfunction()

function(sotto_executorch_candidates result)
  if(NOT SOTTO_EXECUTORCH STREQUAL "AUTO")
    set(${result} ${SOTTO_EXECUTORCH} PARENT_SCOPE)
    return()
  endif()
  file(GLOB found
    ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../build/executorch-venv/lib/python3*/site-packages/executorch)
  if(DEFINED ENV{VIRTUAL_ENV})
    file(GLOB more
      $ENV{VIRTUAL_ENV}/lib/python3*/site-packages/executorch)
    list(APPEND found ${more})
  endif()
  set(${result} ${found} PARENT_SCOPE)
endfunction()

function(sotto_find_executorch)
  set(SOTTO_EXECUTORCH_DIR "" PARENT_SCOPE)
  list(GET SOTTO_EXECUTORCH_TESTED 0 wanted)
  set(what "extension/executorch:")
  if(SOTTO_EXECUTORCH MATCHES "^(OFF|NO|0)$")
    message(STATUS "${what} left out, as asked")
    return()
  endif()
  # Where a folder is named, to leave it out would be no answer.
  set(severity STATUS)
  if(NOT SOTTO_EXECUTORCH STREQUAL "AUTO")
    set(severity FATAL_ERROR)
  endif()
  sotto_executorch_candidates(candidates)
  set(why "found no ExecuTorch (tools/executorch_venv.sh gets ${wanted}, or give -DSOTTO_EXECUTORCH=<its folder>)")
  foreach(dir ${candidates})
    get_filename_component(dir ${dir} REALPATH)
    sotto_executorch_config(${dir} config)
    if(NOT config)
      set(why "${dir} holds no executorch-config.cmake")
      continue()
    endif()
    sotto_executorch_version(${config} version)
    string(REGEX REPLACE "\\+.*" "" release ${version})
    if(NOT release IN_LIST SOTTO_EXECUTORCH_TESTED)
      string(JOIN ", " tested ${SOTTO_EXECUTORCH_TESTED})
      set(why "${dir} is ExecuTorch ${version}, tested are ${tested}")
      continue()
    endif()
    # A static copy would register with itself, not with the runtime that
    # loads the library, and say nothing.
    if(NOT EXISTS ${dir}/lib/libexecutorch.so)
      set(why "${dir} has no shared runtime, lib/libexecutorch.so")
      continue()
    endif()
    set(SOTTO_EXECUTORCH_DIR ${dir} PARENT_SCOPE)
    set(SOTTO_EXECUTORCH_CONFIG ${config} PARENT_SCOPE)
    set(SOTTO_EXECUTORCH_VERSION ${version} PARENT_SCOPE)
    message(STATUS "${what} ExecuTorch ${version} in ${dir}")
    return()
  endforeach()
  if(severity STREQUAL "STATUS")
    set(why "left out, ${why}")
  endif()
  message(${severity} "${what} ${why}")
endfunction()

# Targets over what was found:
#   sotto_executorch_runtime  headers and the shared runtime, nothing else
#   sotto_executorch_all      with kernels and delegates, for programs
# note: the wheel's own targets need CMake 3.28.
function(sotto_executorch_targets)
  set(CMAKE_MESSAGE_LOG_LEVEL WARNING)  # its config prints a page
  find_package(executorch CONFIG REQUIRED PATHS ${SOTTO_EXECUTORCH_CONFIG}
    NO_DEFAULT_PATH)
  add_library(sotto_executorch_runtime INTERFACE)
  target_include_directories(sotto_executorch_runtime SYSTEM INTERFACE
    ${EXECUTORCH_INCLUDE_DIRS})
  target_compile_definitions(sotto_executorch_runtime INTERFACE
    ${EXECUTORCH_COMPILE_DEFINITIONS})
  target_link_libraries(sotto_executorch_runtime INTERFACE
    ${SOTTO_EXECUTORCH_DIR}/lib/libexecutorch.so)
  add_library(sotto_executorch_all INTERFACE)
  target_link_libraries(sotto_executorch_all INTERFACE
    sotto_executorch_runtime ${EXECUTORCH_LIBRARIES})
  # CMake finds the folder of a library it is given by path, not those that
  # stand inside the linker's options.
  target_link_options(sotto_executorch_all INTERFACE
    -Wl,-rpath,${SOTTO_EXECUTORCH_DIR}/lib)
endfunction()
