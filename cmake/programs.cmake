# The C examples and the C programs of the benchmarks: each file is a program of its
# own, linked against libbide as a user's would be. What lies in common/ beside them is
# linked into each. OpenSSL is for the TLS of the load generator alone, which does without
# it where its headers are missing.

find_package(OpenSSL)

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
    target_link_libraries(${target} PRIVATE bide_static bide_flags m)
    if(OPENSSL_FOUND AND directory MATCHES "^benchmarks")
      target_link_libraries(${target} PRIVATE OpenSSL::SSL)
    endif()
  endforeach()
endfunction()

bide_add_programs(examples/c examples)
bide_add_programs(benchmarks programs)
bide_add_programs(benchmarks/c programs)
