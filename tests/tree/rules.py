"""The rules of the source tree, each a function from a file to its violations.

A rule takes the path and the text of a file and gives a list of "path:line: what is
wrong". test_tree.py holds the tree to them; test_rules.py shows that each can fail.
"""

import ast
import os
import re
import sys

from sources import code_of, numbered, uncommented

# ---- who may include whom ----

# Each layer may include those before it and itself; the members of one layer only those
# named in SAME_LAYER. docs/architecture.md says why.
LAYERS = (
    ("base",), ("errno",), ("op",), ("pool", "timer"), ("backend",), ("loop",),
    ("offload", "future"), ("task", "cancel"),
    ("combine", "sync", "net", "fs", "dns", "signal", "process", "scope", "local",
     "interval", "virtual", "runtime", "debug"),
)
SAME_LAYER = {("offload", "future"), ("cancel", "task"), ("debug", "local")}
LEAF = "trace"
MAY_LEAF_INCLUDE = {"base", "errno"}

# Files whose name is not their concept's.
CONCEPT_OF_STEM = {
    "hints": "base", "list": "base", "memory": "base", "misuse": "base", "stack": "base",
    "wheel": "timer",
    "loop_internal": "loop", "loop_fd": "loop",
    "loop_trace": "loop", "loop_struct": "loop", "loop_timer": "loop", "loop_park": "loop",
    "loop_receive": "loop", "loop_calls": "loop",
    "choose": "loop", "ready": "loop", "trace_ring": "trace", "channel": "sync",
    "shared_channel": "sync", "waker": "sync",
    "runtime_struct": "runtime", "runtime_task": "runtime",
    "metrics": "loop", "loop_metrics": "loop", "loop_spin": "loop",
    "debug_hooks": "loop", "task_internal": "task", "future_internal": "future",
}
DIRECTORY_CONCEPTS = ("backend", "net", "fs", "sync")
UMBRELLAS = ("core/include/bide.h", "core/src/lib.c")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
KERNEL_HEADERS = ("linux/io_uring.h", "liburing.h", "sys/epoll.h")


def concept(path):
    """The concept that a file of the core belongs to, or None."""
    parts = path.split("/")
    if parts[:2] == ["core", "src"] and len(parts) > 3:
        return parts[2] if parts[2] in DIRECTORY_CONCEPTS else None
    stem = os.path.splitext(parts[-1])[0]
    stem = CONCEPT_OF_STEM.get(stem, stem)
    known = {LEAF, *(name for layer in LAYERS for name in layer)}
    return stem if stem in known else None


def included(path, quote, name):
    """The core's file that an include names, as a path; None for the system's."""
    if name.startswith("bide/") or name == "bide.h":
        return "core/include/" + name
    if quote == "<":
        return None
    near = os.path.normpath(os.path.join(os.path.dirname(path), name))
    return near if near.startswith("core/") else None


def may_include(user, used):
    if user == used or used == LEAF:
        return True
    if user == LEAF:
        return used in MAY_LEAF_INCLUDE
    rank = {name: index for index, layer in enumerate(LAYERS) for name in layer}
    return rank[used] < rank[user] or (user, used) in SAME_LAYER


def include_direction(path, text):
    if path in UMBRELLAS:
        return []
    user = concept(path)
    if user is None:
        return [f"{path}:1: no layer is known for this file; name it in rules.py"]
    wrong = []
    for line, content in numbered(uncommented(text)):
        match = INCLUDE.match(content)
        if not match:
            continue
        quote, name = match.groups()
        if name in KERNEL_HEADERS and user != "backend":
            wrong.append(f"{path}:{line}: only the backend may include <{name}>")
        target = included(path, quote, name)
        if target is None:
            if quote == '"':
                wrong.append(f'{path}:{line}: "{name}" is outside the core')
            continue
        used = concept(target)
        if target in UMBRELLAS or used is None or not may_include(user, used):
            wrong.append(f"{path}:{line}: {user} must not include {name}")
    return wrong


def binding_includes(path, text):
    """A binding sees its own files, the public headers and its runtime's."""
    own = "/".join(path.split("/")[:2])
    foreign = {
        "bindings/python": r"(node|js_native)_?api|uv\.h",
        "bindings/node": r"Python\.h",
    }
    wrong = []
    for line, content in numbered(uncommented(text)):
        match = INCLUDE.match(content)
        if not match:
            continue
        quote, name = match.groups()
        near = os.path.normpath(os.path.join(os.path.dirname(path), name))
        public = name == "bide.h" or name.startswith("bide/")
        if quote == '"' and not public and not near.startswith(own + "/"):
            wrong.append(f'{path}:{line}: "{name}" is neither {own} nor a public header')
        if "core/src" in name or "_internal" in name:
            wrong.append(f"{path}:{line}: {name} is private to the core")
        if re.search(foreign.get(own, r"(?!)"), name):
            wrong.append(f"{path}:{line}: {name} is another binding's runtime")
    return wrong


