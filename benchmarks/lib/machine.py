"""The machine that the figures come from, and how it is held still for them."""

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BIDE_BUILD", ROOT / "build"))
QUICK = os.environ.get("QUICK", "") not in ("", "0")
CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")
TRACEPOINT = Path("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id")
sys.path.insert(0, str(ROOT / "scripts"))
import ring_probe  # noqa: E402

# Loopback needs no clever congestion control, and bbr paces: it measures its own timers.
PLAIN = ("reno", "cubic")


def cores():
    """The cores of the server and of its load. On a machine of one they share it, and
    the figures are worth less."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def pin_to(core):
    """For subprocess's preexec_fn."""
    return lambda: os.sched_setaffinity(0, {core})


def program(name):
    """A C program of the build."""
    for folder in ("examples", "programs"):
        path = BUILD / folder / name
        if path.exists():
            return str(path)
    sys.exit(f"{name} is not built; run: make build")


def tool(name, package):
    """A tool of the system."""
    path = shutil.which(name)
    if path is None:
        sys.exit(f"{name} is missing; install it with: apt-get install {package}")
    return path


def ring_refusal():
    """Why the kernel grants no io_uring; None when it does."""
    return ring_probe.refusal()


def may_count_calls():
    """Whether the kernel lets us count the system calls of another process."""
    return os.geteuid() == 0 and TRACEPOINT.exists()


def congestion():
    return CONGESTION.read_text().strip()


@contextlib.contextmanager
def plain_congestion_control():
    """Sets it for the whole machine where we may, and restores it. Where we may not,
    lib.servers asks for it on the listening sockets, whose connections inherit it."""
    before = congestion()
    if before in PLAIN or not os.access(CONGESTION, os.W_OK):
        yield
        return
    try:
        CONGESTION.write_text(PLAIN[0])
    except OSError:
        # A container's /proc may be writable in name only.
        yield
        return
    try:
        yield
    finally:
        CONGESTION.write_text(before)


def describe():
    model = "unknown"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "congestion_control": congestion(),
        "congestion_control_of_servers": (
            congestion() if congestion() in PLAIN else PLAIN[0]
        ),
        "load_average": os.getloadavg()[0],
    }


def bide_version():
    text = (ROOT / "core/include/bide/base.h").read_text()
    return re.search('BIDE_VERSION_STRING "(.+)"', text)[1]


def package_versions(*names):
    versions = {"python": platform.python_version(), "bide": bide_version()}
    for name in names:
        versions[name] = importlib.metadata.version(name)
    return versions


def first_line(*command):
    """What a tool says first about itself, such as its version."""
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout or done.stderr).splitlines()[0].strip()
