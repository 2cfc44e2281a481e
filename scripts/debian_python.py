"""Gets interpreters that the machine's own release does not carry from Debian sid.

    python3 scripts/debian_python.py

debootstrap fetches sid's packages, verified by Debian's keys, from the mirror that the
machine's own apt sources name. They are unpacked into a folder of the user's cache, and
nothing else on the machine is touched. patchelf then makes each interpreter start by the
dynamic linker of that folder and take its libraries from there, sid's libc among them,
so that it runs as any other does: with venv, with the host's compiler, as the
sys.executable of its own children, beside programs of the host.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

SUITE = "sid"
VERSIONS = ("3.14", "3.13")
DEBUG_VERSION = "3.14"  # comes as a debug build too, which counts every reference
FOLDER = os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bide", SUITE
)
COMMAND = f"XDG_CACHE_HOME={os.path.dirname(os.path.dirname(FOLDER))} python3 " + (
    os.path.relpath(os.path.abspath(__file__))
)
# Tool -> the Debian package that brings it.
TOOLS = {"debootstrap": "debootstrap", "patchelf": "patchelf"}
KEPT_OF_SHARE = "python-wheels"  # pip, for ensurepip


def interpreter(version):
    return os.path.join(FOLDER, "usr", "bin", "python" + version)


def debug_interpreter():
    return interpreter(DEBUG_VERSION) + "-dbg"


def is_fetched(path):
    return path.startswith(FOLDER + os.sep)


def mirror():
    """The mirror that apt uses for Debian itself, or None for debootstrap's default."""
    if not shutil.which("apt-get"):
        return None
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)",
         "Created-By: Packages"],
        capture_output=True, text=True,
    )
    for line in answer.stdout.splitlines():
        origin, label, *address = line.split(" ")
        if (origin, label) == ("Debian", "Debian") and address:
            return address[0]
    return None


def run(*command):
    done = subprocess.run(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        sys.exit(f"debian_python: {command[0]} failed; see above")


def download(directory):
    wanted = [f"python{DEBUG_VERSION}-dbg"]
    for version in VERSIONS:
        name = "python" + version
        wanted += (name, f"{name}-dev", f"{name}-venv", f"lib{name}-testsuite")
    address = mirror()
    run("debootstrap", "--download-only", "--variant=minbase",
        "--include=" + ",".join(wanted), SUITE, directory, *([address] if address else []))
    return sorted(glob.glob(os.path.join(directory, "var/cache/apt/archives/*.deb")))


def unpack(archives, directory):
    """debootstrap would also configure the packages, in a chroot with mounts that a
    container may not make; an interpreter needs no more than its files."""
    for archive in archives:
        run("dpkg-deb", "--extract", archive, directory)
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name != "usr":
            os.remove(path) if os.path.islink(path) else shutil.rmtree(path)
    usr = os.path.join(directory, "usr")
    shutil.rmtree(os.path.join(usr, "lib", "debug"))
    for name in os.listdir(os.path.join(usr, "share")):
        if name != KEPT_OF_SHARE:
            shutil.rmtree(os.path.join(usr, "share", name))


def start_from(directory, final):
    """Makes the binaries start by the folder's own dynamic linker and libraries, in the
    folder's final place. The rpath is DT_RPATH, which holds for the libraries' own
    libraries too, and for those that the interpreter's modules are linked to."""
    libc, = glob.glob(os.path.join(directory, "usr", "lib", "*", "libc.so.6"))
    libraries = os.path.dirname(libc)
    linker, = glob.glob(os.path.join(libraries, "ld-linux*.so.*"))
    place = os.path.join(final, os.path.relpath(libraries, directory))
    for version in VERSIONS:
        for binary in glob.glob(os.path.join(directory, "usr", "bin", f"python{version}*")):
            with open(binary, "rb") as file:
                if file.read(4) != b"\x7fELF":
                    continue
            run("patchelf", "--set-interpreter",
                os.path.join(place, os.path.basename(linker)), binary)
            run("patchelf", "--force-rpath", "--set-rpath", place, binary)


def relocate(directory, final):
    """Puts the folder's place for /usr where the interpreters look for their headers and
    for pip's wheel, and pyconfig.h beside the other headers: it lies among the C
    library's, which must remain the host's for the host's compiler."""
    usr = os.path.join(final, "usr")
    for version in VERSIONS:
        library = os.path.join(directory, "usr", "lib", "python" + version)
        for path in glob.glob(os.path.join(library, "_sysconfig*")):
            with open(path) as file:
                text = file.read()
            text = re.sub(r"(?<=['\" I])/usr(?=['\"]|/(?:include|lib|share)\b)", usr, text)
            with open(path, "w") as file:
                file.write(text)
        for suffix in ("", "d"):
            pattern = os.path.join(directory, "usr/include/*", f"python{version}{suffix}")
            for headers in glob.glob(pattern):
                shutil.copy(
                    os.path.join(headers, "pyconfig.h"),
                    os.path.join(directory, "usr/include", f"python{version}{suffix}"),
                )
        os.remove(os.path.join(library, "EXTERNALLY-MANAGED"))


def make():
    """Makes the folder anew. It gets its name when it is whole."""
    os.makedirs(os.path.dirname(FOLDER), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(FOLDER)) as temporary:
        archives = download(os.path.join(temporary, "packages"))
        directory = os.path.join(temporary, "unpacked")
        os.mkdir(directory)
        unpack(archives, directory)
        start_from(directory, FOLDER)
        relocate(directory, FOLDER)
        shutil.rmtree(FOLDER, ignore_errors=True)
        os.rename(directory, FOLDER)


if __name__ == "__main__":
    make()
    for version in VERSIONS:
        print(version, interpreter(version))