def unit_lists_all(unit_text, sources):
    """lib.c includes every source file of the core once."""
    listed = [
        "core/src/" + match.group(2)
        for _, content in numbered(uncommented(unit_text))
        if (match := INCLUDE.match(content)) and match.group(2).endswith(".c")
    ]
    expected = [path for path in sources if path != "core/src/lib.c"]
    wrong = [f"core/src/lib.c: does not include {path}"
             for path in expected if path not in listed]
    wrong += [f"core/src/lib.c: includes {path}, which is not there"
              for path in listed if path not in expected]
    wrong += [f"core/src/lib.c: includes {path} twice"
              for path in sorted(set(listed)) if listed.count(path) > 1]
    return wrong


# ---- what the packages import ----

def only_for_type_checkers(tree):
    """The nodes under `if TYPE_CHECKING:`, which never run."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }


def python_imports(path, text):
    """python/bide imports the standard library and itself, and for type checkers, which
    bring it along, typing_extensions."""
    wrong = []
    tree = ast.parse(text)
    unrun = only_for_type_checkers(tree)
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            if node in unrun and top == "typing_extensions":
                continue
            if top != "bide" and top not in sys.stdlib_module_names:
                wrong.append(f"{path}:{node.lineno}: imports {name}")
    return wrong


JS_IMPORT = re.compile(
    r"""\brequire\(\s*(['"])(?P<call>.+?)\1
    | ^\s*(?:import|export)\b[^'"\n]*(['"])(?P<from>.+?)\3""",
    re.VERBOSE,
)


def node_imports(path, text):
    """node/ imports node's own modules, its own files and its own addon."""
    wrong = []
    for line, content in numbered(text):
        for match in JS_IMPORT.finditer(content):
            name = match["call"] or match["from"]
            if not name.startswith((".", "node:")):
                wrong.append(f"{path}:{line}: imports {name}")
    return wrong


# ---- names ----

STATIC = re.compile(r"^static\b(?!_assert)(?P<declaration>[^;={]*)")
FUNCTION_NAME = re.compile(r"(\w+)\s*\(")
VARIABLE_NAME = re.compile(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$")

# A file whose statics carry another prefix than its own name's.
STATIC_PREFIXES = {}


def static_prefixes(path, text):
    """Statics carry their file's prefix: lib.c puts all files into one unit."""
    stem = os.path.splitext(os.path.basename(path))[0]
    prefix = STATIC_PREFIXES.get(path, stem + "_")
    if path.endswith(".h"):
        prefix = "bide__"
    wrong = []
    lines = code_of(text).splitlines()
    for line, content in enumerate(lines, 1):
        if not content.startswith("static"):
            continue
        declaration = " ".join(lines[line - 1 : line + 3])
        match = STATIC.match(declaration)
        if not match:
            continue
        head = match["declaration"]
        name = FUNCTION_NAME.search(head) or VARIABLE_NAME.search(head.strip())
        if name and not name.group(1).startswith(prefix):
            wrong.append(f"{path}:{line}: static {name.group(1)} must begin with {prefix}")
    return wrong


def exported_symbols(symbols, declared):
    """What the shared library exports is what its headers declare, no more, no less."""
    wrong = [f"libbide.so exports {name}, which no public header declares"
             for name in sorted(symbols - declared)]
    wrong += [f"libbide.so does not export {name}, which a public header declares"
              for name in sorted(declared - symbols)]
    wrong += [f"libbide.so exports {name}: the public prefix is bide_"
              for name in sorted(symbols) if not re.match(r"bide_(?!_)", name)]
    return wrong


def archive_symbols(symbols):
    return [f"libbide.a defines {name}: global names begin with bide_ or bide__"
            for name in sorted(symbols) if not name.startswith("bide_")]


DECLARED = re.compile(r"\bBIDE_EXTERN\b[^;{]*?\b(bide_\w+)\s*\(")


def declared_functions(text):
    """The public functions that a header declares."""
    return set(DECLARED.findall(code_of(text)))


# ---- what the core must not call ----

ALLOCATORS = "malloc calloc realloc free strdup strndup posix_memalign aligned_alloc memalign"
BANNED = {
    **{name: "memory comes from memory.h, so that tests can count and fail it"
       for name in ALLOCATORS.split()},
    **{name: "it does not know how much its target holds"
       for name in "sprintf vsprintf strcpy strcat strncpy strncat gets stpcpy".split()},
    "alloca": "it grows the stack unseen",
    "signal": "a library leaves signals to its user",
    "sleep": "the loop's thread never sleeps", "usleep": "the loop's thread never sleeps",
    "nanosleep": "the loop's thread never sleeps",
    "select": "it cannot hold large fds",
    "printf": "a library does not print", "fprintf": "a library does not print",
    "puts": "a library does not print", "perror": "a library does not print",
    "abort": "a library does not end its process", "exit": "a library does not end its process",
    "getenv": "only the choice of the backend looks at the environment",
    "system": "it starts a shell", "popen": "it starts a shell",
    "strerror": "it is not thread-safe; errno.h has the texts",
    "setjmp": "control flow stays visible", "longjmp": "control flow stays visible",
}
MAY_CALL = {
    "core/src/base.c": {"realloc", "free"},
    "core/src/choose.c": {"getenv"},
}
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))


def banned_calls(path, text):
    allowed = MAY_CALL.get(path, set())
    return [
        f"{path}:{line}: {name}: {BANNED[name]}"
        for line, content in numbered(code_of(text))
        for name in CALL.findall(content) if name not in allowed
    ]


# Each makes a new string of its name, for which CPython's cache of methods then keeps a
# place; a binding looks names up by the strings that its state has interned.
NAMES_ANEW = re.compile(
    r"\b(PyObject_(?:CallMethod|GetAttrString|HasAttrString|SetAttrString))\s*\(")
LOOKED_UP_AT_IMPORT = {"bindings/python/handle.c", "bindings/python/stream.c"}


def names_made_anew(path, text):
    if path in LOOKED_UP_AT_IMPORT:
        return []
    return [
        f"{path}:{line}: {name}: at each call it makes a string that CPython's cache keeps"
        for line, content in numbered(code_of(text)) for name in NAMES_ANEW.findall(content)
    ]


# ---- the preprocessor ----

CONDITION = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b\s*(.*)$")
MAY_TEST = {
    "core/include/bide/base.h": (r"!defined\(__linux__\)", r"defined\(BIDE_EMBEDDED\)"),
    "core/include/bide/task.h": (r"defined\(__GNUC__\).*",),
    "core/src/hints.h": (r"defined\(__(x86_64|aarch64)__\).*", r"__GLIBC__"),
}
EVERYWHERE = (r"__cplusplus", r"(defined\()?BIDE_NO_TRACE\)?", r"NDEBUG")
GUARD = re.compile(r"BIDE\w*_H_?")


def conditions(path, text):
    """#if belongs into the backend's probe and into one compat.h a binding."""
    if path.startswith("core/src/backend/") or os.path.basename(path) == "compat.h":
        return []
    allowed = (*EVERYWHERE, *MAY_TEST.get(path, ()))
    wrong = []
    for line, content in numbered(code_of(text)):
        match = CONDITION.match(content)
        if not match:
            continue
        kind, what = match.group(1), match.group(2).strip()
        if kind == "ifndef" and path.endswith(".h") and GUARD.fullmatch(what):
            continue
        if not any(re.fullmatch(pattern, what) for pattern in allowed):
            wrong.append(f"{path}:{line}: #{kind} {what}")
    return wrong


# ---- shape ----

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 80
FILE_LINES_MAX = 600
# Files above the limit, each with the reason why it is one subject.
LONG_FILES = {}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def long_lines(path, text):
    return [f"{path}:{line}: {len(content)} columns, at most {COLUMNS_MAX}"
            for line, content in numbered(text) if len(content) > COLUMNS_MAX]


def unfinished(path, text):
    return [f"{path}:{line}: {match.group()}"
            for line, content in numbered(text) if (match := UNFINISHED.search(content))]


def long_file(path, text):
    lines = text.count("\n")
    if lines <= FILE_LINES_MAX or path in LONG_FILES:
        return []
    return [f"{path}: {lines} lines, at most {FILE_LINES_MAX} without a reason in LONG_FILES"]


# A signature's last line; it begins in column 0 or goes on from the line above.
FUNCTION_OPENS = re.compile(r"(?:[A-Za-z_].*\(|\s+\S).*\)\s*\{\s*$")


def long_functions_c(path, text):
    """A function's body ends with the first brace in column 0. Inside a function other
    lines look like a signature's last; what began first counts."""
    wrong = []
    began = None
    for line, content in numbered(code_of(text)):
        if began is None and FUNCTION_OPENS.match(content):
            began = line
        elif content.startswith("}") and began is not None:
            if line - began + 1 > FUNCTION_LINES_MAX:
                wrong.append(f"{path}:{began}: {line - began + 1} lines in one function")
            began = None
    return wrong


def long_functions_python(path, text):
    return [
        f"{path}:{node.lineno}: {node.end_lineno - node.lineno + 1} lines in {node.name}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
