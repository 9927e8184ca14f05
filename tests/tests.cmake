# Unit tests are one file a module, fuzz targets one file a parser; all are found here.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

# Tests see the insides, so they link the parts, not libwmap.
set(WMAP_TEST_LIBS wmap_flags wmap_runner wmap_compiler wmap_runtime wmap_plan wmap_base PkgConfig::PROTOBUF_C
    PkgConfig::JANSSON PkgConfig::SNAPPY ZLIB::ZLIB BZip2::BZip2 LibLZMA::LibLZMA Threads::Threads m)

file(GLOB UNIT_TESTS CONFIGURE_DEPENDS tests/unit/*.c)
foreach(file ${UNIT_TESTS})
  get_filename_component(name ${file} NAME_WE)
  add_executable(unit-${name} ${file})
  target_link_libraries(unit-${name} PRIVATE ${WMAP_TEST_LIBS} PkgConfig::CMOCKA)
  target_compile_definitions(unit-${name} PRIVATE WMAP_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
  target_compile_options(unit-${name} PRIVATE -Wno-missing-prototypes)
  add_test(NAME unit-${name} COMMAND unit-${name})
  set_tests_properties(unit-${name} PROPERTIES TIMEOUT 120
    ENVIRONMENT "WMAP_LIBEXEC=${PROJECT_BINARY_DIR}")
endforeach()

# A fuzz target is LLVMFuzzerTestOneInput. Without libFuzzer a plain main replays its seeds and named crashes
# from tests/fuzz/seeds/<target>/ as an ordinary test.
file(GLOB FUZZ_TARGETS CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
foreach(file ${FUZZ_TARGETS})
  get_filename_component(name ${file} NAME_WE)
  string(REPLACE "fuzz_" "" short ${name})
  if(WMAP_FUZZ)
    add_executable(fuzz-${short} ${file})
    target_link_options(fuzz-${short} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(fuzz-${short} ${file} tests/fuzz/replay.c)
    add_test(NAME fuzz-replay-${short} COMMAND fuzz-${short} ${PROJECT_SOURCE_DIR}/tests/fuzz/seeds/${short})
    set_tests_properties(fuzz-replay-${short} PROPERTIES TIMEOUT 120
      ENVIRONMENT "WMAP_LIBEXEC=${PROJECT_BINARY_DIR}")
  endif()
  target_link_libraries(fuzz-${short} PRIVATE ${WMAP_TEST_LIBS})
  target_compile_options(fuzz-${short} PRIVATE -Wno-missing-prototypes)
endforeach()

include(${CMAKE_CURRENT_LIST_DIR}/more.cmake OPTIONAL)
include(${CMAKE_CURRENT_LIST_DIR}/language/language.cmake OPTIONAL)
