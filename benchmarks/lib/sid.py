"""A library of Debian sid, unpacked aside: newer than the machine's own, which stays as it is.

apt fetches the package, verified by Debian's keys, with lists and a cache of its own."""

import glob
import subprocess
import sys

from lib import machine

sys.path.insert(0, str(machine.ROOT / "scripts"))
import debian_python  # noqa: E402

FOLDER = machine.BUILD / "peers" / "sid"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEFAULT_MIRROR = "http://deb.debian.org/debian"


def apt(*arguments):
    options = {
        "Dir::Etc::sourcelist": FOLDER / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": FOLDER / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": FOLDER / "cache",
        "APT::Sandbox::User": "root",
    }
    told = [text for key, value in options.items() for text in ("-o", f"{key}={value}")]
    subprocess.run(["apt-get", "-qq", *told, *arguments], cwd=FOLDER, check=True,
                   capture_output=True)


def unpacked(package):
    """The folder that holds the package's files."""
    root = FOLDER / package
    if root.exists():
        return root
    for name in ("lists/partial", "cache/archives/partial"):
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
    mirror = debian_python.mirror() or DEFAULT_MIRROR
    (FOLDER / "sources.list").write_text(f"deb [signed-by={KEYS}] {mirror} sid main\n")
    apt("update")
    apt("download", package)
    archive, = glob.glob(str(FOLDER / f"{package}_*.deb"))
    subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)
    return root


def libuv_flags():
    """What compiles and links against sid's libuv. Its static library was built against a C
    library that may be newer than ours, whose names for scanf and strtol are all that it asks
    of it."""
    root = unpacked("libuv1-dev")
    archive, = glob.glob(str(root / "usr" / "lib" / "*" / "libuv.a"))
    ours = FOLDER / "libuv.a"
    names = [option for name in ("strtol", "sscanf", "fscanf")
             for option in ("--redefine-sym", f"__isoc23_{name}={name}")]
    subprocess.run(["objcopy", *names, archive, ours], check=True)
    return [f"-I{root}/usr/include", ours, "-lpthread", "-ldl"]
