# The C examples and the C programs of the benchmarks: each file is a program of its
# own, linked against libbide as a user's would be. What lies in common/ beside them is
# linked into each. OpenSSL is for the TLS of the load generator alone, which does without
# it where its headers are missing. What measures the core is compiled with it as a whole, as
# Tokio is with its own program.

find_package(OpenSSL)
include(CheckIPOSupported)
check_ipo_supported(RESULT BIDE_HAS_IPO LANGUAGES C)
set(BIDE_WHOLE_PROGRAMS core_costs core_marks task_costs)

function(bide_add_programs directory output)
  file(GLOB programs CONFIGURE_DEPENDS ${directory}/*.c)
  file(GLOB common CONFIGURE_DEPENDS ${directory}/common/*.c)
  foreach(source IN LISTS programs)
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE "/" "_" target ${directory}/${name})
    add_executable(${target} ${source} ${common})
    set_target_properties(${target} PROPERTIES
      OUTPUT_NAME ${name}
      RUNTIME_OUTPUT_DIRECTORY ${BIDE_OUTPUT_DIRECTORY}/${output})
    target_include_directories(${target} PRIVATE ${directory}/common)
    if(BIDE_HAS_IPO AND name IN_LIST BIDE_WHOLE_PROGRAMS)
      target_sources(${target} PRIVATE core/src/lib.c)
      target_include_directories(${target} PRIVATE core/include core/src)
      target_link_libraries(${target} PRIVATE bide_flags Threads::Threads m)
      set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
    else()
      target_link_libraries(${target} PRIVATE bide_static bide_flags m)
    endif()
    if(OPENSSL_FOUND AND directory MATCHES "^benchmarks")
      target_link_libraries(${target} PRIVATE OpenSSL::SSL)
    endif()
  endforeach()
endfunction()

bide_add_programs(examples/c examples)
bide_add_programs(benchmarks programs)
bide_add_programs(benchmarks/c programs)
