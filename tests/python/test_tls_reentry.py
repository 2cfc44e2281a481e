"""Calls that come back from inside a call: users of their own transports, buffers and ssl
callbacks lose the process, or what they have written."""

import asyncio
import sys

import pytest
from protocols import Echo, Recorder, close_all, listen
from test_tls_start import Wire
from tls_peers import client_context, server_context

pytest.importorskip("trustme")


class AtOnce(Wire):
    """Tells of its end from inside close() and abort()."""

    def write(self, data):
        if not self.closing:
            super().write(data)

    def close(self):
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self.other.ended)
            self.protocol.connection_lost(None)

    abort = close


async def over_wires(here, there, context=None, kind=AtOnce):
    """Both ends of a TLS connection in memory, or what was raised; and the wire."""
    loop = asyncio.get_running_loop()
    left, right = kind(loop, here), kind(loop, there)
    left.other, right.other = right, left
    context = context or client_context()
    both = await asyncio.gather(
        loop.start_tls(left, here, context, server_hostname="localhost"),
        loop.start_tls(right, there, server_context(), server_side=True),
        return_exceptions=True,
    )
    return *both, left


class Buffered(asyncio.BufferedProtocol):
    """Acts in the first get_buffer()."""

    def __init__(self, act):
        self.act = act
        self.events = []

    def get_buffer(self, hint):
        act, self.act = self.act, lambda: None
        act()
        return bytearray(100)

    def buffer_updated(self, size):
        self.events.append(size)

    def connection_lost(self, error):
        self.events.append("lost")


def test_a_protocol_may_act_when_it_is_asked_for_a_buffer(run):
    async def main():
        for act in ("abort", "close", "pause_reading"):
            protocol = Buffered(lambda name=act: getattr(there, name)())
            here, there, _ = await over_wires(Recorder(), protocol)
            here.write(b"x" * 150)
            while there.is_reading():
                await asyncio.sleep(0)
            if act == "pause_reading":
                assert protocol.events == []
                there.resume_reading()
                while len(protocol.events) < 2:
                    await asyncio.sleep(0)
                assert protocol.events == [100, 50]
                there.abort()
            while "lost" not in protocol.events:
                await asyncio.sleep(0)
            here.abort()
        successor = Recorder()
        first = Buffered(lambda: there.set_protocol(successor))
        here, there, _ = await over_wires(Recorder(), first)
        here.write(b"x" * 150)
        await successor.until(lambda: len(successor.data) == 150)
        assert first.events == []
        here.abort()
        there.abort()

    run(main())


def test_a_connection_may_end_inside_any_step_of_its_handshake(run):
    async def main():
        for step in range(0, 40, 3):
            context, steps = client_context(), []

            def ssl_callback(*_, step=step, steps=steps):
                steps.append(step)
                if len(steps) == step + 1:
                    wires[0].abort()

            wires = []

            class Seen(AtOnce):
                def set_protocol(self, protocol, wires=wires):
                    wires.append(self)
                    super().set_protocol(protocol)

            context._msg_callback = ssl_callback
            here, there, wire = await over_wires(Recorder(), Recorder(), context, Seen)
            context._msg_callback = None  # the collector does not look through it
            if len(steps) <= step:
                here.abort()
                there.abort()
                assert step > 5
                return
            if here is not None and not isinstance(here, ConnectionError):
                assert here.is_closing()
        raise AssertionError("the handshake has no end")

    run(main())


def test_what_a_callback_wrote_arrives_before_its_abort(run):
    class Refusing(Recorder):
        def data_received(self, data):
            self.transport.write(b"no")
            self.transport.abort()

    async def main():
        server, address = await listen(Refusing, ssl=server_context())
        _, here = await asyncio.get_running_loop().create_connection(
            Recorder, *address, ssl=client_context(), server_hostname="localhost"
        )
        here.transport.write(b"please")
        await here.lost
        assert here.data == b"no"
        await close_all(server)

    run(main())


def test_data_without_a_length_is_the_callers_error(run):
    class Endless(bytes):
        def __len__(self):
            raise OverflowError("endless")

    async def main():
        here, there, _ = await over_wires(Recorder(), Recorder())
        with pytest.raises(OverflowError, match="endless"):
            here.write(Endless(b"x"))
        here.abort()
        there.abort()

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no buffers in Python")
@pytest.mark.parametrize("ssl", [False, True])
def test_a_list_that_is_emptied_while_it_is_written_arrives_whole(run, ssl):
    class Emptying(bytearray):
        def __buffer__(self, flags):
            lines.clear()
            return super().__buffer__(flags)

    lines = []

    async def main():
        options = {"ssl": client_context(), "server_hostname": "localhost"} if ssl else {}
        server, address = await listen(Echo, ssl=server_context() if ssl else None)
        _, here = await asyncio.get_running_loop().create_connection(
            Recorder, *address, **options
        )
        lines.extend(Emptying(b"x" * 10) for _ in range(100))
        here.transport.writelines(lines)
        await here.until(lambda: len(here.data) == 1000)
        await close_all(here, server)

    run(main())
