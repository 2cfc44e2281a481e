"""Node reads every file of node_modules: bide.fs.readFile beside fs.promises.readFile.

    python benchmarks/files.py
"""

import json
import subprocess
import sys

from lib import machine, report

PROGRAM = machine.ROOT / "benchmarks" / "node" / "files.mjs"
FOLDER = machine.ROOT / "node_modules"


def slices(node, round_count, seconds):
    """Runs the rounds, which happen inside one Node process; yields each slice."""
    command = [node, str(PROGRAM), str(FOLDER), str(round_count), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            found = json.loads(line)
            if found["contender"] == "bide.fs":
                print(f"  files: round {found['round'] + 1} of {round_count}", flush=True)
            yield found
    if process.returncode:
        sys.exit(f"{PROGRAM} failed")


def run(round_count, seconds):
    if not FOLDER.is_dir():
        sys.exit(f"{FOLDER} is not there; run: make node")
    node = machine.tool("node", "nodejs")
    samples = {"rate": {}, "megabytes": {}, "cpu": {}, "cores": {}}
    count = 0
    for found in slices(node, round_count, seconds):
        name = found["contender"]
        count = found["files"]
        samples["rate"].setdefault(name, []).append(count / found["seconds"])
        samples["megabytes"].setdefault(name, []).append(
            found["bytes"] / found["seconds"] / 1e6
        )
        samples["cpu"].setdefault(name, []).append(found["cpu_s"] / count * 1e6)
        samples["cores"].setdefault(name, []).append(found["cpu_s"] / found["seconds"])
    rows = [
        report.Row("files/s", "1/s", samples["rate"], rival="fs.promises", more=True),
        report.Row("bytes/s", "MB/s", samples["megabytes"]),
        report.Row("CPU per file, all threads", "us", samples["cpu"], digits=1,
                   rival="fs.promises"),
        report.Row("cores busy", "", samples["cores"], digits=2),
    ]
    versions = {
        "node": machine.first_line(node, "--version"),
        "libuv": machine.first_line(node, "-p", "process.versions.uv"),
        "bide": machine.bide_version(),
    }
    report.write("files", versions, rows)
    report.table(
        f"Every file of node_modules in Node, 64 in flight, "
        f"medians of {round_count} rounds of {seconds} s",
        rows,
    )


if __name__ == "__main__":
    run(*((5, 1) if machine.QUICK else (11, 3)))
