"""What a program on redis-py does with Redis, over each way to reach it."""

import asyncio

import pytest
import redis.asyncio as redis
from redis.exceptions import ConnectionError as RedisConnectionError


# redis-py gives up after 5 s, which 50 TLS handshakes take on a machine that is busy.
PATIENCE = {"socket_timeout": 25, "socket_connect_timeout": 25}


@pytest.fixture(params=["tcp", "unix", "tls"])
def client(request, redis_server, authority, tmp_path):
    """Makes a client; it connects by itself."""

    def client(**more):
        more = {**PATIENCE, **more}
        if request.param == "unix":
            return redis.Redis(unix_socket_path=redis_server.socket, **more)
        if request.param == "tcp":
            return redis.Redis(host="127.0.0.1", port=redis_server.port, **more)
        trusted = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(trusted)
        return redis.Redis(
            host="localhost", port=redis_server.tls_port, ssl=True,
            ssl_ca_certs=str(trusted), **more,
        )

    return client


def test_redis_values_of_any_size(run, client):
    async def main():
        async with client() as server:
            await server.flushall()
            for size in (0, 1, 70_000, 5_000_000):
                value = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
                await server.set("value", value)
                assert await server.get("value") == value
            assert await server.incrby("count", 5) == 5

    run(main())


def test_redis_pipelines_and_transactions(run, client):
    async def main():
        # Without retries: a transaction that the server took may not be sent again.
        async with client(retry=None) as server:
            await server.flushall()
            async with server.pipeline(transaction=False) as pipe:
                for n in range(10_000):
                    pipe.set(f"key:{n}", n)
                assert all(await pipe.execute())
            seen = 0
            async for _ in server.scan_iter("key:*", count=500):
                seen += 1
            assert seen == 10_000

            async def add():
                async with server.pipeline() as pipe:
                    pipe.incr("a").incr("b")
                    await pipe.execute()

            await asyncio.gather(*(add() for _ in range(50)))
            assert await server.mget("a", "b") == [b"50", b"50"]

    run(main())


def test_redis_many_clients_block_and_wake(run, client):
    async def main():
        async with client() as server:
            await server.flushall()
            takers = [asyncio.ensure_future(server.blpop("work", 20)) for _ in range(30)]
            for n in range(30):
                await server.rpush("work", n)
            taken = [int(value) for _, value in await asyncio.gather(*takers)]
            assert sorted(taken) == list(range(30))
            assert await server.blpop("work", 0.1) is None

    run(main())


def test_redis_cancelled_command_leaves_the_client_usable(run, client):
    async def main():
        async with client() as server:
            await server.flushall()
            await server.set("kept", "yes")
            for _ in range(20):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(server.blpop("nothing", 30), 0.01)
                assert await server.get("kept") == b"yes"

    run(main())


async def next_message(subscription):
    while True:
        message = await subscription.get_message(ignore_subscribe_messages=True, timeout=5)
        if message is not None:
            return message["data"]


def test_redis_publishes_and_subscribes(run, client):
    async def main():
        async with client() as server, server.pubsub() as subscription:
            await subscription.subscribe("news")
            assert (await subscription.get_message(timeout=5))["type"] == "subscribe"
            for n in range(500):
                assert await server.publish("news", n) == 1
            heard = [int(await next_message(subscription)) for _ in range(500)]
            assert heard == list(range(500))

    run(main())


def test_redis_client_recovers_from_a_killed_server(run, client, redis_server):
    async def main():
        loop = asyncio.get_running_loop()
        # Without retries: an error must reach the caller at once.
        async with client(retry=None) as server:
            await server.flushall()
            await server.set("kept", "yes")
            subscription = server.pubsub()
            await subscription.subscribe("news")
            await subscription.get_message(timeout=5)
            waiting = [asyncio.ensure_future(server.blpop("nothing", 20)) for _ in range(10)]
            while (await server.info("clients"))["blocked_clients"] < 10:
                await asyncio.sleep(0.01)
            await loop.run_in_executor(None, redis_server.kill)
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(o, RedisConnectionError) and str(o) for o in outcomes), outcomes
            with pytest.raises(RedisConnectionError):
                await server.get("kept")
            await loop.run_in_executor(None, redis_server.start)
            assert await server.get("kept") == b"yes"
            with pytest.raises(RedisConnectionError):
                await subscription.get_message(timeout=5)
            await subscription.connect()
            await server.publish("news", "again")
            assert await next_message(subscription) == b"again"
            await subscription.aclose()

    run(main())
