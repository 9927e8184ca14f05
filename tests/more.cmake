# Tests of the whole: the program from outside, the installed tree, the public headers. Scripts in tests/cli get
# the source and the build folder and the compilers, and print what failed.
find_program(WMAP_BASH bash)
find_program(WMAP_PYTHON3 NAMES python3)
find_program(WMAP_CXX NAMES c++ g++ clang++)

function(wmap_script_test name)
  add_test(NAME ${name} COMMAND ${WMAP_BASH} ${PROJECT_SOURCE_DIR}/tests/cli/${name}.sh ${ARGN})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300
    ENVIRONMENT "WMAP=${PROJECT_BINARY_DIR}/wmap;SOURCE=${PROJECT_SOURCE_DIR};BUILD=${PROJECT_BINARY_DIR};WMAP_SPECS=${PROJECT_SOURCE_DIR}/specs;WMAP_LIBEXEC=${PROJECT_BINARY_DIR};CC=${CMAKE_C_COMPILER};CXX=${WMAP_CXX}")
endfunction()

if(TARGET wmap-cli AND WMAP_BASH)
  wmap_script_test(usage)
  wmap_script_test(convert)
  wmap_script_test(sets)
  wmap_script_test(listing)
  wmap_script_test(chain)
  wmap_script_test(report)
  wmap_script_test(new)
  wmap_script_test(reverse)
  wmap_script_test(manual)
  wmap_script_test(hostile)
  wmap_script_test(hub)
  wmap_script_test(library)
  wmap_script_test(readme)
  wmap_script_test(specs)
  wmap_script_test(editors)
  if(WMAP_PYTHON3)
    add_test(NAME cases COMMAND ${WMAP_PYTHON3} ${PROJECT_SOURCE_DIR}/tests/cases/table.py --check)
    set_tests_properties(cases PROPERTIES TIMEOUT 120 ENVIRONMENT "WMAP=${PROJECT_BINARY_DIR}/wmap")
  endif()
  add_test(NAME wmap-test COMMAND ${PROJECT_BINARY_DIR}/wmap test --exact specs/ tests/cases/ recipes/ -q
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(wmap-test PROPERTIES TIMEOUT 120 ENVIRONMENT "WMAP_SPECS=${PROJECT_SOURCE_DIR}/specs")
  # An instrumented library needs the sanitizers' runtime in whatever links it, which is not what is tested here.
  if(NOT WMAP_SANITIZE)
    wmap_script_test(install)
  endif()
endif()
if(WMAP_BASH)
  wmap_script_test(headers)
endif()

# Specs made at random, against an evaluator of its own. An instrumented wmap takes ten times as long to start.
find_program(WMAP_PYTHON NAMES python3)
if(TARGET wmap-cli AND WMAP_PYTHON)
  set(seeds 0..9999)
  set(memory 64)
  if(WMAP_SANITIZE)
    set(seeds 0..999)
    set(memory 0)
  endif()
  # As fault-shim, of the C library alone: it is loaded before all else.
  add_library(random-server MODULE tests/random/server.c)
  target_compile_definitions(random-server PRIVATE _GNU_SOURCE)
  target_link_libraries(random-server PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(random-server PROPERTIES C_VISIBILITY_PRESET default)
  add_test(NAME random COMMAND ${WMAP_PYTHON} ${PROJECT_SOURCE_DIR}/tests/random/run.py
    --seeds ${seeds} --seconds 600 --memory ${memory} --wmap ${PROJECT_BINARY_DIR}/wmap)
  set_tests_properties(random PROPERTIES TIMEOUT 1200 LABELS random PROCESSORS 2)
endif()

# The specs of the repository, damaged and laid out anew.
if(TARGET wmap-cli AND WMAP_PYTHON)
  set(seeds 0..399)
  set(instrumented)
  if(WMAP_SANITIZE)
    set(seeds 0..149)
    set(instrumented --instrumented)
  endif()
  add_test(NAME mutants COMMAND ${WMAP_PYTHON} ${PROJECT_SOURCE_DIR}/tests/random/mutants.py
    --seeds ${seeds} ${instrumented} --wmap ${PROJECT_BINARY_DIR}/wmap)
  set_tests_properties(mutants PROPERTIES TIMEOUT 900 LABELS random PROCESSORS 2)
endif()

# When memory runs out inside the library; under a sanitizer too.
add_executable(fault-inside tests/fault/inside.c)
target_link_libraries(fault-inside PRIVATE ${WMAP_TEST_LIBS})
target_compile_definitions(fault-inside PRIVATE WMAP_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
target_link_options(fault-inside PRIVATE
  -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=strdup,--wrap=strndup)
add_test(NAME fault-inside COMMAND fault-inside)
set_tests_properties(fault-inside PROPERTIES TIMEOUT 300 ENVIRONMENT "WMAP_LIBEXEC=${PROJECT_BINARY_DIR}")

# Faults: calls of the C library that fail, one after the other (tests/fault). The preloaded library stands before
# malloc, which a sanitizer's must do itself, so the program is tested as it is.
if(TARGET wmap-cli AND NOT WMAP_SANITIZE)
  add_library(fault-shim MODULE tests/fault/shim.c)
  target_compile_definitions(fault-shim PRIVATE _GNU_SOURCE)
  target_link_libraries(fault-shim PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(fault-shim PROPERTIES C_VISIBILITY_PRESET default)
  add_executable(fault-drive tests/fault/drive.c)
  target_link_libraries(fault-drive PRIVATE wmap_flags)
  foreach(mode alloc io kill)
    add_test(NAME fault-${mode} COMMAND fault-drive $<TARGET_FILE:wmap-cli> $<TARGET_FILE:fault-shim>
      ${PROJECT_SOURCE_DIR} ${mode})
    set_tests_properties(fault-${mode} PROPERTIES TIMEOUT 600
      ENVIRONMENT "WMAP_SPECS=${PROJECT_SOURCE_DIR}/specs;WMAP_LIBEXEC=${PROJECT_BINARY_DIR}")
  endforeach()
endif()
