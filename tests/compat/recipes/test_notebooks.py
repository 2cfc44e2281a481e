"""IPython and Jupyter's kernel run top-level await on bide."""

import json
import os
import subprocess
import sys

import jupyter_client
import pytest
from jupyter_client.kernelspec import KernelSpecManager

LIMIT_S = 50
ASK = "import asyncio; await asyncio.sleep(0.01); print(type(asyncio.get_running_loop()))"
BIDE = "<class 'bide._loop.EventLoop'>"


def test_ipython_awaits_on_bide(tmp_path):
    """With the one line in ipython_config.py that the recipe names."""
    profile = tmp_path / "profile_default"
    profile.mkdir()
    (profile / "ipython_config.py").write_text(
        'c = get_config()\nc.InteractiveShellApp.exec_lines = ["import bide; bide.install()"]\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", ASK],
        env={**os.environ, "IPYTHONDIR": str(tmp_path)}, timeout=LIMIT_S, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    assert done.stdout.strip().splitlines()[-1] == BIDE, done.stdout


@pytest.fixture
def kernel(tmp_path):
    """A kernel of the kernelspec that the recipe gives, and its client."""
    directory = tmp_path / "kernels" / "bide"
    directory.mkdir(parents=True)
    start = (
        "import bide; bide.install(); "
        "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
    )
    specification = {
        "argv": [sys.executable, "-c", start, "-f", "{connection_file}"],
        "display_name": "Python on bide",
        "language": "python",
    }
    (directory / "kernel.json").write_text(json.dumps(specification))
    manager = jupyter_client.KernelManager(
        kernel_name="bide",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(tmp_path / "kernels")]),
    )
    manager.start_kernel(env={**os.environ, "IPYTHONDIR": str(tmp_path)})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=LIMIT_S)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client, code):
    """What a cell prints; a cell that fails raises what it failed with."""
    printed = []

    def hook(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=hook, timeout=LIMIT_S)
    content = reply["content"]
    assert content["status"] == "ok", content
    return "".join(printed)


def test_jupyter_kernel_awaits_on_bide(kernel):
    _, client = kernel
    assert execute(client, ASK).strip() == BIDE
    # What one cell has started goes on while the next runs.
    execute(client, "task = asyncio.ensure_future(asyncio.sleep(0.01, 'done'))")
    assert execute(client, "print(await task)").strip() == "done"


def test_jupyter_kernel_is_interrupted_and_goes_on(kernel):
    manager, client = kernel
    started = []

    def interrupt_once(message):
        if message["msg_type"] == "stream" and not started:
            started.append(message)
            manager.interrupt_kernel()

    reply = client.execute_interactive(
        "import time\nprint('started', flush=True)\ntime.sleep(40)",
        output_hook=interrupt_once, timeout=LIMIT_S,
    )
    assert started and reply["content"]["ename"] == "KeyboardInterrupt"
    assert execute(client, ASK).strip() == BIDE
