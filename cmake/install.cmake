# SPDX-License-Identifier: MIT
# make install: the program, the C API's shared library, its header, a CMake
# package, a pkg-config file, the man page and completions.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The shared library holds everything and exports sotto_* only.
add_library(sotto SHARED)
add_library(sotto::sotto ALIAS sotto)
get_property(folders GLOBAL PROPERTY SOTTO_FOLDERS)
foreach(folder ${folders})
  target_sources(sotto PRIVATE $<TARGET_OBJECTS:${folder}>)
  target_link_libraries(sotto PRIVATE $<BUILD_INTERFACE:${folder}>)
endforeach()
target_include_directories(sotto PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(sotto PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
target_link_options(sotto PRIVATE
  -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/sotto.map)
set_target_properties(sotto PROPERTIES LINK_DEPENDS
  ${PROJECT_SOURCE_DIR}/cmake/sotto.map)

install(TARGETS sotto_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS sotto EXPORT sotto LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/sotto/sotto.h include/sotto/ops.h include/sotto/ops.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sotto)
install(FILES data/jfk.flac DESTINATION ${CMAKE_INSTALL_DATADIR}/sotto)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/sotto)
install(EXPORT sotto NAMESPACE sotto:: FILE sottoTargets.cmake
  DESTINATION ${package})
configure_package_config_file(cmake/sottoConfig.cmake.in
  ${PROJECT_BINARY_DIR}/sottoConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sottoConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/sottoConfig.cmake
  ${PROJECT_BINARY_DIR}/sottoConfigVersion.cmake DESTINATION ${package})
configure_file(cmake/sotto.pc.in ${PROJECT_BINARY_DIR}/sotto.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/sotto.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The program writes its own man page and completions.
foreach(pair man:sotto.1 bash:sotto.bash zsh:_sotto fish:sotto.fish)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 kind)
  list(GET pair 1 file)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/doc/${file}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/doc
    COMMAND sotto_cli completion ${kind} > ${PROJECT_BINARY_DIR}/doc/${file}
    DEPENDS sotto_cli VERBATIM)
  list(APPEND pages ${PROJECT_BINARY_DIR}/doc/${file})
endforeach()
add_custom_target(sotto_pages ALL DEPENDS ${pages})
# What `make install` builds: all that is copied, and no tests.
add_custom_target(sotto_installed)
add_dependencies(sotto_installed sotto_cli sotto sotto_pages)
if(TARGET sotto_cross_attn_ops)
  add_dependencies(sotto_installed sotto_cross_attn_ops)
endif()
install(FILES ${PROJECT_BINARY_DIR}/doc/sotto.1
  DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_BINARY_DIR}/doc/sotto.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME sotto)
install(FILES ${PROJECT_BINARY_DIR}/doc/_sotto
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${PROJECT_BINARY_DIR}/doc/sotto.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
