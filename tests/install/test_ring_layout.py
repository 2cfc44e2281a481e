"""bide's own copy of the kernel's io_uring interface agrees with liburing's.

If this fails, bide speaks to the kernel in numbers that mean something else.
"""

import re

import pytest
from tools import ROOT, run

SOURCES = ("core/src/backend/ring.h", "core/src/backend/ring.c")

# bide's struct -> the kernel's, with the fields whose names differ.
STRUCTS = {
    "ring_sqe": ("io_uring_sqe", {"op_flags": "rw_flags", "pad": "__pad2[0]"}),
    "ring_cqe": ("io_uring_cqe", {}),
    "ring_buf": ("io_uring_buf", {"reserved": "resv"}),
    "ring_buf_reg": ("io_uring_buf_reg", {"flags": None, "reserved": "resv"}),
    "ring_sq_offsets": (
        "io_sqring_offsets",
        {"mask": "ring_mask", "entries": "ring_entries", "reserved": None, "user_addr": None},
    ),
    "ring_cq_offsets": (
        "io_cqring_offsets",
        {"mask": "ring_mask", "entries": "ring_entries", "reserved": None, "user_addr": None},
    ),
    "ring_params": ("io_uring_params", {"reserved": "resv"}),
    "ring_timespec": ("__kernel_timespec", {}),
    "ring_enter_arg": (
        "io_uring_getevents_arg",
        {"sigmask_bytes": "sigmask_sz", "min_wait_us": "pad", "timespec": "ts"},
    ),
}
OURS_ALONE = {"ring_queues"}  # bide's own state, which the kernel never sees

# The kernel's name of each constant, by the beginning of bide's.
PREFIXES = (
    ("RING_SYS_", "__NR_io_uring_"),
    ("RING_SQE_", "IOSQE_"),
    ("RING_CQE_BUFFER_SHIFT", "IORING_CQE_BUFFER_SHIFT"),
    ("RING_CQE_", "IORING_CQE_F_"),
    ("RING_", "IORING_"),
)


def source_text():
    text = ""
    for path in SOURCES:
        with open(f"{ROOT}/{path}") as file:
            text += file.read()
    return text


def kernel_name(constant):
    for ours, theirs in PREFIXES:
        if constant.startswith(ours):
            rest = constant[len(ours):]
            return theirs + (rest.lower() if ours == "RING_SYS_" else rest)
    raise AssertionError(constant)


def assertions(text):
    """One static assertion for each constant, size and field."""
    constants = re.findall(r"\b(RING_[A-Z0-9_]+) = ", text)
    constants += re.findall(r"^#define (RING_[A-Z0-9_]+) ", text, re.MULTILINE)
    assert len(constants) > 30
    for constant in sorted(set(constants)):
        yield f"{constant} == {kernel_name(constant)}"
    structs = re.findall(r"typedef struct (ring_\w+) \{(.*?)\n\}", text, re.DOTALL)
    assert {name for name, _ in structs} == set(STRUCTS) | OURS_ALONE
    for name, body in structs:
        if name in OURS_ALONE:
            continue
        theirs, renamed = STRUCTS[name]
        yield f"sizeof({name}) == sizeof(struct {theirs})"
        body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
        for field in re.findall(r"(\w+)(?:\[\d+\])?[,;]", body):
            their_field = renamed.get(field, field)
            if their_field is not None:
                yield f"offsetof({name}, {field}) == offsetof(struct {theirs}, {their_field})"


def compile_assertions(lines, tmp_path):
    unit = tmp_path / "layout.c"
    unit.write_text(
        "#define _GNU_SOURCE\n#include <stddef.h>\n#include <sys/syscall.h>\n"
        "#include <linux/time_types.h>\n#include <liburing/io_uring.h>\n"
        '#include "backend/ring.c"\n'
        + "".join(f'_Static_assert({line}, "{line}");\n' for line in lines)
    )
    return run(
        "gcc", "-std=c11", "-fsyntax-only", "-Icore/include", "-Icore/src", str(unit)
    )


def test_constants_and_layouts_agree_with_liburings(tmp_path):
    compile_assertions(assertions(source_text()), tmp_path)


def test_a_wrong_constant_is_seen(tmp_path):
    with pytest.raises(AssertionError, match="static assertion failed"):
        compile_assertions(["RING_OP_RECV == IORING_OP_SEND"], tmp_path)
