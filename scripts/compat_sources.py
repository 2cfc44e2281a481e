"""Fetches the sources that carry a suite's tests, each checked by its hash.

They come from the registries by their ordinary clients: an sdist by pip, the tests of a
package whose sdist has none from the source package of a Debian release by apt-get.
They are unpacked under build/ and never committed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import debian_python

DIRECTORY = os.path.join(ROOT, "build", "compat", "src")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FETCH_LIMIT_S = 300


class Unavailable(Exception):
    """A source could not be had; says which and why."""


def run(command, what):
    try:
        done = subprocess.run(
            command, cwd=DIRECTORY, text=True, timeout=FETCH_LIMIT_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what}: {error}") from None
    if done.returncode != 0:
        last = done.stdout.strip().splitlines()[-1:] or ["no output"]
        raise Unavailable(f"{what}: {last[0]}")


def fetch_sdist(name, version):
    """pip names the file by the normalised name; it may build nothing but metadata."""
    run(
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "download",
            "--quiet", "--no-deps", "--no-binary", name, "--dest", DIRECTORY,
            f"{name}=={version}",
        ],
        f"the sdist of {name} {version}",
    )
    return f"{name.replace('-', '_')}-{version}.tar.gz"


def fetch_debian(package, version, suite):
    """The upstream tarball of a Debian source package, with apt's lists in a directory
    of our own: the machine's stay as they are."""
    mirror = debian_python.mirror()
    if mirror is None:
        raise Unavailable(f"{package} {version}: apt has no mirror of Debian here")
    apt = os.path.join(DIRECTORY, "apt-" + suite)
    for directory in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(apt, directory), exist_ok=True)
    with open(os.path.join(apt, "sources.list"), "w", encoding="utf-8") as file:
        file.write(
            f"deb-src [signed-by={KEYRING}] {mirror} {suite} main\n"
        )
    apt_get = [
        "apt-get", "-q", "-o", f"Dir::Etc::SourceList={apt}/sources.list",
        "-o", "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::State::Lists={apt}/lists",
        "-o", f"Dir::Cache={apt}/cache",
    ]
    what = f"Debian's source of {package} {version}"
    run([*apt_get, "update"], what)
    run(
        [*apt_get, "source", "--download-only", "--tar-only", f"{package}={version}"], what
    )
    return f"{package}_{version.rsplit('-', 1)[0]}.orig.tar.gz"


def unpack(archive, target):
    """The archive's one directory becomes the target, all of it or nothing."""
    partial = target + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as tar:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(partial, **safe)
    (inner,) = os.listdir(partial)
    os.rename(os.path.join(partial, inner), target)
    os.rmdir(partial)


def fetch(source):
    """(name, directory) of a suite's source, fetched unless it is there. A source is a
    dict: name, version, sha256, and for Debian's also debian (its package and version)
    and suite; `without` lists what is deleted, so that the installed package is tested
    and not its sources."""
    target = os.path.join(DIRECTORY, f"{source['name']}-{source['version']}")
    if os.path.isdir(target):
        return source["name"], target
    os.makedirs(DIRECTORY, exist_ok=True)
    if "debian" in source:
        file = fetch_debian(*source["debian"], source["suite"])
    else:
        file = fetch_sdist(source["name"], source["version"])
    archive = os.path.join(DIRECTORY, file)
    with open(archive, "rb") as content:
        found = hashlib.sha256(content.read()).hexdigest()
    if found != source["sha256"]:
        os.remove(archive)
        raise Unavailable(f"{file} has the hash {found}, not {source['sha256']}")
    unpack(archive, target + ".new")
    for path in source.get("without", ()):
        shutil.rmtree(os.path.join(target + ".new", path))
    os.rename(target + ".new", target)
    return source["name"], target
