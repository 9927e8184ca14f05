# What `cmake --install` puts where: program, library, headers, CMake package, pkg-config file, manual page and
# the spec library. Nothing in it names the build tree.
include(CMakePackageConfigHelpers)

install(TARGETS wmap EXPORT wmapTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/wmap DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

set(WMAP_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/wmap)
install(EXPORT wmapTargets NAMESPACE wmap:: FILE wmapTargets.cmake DESTINATION ${WMAP_CMAKE_DIR})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/wmapConfig.cmake.in
  ${PROJECT_BINARY_DIR}/wmapConfig.cmake INSTALL_DESTINATION ${WMAP_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wmapConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wmapConfig.cmake ${PROJECT_BINARY_DIR}/wmapConfigVersion.cmake
  DESTINATION ${WMAP_CMAKE_DIR})

# The .pc file finds its prefix from its own place, so a moved installation still works.
file(RELATIVE_PATH WMAP_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" WMAP_PC_PREFIX "${WMAP_PC_PREFIX}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/wmap.pc.in ${PROJECT_BINARY_DIR}/wmap.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/wmap.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES ${PROJECT_SOURCE_DIR}/docs/man/wmap.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/specs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/wmap/specs
  FILES_MATCHING PATTERN "*.wmap")

# The installed program finds the library beside it, wherever both are.
if(TARGET wmap-cli)
  file(RELATIVE_PATH WMAP_BIN_TO_LIB /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
  set_target_properties(wmap-cli PROPERTIES INSTALL_RPATH "$ORIGIN/${WMAP_BIN_TO_LIB}")
endif()
