"""Holds the source tree to its rules.

What a user loses if these fail: a core that one can read and take apart (a file knows
only what lies below it), two copies of bide in one process that do not collide, and a
library that neither prints, sleeps nor ends its host.
"""

import os
import subprocess

import rules
from sources import ROOT, read, walk

CORE = walk("core", extensions=(".c", ".h"))
CORE_SOURCES = [path for path in CORE if path.startswith("core/src/")]
PUBLIC_HEADERS = walk("core/include/bide", extensions=(".h",))
BINDINGS = walk("bindings", extensions=(".c", ".h"))
PRODUCT_CODE = CORE + BINDINGS
C_CODE = PRODUCT_CODE + walk("tests", "examples", "benchmarks", extensions=(".c", ".h"))
PYTHON_CODE = walk(
    "python", "scripts", "tests", "examples", "benchmarks", extensions=(".py", ".pyi")
)
JS_CODE = walk(
    "node", "tests", "examples", "benchmarks", extensions=(".js", ".mjs", ".cjs", ".ts")
)


def hold(rule, paths):
    """The rule finds nothing in any of the files, and there are files."""
    assert paths, f"{rule.__name__} was given no file"
    wrong = [violation for path in paths for violation in rule(path, read(path))]
    assert not wrong, "\n" + "\n".join(wrong)


def symbols(library, *options):
    path = os.path.join(ROOT, "build", library)
    assert os.path.exists(path), f"build/{library} is not there; run: make build"
    lines = subprocess.run(
        ["nm", "--defined-only", *options, path], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    # "address type name"; archive members' names and blank lines have fewer words.
    found = {line.split()[2] for line in lines if len(line.split()) == 3}
    # What the sanitizers and the linker add is none of the library's.
    return {name for name in found if not name.startswith(("_init", "_fini", "__odr_asan"))}


def test_core_includes_only_what_lies_below():
    hold(rules.include_direction, CORE)


def test_bindings_see_only_the_public_headers():
    hold(rules.binding_includes, BINDINGS)


def test_one_unit_holds_the_whole_core():
    wrong = rules.unit_lists_all(
        read("core/src/lib.c"), [path for path in CORE_SOURCES if path.endswith(".c")]
    )
    assert not wrong, "\n" + "\n".join(wrong)


def test_umbrella_header_includes_every_public_header():
    text = read("core/include/bide.h")
    missing = [path for path in PUBLIC_HEADERS
               if f'#include "bide/{os.path.basename(path)}"' not in text]
    assert not missing


def test_python_package_imports_only_itself():
    hold(rules.python_imports, walk("python", extensions=(".py",)))


def test_node_package_imports_only_itself():
    hold(rules.node_imports, walk("node", extensions=(".js", ".mjs", ".cjs")))


def test_statics_carry_their_files_prefix():
    hold(rules.static_prefixes, CORE_SOURCES)


def test_shared_library_exports_what_its_headers_declare():
    declared = {name for path in PUBLIC_HEADERS for name in rules.declared_functions(read(path))}
    wrong = rules.exported_symbols(symbols("libbide.so", "-D"), declared)
    assert not wrong, "\n" + "\n".join(wrong)


def test_static_library_defines_only_prefixed_names():
    wrong = rules.archive_symbols(symbols("libbide.a", "-g"))
    assert not wrong, "\n" + "\n".join(wrong)


def test_core_calls_nothing_banned():
    hold(rules.banned_calls, CORE)


def test_binding_makes_no_name_anew():
    hold(rules.names_made_anew, walk("bindings/python", extensions=(".c", ".h")))


def test_conditional_compilation_stays_in_its_places():
    hold(rules.conditions, PRODUCT_CODE)


def test_no_line_is_too_long():
    hold(rules.long_lines, C_CODE + PYTHON_CODE + JS_CODE)


def test_nothing_is_left_for_later():
    hold(rules.unfinished, C_CODE + PYTHON_CODE + JS_CODE)


def test_long_files_say_why():
    hold(rules.long_file, C_CODE + PYTHON_CODE + JS_CODE)
    short = [path for path in rules.LONG_FILES
             if not os.path.exists(os.path.join(ROOT, path))
             or read(path).count("\n") <= rules.FILE_LINES_MAX]
    assert not short, f"LONG_FILES excuses what needs no excuse: {short}"


def test_functions_fit_a_screen():
    hold(rules.long_functions_c, PRODUCT_CODE)
    hold(rules.long_functions_python, PYTHON_CODE)
