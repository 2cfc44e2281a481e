"""The files of the source tree, and C without its comments and strings."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOT_OURS = {
    ".git", ".venv", ".deps", "build", "dist", "node_modules", "__pycache__",
    ".pytest_cache",
}


def walk(*directories, extensions):
    """The paths, relative to the root, of the files under some directories."""
    found = []
    for directory in directories:
        for parent, names, files in os.walk(os.path.join(ROOT, directory)):
            names[:] = sorted(
                name for name in names
                if name not in NOT_OURS and not name.endswith(".egg-info")
            )
            found += [
                os.path.relpath(os.path.join(parent, name), ROOT)
                for name in sorted(files) if name.endswith(extensions)
            ]
    return found


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


C_NOISE = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE,
)
C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|(\"(?:\\.|[^\"\\\n])*\")", re.DOTALL)


def blank(match):
    """As long as what it replaces, in lines, so that line numbers hold."""
    return " " + "\n" * match.group().count("\n")


def code_of(text):
    """C without comments and without what its literals hold."""
    return C_NOISE.sub(blank, text)


def uncommented(text):
    """C without comments; strings stay, since an #include is one."""
    return C_COMMENT.sub(lambda match: match.group(1) or blank(match), text)


def numbered(text):
    return enumerate(text.splitlines(), 1)
