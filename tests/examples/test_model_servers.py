"""The C programs that are models beside the lessons: the echo server, the task's costs.

What a user loses if these fail: a server to copy from that drops bytes, starves its
other peers or does not end; figures about tasks that cannot be reproduced.
"""

import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from conftest import PROGRAM_LIMIT_S, c_program

REASON = re.compile(r"listening on 127\.0\.0\.1:(\d+) by (io_uring|epoll): .+")


@pytest.fixture
def environment(backend):
    return {**os.environ, "BIDE_BACKEND": backend}


@pytest.fixture
def echo_address(environment, backend):
    """Where an echo server listens; afterwards it must end cleanly by SIGTERM."""
    process = subprocess.Popen(
        [*c_program("echo_server"), "127.0.0.1", "0"], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    found = REASON.fullmatch(process.stdout.readline().strip())
    assert found
    assert backend == "auto" or found[2] == backend
    yield "127.0.0.1", int(found[1])
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PROGRAM_LIMIT_S)
    assert (process.returncode, errors) == (0, "")


def read_exactly(peer, length):
    chunks = []
    while length > 0:
        chunks.append(peer.recv(min(length, 1 << 16)))
        assert chunks[-1], "the server closed the connection early"
        length -= len(chunks[-1])
    return b"".join(chunks)


def connect(address):
    return socket.create_connection(address, timeout=PROGRAM_LIMIT_S)


def test_echo_gives_back_every_byte_in_order(echo_address):
    sent = os.urandom(8 << 20)
    with connect(echo_address) as peer:
        writer = threading.Thread(target=peer.sendall, args=(sent,))
        writer.start()
        assert read_exactly(peer, len(sent)) == sent
        writer.join()


def test_echo_answers_what_came_before_the_end_of_the_stream(echo_address):
    with connect(echo_address) as peer:
        peer.sendall(b"last words")
        peer.shutdown(socket.SHUT_WR)
        assert read_exactly(peer, 10) == b"last words"
        assert peer.recv(1) == b""


def test_echo_peer_that_does_not_read_starves_nobody(echo_address):
    with connect(echo_address) as deaf, connect(echo_address) as other:
        deaf.setblocking(False)
        sent = stalls = 0
        while stalls < 200:  # the kernel's buffers of both directions are full for good
            try:
                sent += deaf.send(bytes(1 << 16))
                stalls = 0
            except BlockingIOError:
                stalls += 1
                other.sendall(b"still there?")
                assert read_exactly(other, 12) == b"still there?"
        deaf.settimeout(PROGRAM_LIMIT_S)
        assert read_exactly(deaf, sent) == bytes(sent)


def test_echo_survives_peers_that_reset(echo_address):
    for _ in range(20):
        peer = connect(echo_address)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.sendall(bytes(1 << 16))
        peer.close()
    with connect(echo_address) as peer:
        peer.sendall(b"hello")
        assert read_exactly(peer, 5) == b"hello"


def test_echo_ends_with_connections_open(echo_address):
    peers = [connect(echo_address) for _ in range(50)]
    for peer in peers:
        peer.sendall(b"x")
        assert peer.recv(1) == b"x"
        peer.detach()  # stays open until this process ends; the fixture stops the server


def test_echo_says_what_is_wrong_with_its_address(environment):
    done = subprocess.run(
        [*c_program("echo_server"), "not.an.address", "1"], env=environment,
        capture_output=True, text=True, timeout=PROGRAM_LIMIT_S,
    )
    assert (done.returncode, done.stderr) == (1, "echo_server: listen: invalid argument\n")


def test_task_costs_counts_a_million_tasks(environment):
    done = subprocess.run(
        [*c_program("task_costs", "programs"), "--json"], env=environment, capture_output=True,
        text=True, timeout=PROGRAM_LIMIT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    costs = json.loads(done.stdout)
    assert costs["tasks_alive"] == 1_000_000
    assert costs["sizeof_task"] <= costs["bytes_a_task"] < 2 * costs["sizeof_task"]
    for name in ("await_ns", "ready_await_ns", "yield_ns", "spawn_await_ns"):
        assert 0 < costs[name] < 10_000, name
