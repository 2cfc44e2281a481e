"""Each rule of the tree finds what it is there to find, and leaves good code alone.

A rule that cannot fail would let the tree rot in silence.
"""

import rules

LOOP = "core/src/loop.c"
POOL = "core/src/pool.c"


def test_include_direction_stops_a_lower_layer_from_seeing_a_higher_one():
    assert rules.include_direction(POOL, "#include <bide/loop.h>\n")
    assert rules.include_direction(POOL, '#include "loop_internal.h"\n')
    assert rules.include_direction("core/include/bide/op.h", '#include "loop.h"\n')
    assert rules.include_direction("core/src/net/listener.c", "#include <bide/fs.h>\n")
    assert rules.include_direction("core/src/backend/epoll.c", '#include "../loop_internal.h"\n')


def test_include_direction_stops_the_umbrella_and_the_outside():
    assert rules.include_direction(LOOP, "#include <bide.h>\n")
    assert rules.include_direction(LOOP, '#include "../../bindings/python/loop.h"\n')
    assert rules.include_direction(LOOP, "#include <linux/io_uring.h>\n")


def test_include_direction_asks_for_the_layer_of_a_new_file():
    assert rules.include_direction("core/src/surprise.c", "")
    assert rules.include_direction("core/src/surprise/loop.c", "")


def test_include_direction_lets_a_layer_see_those_below():
    good = '#include <bide/timer.h>\n#include "memory.h"\n#include "trace_ring.h"\n'
    assert not rules.include_direction(LOOP, good)
    assert not rules.include_direction("core/src/offload.c", "#include <bide/future.h>\n")
    assert not rules.include_direction(LOOP, "/* #include <bide/net.h> */\n#include <errno.h>\n")
    assert not rules.include_direction("core/src/net/address.c", '#include "../list.h"\n')


def test_offload_may_see_future_and_not_the_other_way():
    assert rules.include_direction("core/src/future.c", "#include <bide/offload.h>\n")


def test_trace_is_a_leaf():
    assert rules.include_direction("core/src/trace.c", "#include <bide/loop.h>\n")
    assert not rules.include_direction(POOL, "#include <bide/trace.h>\n")


def test_binding_includes_stop_the_cores_inside_and_the_other_binding():
    path = "bindings/python/loop.c"
    assert rules.binding_includes(path, '#include "../../core/src/list.h"\n')
    assert rules.binding_includes(path, "#include <loop_internal.h>\n")
    assert rules.binding_includes(path, '#include "../node/addon.h"\n')
    assert rules.binding_includes(path, "#include <node_api.h>\n")
    assert rules.binding_includes("bindings/node/fs.c", "#include <Python.h>\n")
    assert not rules.binding_includes(
        path, '#include <Python.h>\n#include "handle.h"\n#include <bide/loop.h>\n'
    )


def test_one_unit_misses_repeats_and_invents_nothing():
    sources = ["core/src/base.c", "core/src/lib.c", LOOP]
    assert not rules.unit_lists_all('#include "base.c"\n#include "loop.c"\n', sources)
    assert rules.unit_lists_all('#include "base.c"\n', sources)
    assert rules.unit_lists_all('#include "base.c"\n#include "loop.c"\n' * 2, sources)
    assert rules.unit_lists_all(
        '#include "base.c"\n#include "loop.c"\n#include "gone.c"\n', sources
    )


def test_packages_import_only_themselves():
    assert rules.python_imports("p.py", "import aiohttp\n")
    assert rules.python_imports("p.py", "def f():\n    from uvloop import run\n")
    assert not rules.python_imports("p.py", "import asyncio\nfrom ._bide import Loop\n")
    assert rules.node_imports("n.js", "const x = require('bindings');\n")
    assert rules.node_imports("n.mjs", 'import x from "left-pad";\n')
    assert not rules.node_imports("n.js", "const f = require('node:fs'), a = require('./a');\n")


