# The C tests: every tests/core/test_*.c is a program, run once per backend.
#
# They link against a build of the core of their own, with its asserts on (but where branches
# are counted) and its internal functions visible.

set(BIDE_BACKENDS io_uring epoll auto CACHE STRING "The backends that the tests run on")
set(BIDE_TEST_VARIANT apart CACHE STRING
  "What this build is called in the tests' environment: apart, one, asan, tsan or valgrind")
option(BIDE_TEST_ASSERTS "Test a core that asserts; without, one that refuses misuse" ON)
set(BIDE_TEST_WRAPPER "" CACHE STRING "A command that runs the tests, such as valgrind")
set(BIDE_TEST_TIMEOUT_S 300 CACHE STRING "Seconds after which a test has failed")

add_library(bide_test_core STATIC ${core_sources})
target_include_directories(bide_test_core PUBLIC core/include core/src)
target_compile_definitions(bide_test_core PUBLIC BIDE_TESTING)
if(BIDE_TEST_ASSERTS)
  target_compile_options(bide_test_core PUBLIC -UNDEBUG)
else()
  target_compile_definitions(bide_test_core PUBLIC NDEBUG)
endif()
target_link_libraries(bide_test_core PUBLIC bide_flags Threads::Threads)
if(BIDE_TEST_VARIANT STREQUAL "valgrind")
  target_compile_definitions(bide_test_core PUBLIC BIDE_VALGRIND)
endif()

# What lies beside the tests and is none itself is linked into each.
file(GLOB test_sources CONFIGURE_DEPENDS tests/core/test_*.c)
file(GLOB support_sources CONFIGURE_DEPENDS tests/core/*.c)
if(test_sources)
  list(REMOVE_ITEM support_sources ${test_sources})
endif()
add_library(bide_test_support INTERFACE)
target_include_directories(bide_test_support INTERFACE tests/core)
target_link_libraries(bide_test_support INTERFACE bide_test_core)
if(support_sources)
  add_library(bide_test_harness STATIC ${support_sources})
  target_link_libraries(bide_test_harness PUBLIC bide_test_core)
  target_link_libraries(bide_test_support INTERFACE bide_test_harness)
endif()

add_custom_target(bide_tests)

function(bide_add_core_test name)
  add_dependencies(bide_tests ${name})
  foreach(backend IN LISTS BIDE_BACKENDS)
    add_test(NAME ${name}.${backend}
      COMMAND ${BIDE_TEST_WRAPPER} $<TARGET_FILE:${name}>
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name}.${backend} PROPERTIES
      ENVIRONMENT "BIDE_BACKEND=${backend};BIDE_TEST_VARIANT=${BIDE_TEST_VARIANT}"
      LABELS ${backend}
      SKIP_RETURN_CODE 77
      TIMEOUT ${BIDE_TEST_TIMEOUT_S})
  endforeach()
endfunction()

foreach(source IN LISTS test_sources)
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE bide_test_support m dl)
  bide_add_core_test(${name})
endforeach()

# What is an assert in a debug build is an error code in a release: the tests of misuse are made
# with a core of either kind.
foreach(name test_misuse test_misuse_threads)
  add_executable(${name}_release tests/core/${name}.c core/src/lib.c)
  target_include_directories(${name}_release PRIVATE core/include core/src tests/core)
  target_compile_definitions(${name}_release PRIVATE NDEBUG)
  target_link_libraries(${name}_release PRIVATE bide_flags Threads::Threads)
  bide_add_core_test(${name}_release)
endforeach()
