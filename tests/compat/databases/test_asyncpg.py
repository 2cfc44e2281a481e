"""What a program on asyncpg does with PostgreSQL, over each way to reach it."""

import asyncio
import hashlib
import ssl

import asyncpg
import pytest

# What a client may see of a server that was killed under it and comes up again. The
# last is a race of asyncpg's own, on any loop: the query ends while its connection does.
GONE = (
    asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError, OSError, asyncpg.InternalClientError,
)


@pytest.fixture(params=["tcp", "unix", "tls"])
def options(request, postgres, authority):
    """What asyncpg.connect and create_pool take to reach the server."""
    common = {"user": "bide", "database": "postgres", "port": postgres.port}
    if request.param == "unix":
        return {**common, "host": postgres.directory}
    if request.param == "tcp":
        return {**common, "host": "127.0.0.1", "ssl": False}
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {**common, "host": "localhost", "ssl": context}


def test_asyncpg_queries_and_transactions(run, options):
    async def main():
        connection = await asyncpg.connect(**options)
        try:
            assert await connection.fetchval("SELECT $1::text || $2", "a", "b") == "ab"
            big = "x" * 3_000_000
            assert await connection.fetchval("SELECT $1::text", big) == big
            await connection.execute("CREATE TEMP TABLE rows (n int PRIMARY KEY, t text)")
            with pytest.raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO rows VALUES (1, 'lost')")
                    await connection.execute("INSERT INTO rows VALUES (1, 'twice')")
            assert await connection.fetchval("SELECT count(*) FROM rows") == 0
            await connection.executemany(
                "INSERT INTO rows VALUES ($1, $2)", [(n, str(n)) for n in range(5000)]
            )
            total = 0
            async with connection.transaction():
                async for row in connection.cursor("SELECT n FROM rows", prefetch=100):
                    total += row["n"]
            assert total == sum(range(5000))
        finally:
            await connection.close()

    run(main())


def test_asyncpg_pool_serves_many_at_once(run, options):
    async def main():
        async with asyncpg.create_pool(min_size=2, max_size=8, **options) as pool:

            async def square(n):
                return await pool.fetchval("SELECT $1::int * $1::int", n)

            squares = await asyncio.gather(*(square(n) for n in range(400)))
            assert squares == [n * n for n in range(400)]

    run(main())


def test_asyncpg_copies_in_and_out(run, options, tmp_path):
    lines = b"".join(b"%d\t%s\n" % (n, b"y" * (n % 200)) for n in range(40_000))

    async def parts():
        for start in range(0, len(lines), 10_007):
            yield lines[start : start + 10_007]

    async def main():
        connection = await asyncpg.connect(**options)
        try:
            await connection.execute("CREATE TEMP TABLE copied (n int, t text)")
            assert await connection.copy_to_table("copied", source=parts()) == "COPY 40000"
            digest = hashlib.sha256()

            async def take(data):
                digest.update(data)
                await asyncio.sleep(0)

            query = "SELECT * FROM copied ORDER BY n"
            assert await connection.copy_from_query(query, output=take) == "COPY 40000"
            assert digest.digest() == hashlib.sha256(lines).digest()
            target = tmp_path / "out"
            await connection.copy_from_query(query, output=str(target))
            assert target.read_bytes() == lines
        finally:
            await connection.close()

    run(main())


def test_asyncpg_hears_notifications_in_order(run, options):
    async def main():
        listener = await asyncpg.connect(**options)
        speaker = await asyncpg.connect(**options)
        heard = asyncio.Queue()
        try:
            await listener.add_listener("news", lambda *said: heard.put_nowait(said[-1]))
            for n in range(200):
                await speaker.execute("SELECT pg_notify('news', $1)", str(n))
            assert [await heard.get() for _ in range(200)] == [str(n) for n in range(200)]
        finally:
            await listener.close()
            await speaker.close()

    run(main())


def test_asyncpg_cancels_a_query_and_goes_on(run, options):
    async def main():
        connection = await asyncpg.connect(**options)
        try:
            with pytest.raises(asyncio.TimeoutError):
                await connection.execute("SELECT pg_sleep(30)", timeout=0.1)
            query = asyncio.ensure_future(connection.execute("SELECT pg_sleep(30)"))
            await asyncio.sleep(0.05)
            query.cancel()
            with pytest.raises(asyncio.CancelledError):
                await query
            assert await connection.fetchval("SELECT 1") == 1
        finally:
            await connection.close()

    run(main())


async def insert_until(pool, stopped, acknowledged, failures, worker):
    """Inserts numbers of its own, and remembers those whose commit it heard of."""
    number = 0
    while not stopped.is_set():
        value = worker * 1_000_000 + number
        number += 1
        try:
            await pool.execute("INSERT INTO kept VALUES ($1)", value)
        except GONE as error:
            failures.append(error)
            await asyncio.sleep(0.02)
        else:
            acknowledged.append(value)


async def grown(numbers, length, workers):
    """Waits until a list is that long, or a worker has ended, which is an error."""
    while len(numbers) < length:
        for worker in workers:
            if worker.done():
                worker.result()
        await asyncio.sleep(0.01)


def test_asyncpg_pool_recovers_from_a_killed_server(run, options, postgres):
    async def main():
        loop = asyncio.get_running_loop()
        async with asyncpg.create_pool(
            min_size=4, max_size=4, timeout=10, command_timeout=20, **options
        ) as pool:
            await pool.execute("DROP TABLE IF EXISTS kept")
            await pool.execute("CREATE TABLE kept (n int)")
            acknowledged, failures, stopped = [], [], asyncio.Event()
            workers = [
                asyncio.ensure_future(
                    insert_until(pool, stopped, acknowledged, failures, worker)
                )
                for worker in range(4)
            ]
            await grown(acknowledged, 50, workers)
            await loop.run_in_executor(None, postgres.kill)
            await grown(failures, 4, workers)
            with pytest.raises(OSError):
                await asyncpg.connect(**options)
            await loop.run_in_executor(None, postgres.start)
            await grown(acknowledged, len(acknowledged) + 50, workers)
            stopped.set()
            await asyncio.gather(*workers)
            there = {row["n"] for row in await pool.fetch("SELECT n FROM kept")}
            assert set(acknowledged) <= there
            assert all(str(error) for error in failures)

    run(main(), 55)