def test_statics_without_their_files_prefix():
    assert rules.static_prefixes(LOOP, "static int count;\n")
    assert rules.static_prefixes(LOOP, "static void turn(bide_loop *loop) {\n}\n")
    assert rules.static_prefixes(LOOP, "static const char *const names[] = {\n")
    assert rules.static_prefixes(LOOP, "static const struct names *\nturn(int a) {\n}\n")
    assert rules.static_prefixes("core/src/list.h", "static inline void list_a(void) {}\n")
    assert not rules.static_prefixes(
        LOOP,
        "static int loop_count;\nstatic void loop_turn(bide_loop *loop) {\n"
        "  static int inside;\n}\nstatic_assert(1, \"\");\n"
        "static const char *const loop_names[] = {\n",
    )


def test_symbols_with_foreign_names():
    assert rules.exported_symbols({"bide_a", "helper"}, {"bide_a"})
    assert rules.exported_symbols({"bide_a", "bide__b"}, {"bide_a", "bide__b"})
    assert rules.exported_symbols({"bide_a"}, {"bide_a", "bide_never_written"})
    assert not rules.exported_symbols({"bide_a"}, {"bide_a"})
    assert rules.archive_symbols({"bide__a", "ring_open"})
    assert not rules.archive_symbols({"bide_a", "bide__b"})


def test_declared_functions_are_found():
    text = "BIDE_EXTERN const char *bide_name(int a,\n  int b);\nint bide__hidden(void);\n"
    assert rules.declared_functions(text) == {"bide_name"}


def test_banned_calls_are_found():
    for name in rules.BANNED:
        assert rules.banned_calls(POOL, f"  x = {name} (1);\n"), name
    assert not rules.banned_calls(POOL, "/* free(x) */ bide__free(x); loop->free(x); snprintf(a);")
    assert not rules.banned_calls("core/src/base.c", "free(pointer);\n")


def test_names_made_anew_are_found():
    call = 'x = PyObject_CallMethod(socket, "fileno", NULL);\n'
    assert rules.names_made_anew(LOOP, call)
    assert rules.names_made_anew(LOOP, 'PyObject_GetAttrString(a, "b")\n')
    assert not rules.names_made_anew(LOOP, "PyObject_CallMethodOneArg(a, name, b);\n")
    assert not rules.names_made_anew("bindings/python/stream.c", call)


def test_conditions_outside_their_places():
    assert rules.conditions(LOOP, "#ifdef __x86_64__\n#endif\n")
    assert rules.conditions(LOOP, "#if defined(HAVE_THING)\n#endif\n")
    assert rules.conditions("bindings/python/loop.c", "#if PY_VERSION_HEX > 1\n#endif\n")
    assert not rules.conditions("bindings/python/compat.h", "#if PY_VERSION_HEX > 1\n#endif\n")
    assert not rules.conditions("core/src/list.h", "#ifndef BIDE_SRC_LIST_H\n#endif\n")
    assert not rules.conditions("core/src/backend/ring.h", "#ifdef IORING_OP_SEND\n#endif\n")


def test_shape():
    assert rules.long_lines("a.c", "x" * 101 + "\n")
    assert not rules.long_lines("a.c", "x" * 100 + "\n")
    assert rules.unfinished("a.c", "/* TO" "DO: later */\n")
    assert not rules.unfinished("a.c", "/* a mastodon */\n")
    assert rules.long_file("a.c", "x\n" * 601)
    assert not rules.long_file("a.c", "x\n" * 600)


def test_functions_that_do_not_fit_a_screen():
    body = "  x();\n" * 80
    assert rules.long_functions_c("a.c", "static int f(int a) {\n" + body + "}\n")
    assert rules.long_functions_c("a.c", "static int f(int a,\n      int b) {\n" + body + "}\n")
    assert not rules.long_functions_c("a.c", "int f(void) {\n  x();\n}\n" * 50)
    assert rules.long_functions_python("a.py", "def f():\n" + "  x()\n" * 81)
    assert not rules.long_functions_python("a.py", "def f():\n  x()\n" * 50)
