# The specs beside this file, the examples of docs/language.md, and the rules of the source tree.
function(wmap_language_test name script)
  add_test(NAME ${name} COMMAND ${WMAP_BASH} ${PROJECT_SOURCE_DIR}/tests/${script} ${ARGN})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300
    ENVIRONMENT "WMAP=${PROJECT_BINARY_DIR}/wmap;WMAP_SPECS=${PROJECT_SOURCE_DIR}/specs;WMAP_LIBEXEC=${PROJECT_BINARY_DIR}")
endfunction()

find_program(WMAP_BASH bash)
if(WMAP_BASH)
  if(TARGET wmap-cli)
    wmap_language_test(language language/run.sh)
    wmap_language_test(back language/back.sh)
    wmap_language_test(fmt language/fmt.sh)
    wmap_language_test(examples language/examples.sh)
    wmap_language_test(pages language/pages.sh)
  endif()
  wmap_language_test(check check.sh ${PROJECT_BINARY_DIR})
endif()
