"""uvicorn, gunicorn and hypercorn serve on bide, by the options that they have for it."""

import os
import shutil
import signal

import programs
import pytest
from programs import BIDE, Program


@pytest.fixture
def port():
    return programs.free_port()


def uvicorn(port, *options, directory=programs.HERE):
    return Program(
        "-m", "uvicorn", "application:app", "--port", str(port), "--loop",
        "bide:new_event_loop", *options, port=port, directory=directory,
    )


def test_uvicorn_takes_the_loop_by_its_option(port):
    with uvicorn(port) as server:
        assert server.answer()["loop"] == BIDE
        server.stop()
        assert "Traceback" not in server.output
        assert "Application shutdown complete" in server.output


def test_uvicorn_workers_each_run_on_bide(port):
    with uvicorn(port, "--workers", "3") as server:
        first = server.answer()
        # Which worker accepts is the kernel's choice, and may be the same each time.
        os.kill(first["pid"], signal.SIGKILL)
        second = server.wait_for(lambda answer: answer["pid"] != first["pid"])
        assert (first["loop"], second["loop"]) == (BIDE, BIDE)
        server.stop()
        assert "Traceback" not in server.output


def test_uvicorn_reloads_what_was_edited(port, tmp_path):
    source = shutil.copy(os.path.join(programs.HERE, "application.py"), tmp_path)
    with uvicorn(port, "--reload", directory=str(tmp_path)) as server:
        first = server.answer()
        assert first["loop"] == BIDE
        with open(source, "a") as file:
            file.write("\n# edited\n")
        server.wait_for(lambda answer: answer["pid"] != first["pid"])
        server.stop()
        assert "Traceback" not in server.output


def test_gunicorn_runs_uvicorn_workers_on_bide(port):
    with Program(
        "-m", "gunicorn", "application:app", "--bind", f"127.0.0.1:{port}",
        "--workers", "2", "--worker-class", "gunicorn_worker.BideWorker", port=port,
    ) as server:
        assert server.answer()["loop"] == BIDE
        assert server.stop() == 0
        assert "Traceback" not in server.output


def test_hypercorn_serves_inside_a_program_on_bide(port):
    with Program("hypercorn_program.py", f"127.0.0.1:{port}", port=port) as server:
        assert server.answer()["loop"] == BIDE
        assert server.stop() == 0
        assert "Traceback" not in server.output


def test_hypercorn_from_the_shell_serves_on_the_installed_loop(port):
    with Program(
        "-m", "hypercorn", "bide_application:app", "--bind", f"127.0.0.1:{port}",
        "--workers", "2", port=port,
    ) as server:
        assert server.answer()["loop"] == BIDE
        server.stop()
        assert "Traceback" not in server.output
