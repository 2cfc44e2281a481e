"""Many connections treated at random: users lose bytes, or get those of another
connection, once in a million."""

import asyncio
import random

import pytest
from protocols import Recorder, close_all, listen

CONNECTIONS, STEPS = 40, 150
PATTERN = bytes(range(251)) * 1000


def tagged(start, count):
    """`count` bytes of the endless pattern, from `start` on."""
    start %= 251
    whole = PATTERN if start + count <= len(PATTERN) else PATTERN * (count // len(PATTERN) + 2)
    return whole[start : start + count]


class Tagged(Recorder):
    """Sends and expects a stream that its number determines: byte i is (number + i)
    modulo 251."""

    keep_open = True

    def __init__(self, number):
        super().__init__()
        self.number = number
        self.sent = 0

    def send(self, count):
        self.transport.write(tagged(self.number + self.sent, count))
        self.sent += count

    def verify(self, number):
        assert self.data == tagged(number, len(self.data))


def one_step(rng, end):
    """Does something at random to one end of a connection."""
    transport = end.transport
    choice = rng.random()
    if transport.is_closing():
        return
    if choice < 0.6:
        if "ended" not in end.events:
            end.send(rng.choice([1, 10, 1000, 20_000, 100_000]))
    elif choice < 0.7:
        transport.pause_reading()
    elif choice < 0.9:
        transport.resume_reading()
    elif choice < 0.93:
        end.events.append("ended")
        transport.write_eof()
    elif choice < 0.96:
        transport.close()
    elif choice < 0.97:
        transport.abort()


@pytest.mark.parametrize("seed", range(10))
def test_tagged_streams_never_mix(loop, run, seed):
    rng = random.Random(seed)
    numbers = iter(range(10**6))

    async def main():
        accepted = []

        def factory():
            accepted.append(Tagged(0))
            return accepted[-1]

        server, address = await listen(factory)

        async def connect():
            """Both ends know the number by the client's port."""
            number = next(numbers)
            transport, here = await loop.create_connection(lambda: Tagged(number), *address)
            name = transport.get_extra_info("sockname")
            while True:
                for there in accepted:
                    if there.made.done() and there.transport.get_extra_info("peername") == name:
                        there.number = number + 100
                        accepted.remove(there)
                        return here, there
                await asyncio.sleep(0)

        finished = []
        pairs = [await connect() for _ in range(CONNECTIONS)]
        for _ in range(STEPS):
            for index, pair in enumerate(pairs):
                one_step(rng, rng.choice(pair))
                if all("lost" in end.events for end in pair):
                    finished.append(pair)
                    pairs[index] = await connect()
            await asyncio.sleep(0)
        for here, there in pairs:
            for end in (here, there):
                end.transport.resume_reading()
                end.transport.close()
        for pair in pairs:
            await asyncio.gather(*(end.lost for end in pair))
        for here, there in finished + pairs:
            here.verify(here.number + 100)
            there.verify(here.number)
        await close_all(server)
        assert sum(len(end.data) for pair in finished + pairs for end in pair) > 1_000_000

    run(main(), 60)
