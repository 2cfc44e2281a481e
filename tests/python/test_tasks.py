"""create_task and task factories: what each version of Python passes on, users' factories
and frameworks rely on."""

import asyncio
import contextvars
import functools
import gc
import inspect
import sys
import warnings

import pytest

PARAMETERS = inspect.signature(asyncio.BaseEventLoop.create_task).parameters
TAKES_ANY = any(p.kind is p.VAR_KEYWORD for p in PARAMETERS.values())
NAMED_BY_LOOP = "name" in PARAMETERS


async def answer():
    return 42


def test_an_unknown_keyword_is_refused_as_this_version_refuses_it(loop):
    coro = answer()
    pattern = "unexpected keyword argument 'unknown'"
    if not TAKES_ANY:
        pattern = rf"^EventLoop.create_task\(\) got an {pattern}$"
    with pytest.raises(TypeError, match=pattern):
        loop.create_task(coro, unknown=1)
    coro.close()


def test_a_keyword_that_came_later_is_unknown_here(loop):
    coro = answer()
    if TAKES_ANY:
        task = loop.create_task(coro, eager_start=False)
        assert loop.run_until_complete(task) == 42
    else:
        with pytest.raises(TypeError, match="unexpected keyword argument 'eager_start'"):
            loop.create_task(coro, eager_start=False)
        coro.close()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="3.14 brought eager_start")
def test_eager_start_begins_at_once(loop):
    seen = []

    async def note():
        seen.append(1)

    async def main():
        task = loop.create_task(note(), eager_start=True)
        assert seen == [1] and task.done()
        task = loop.create_task(note(), eager_start=False)
        assert seen == [1]
        await task

    loop.run_until_complete(main())


def test_what_is_no_coroutine_is_refused(loop):
    with pytest.raises(TypeError, match="a coroutine was expected, got 5"):
        loop.create_task(5)


def test_a_plain_factory_sees_no_keywords_that_nobody_gave(loop):
    given = []

    def factory(inner, coro, **options):
        given.append(options)
        return asyncio.Task(coro, loop=inner, **options)

    loop.set_task_factory(functools.partial(factory))
    task = loop.create_task(answer())
    assert loop.run_until_complete(task) == 42
    named = loop.create_task(answer(), name="named")
    assert named.get_name() == "named" and loop.run_until_complete(named) == 42
    assert given == [{}, {} if NAMED_BY_LOOP else {"name": "named"}]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.11 brought context")
def test_a_factory_gets_a_context_that_was_given(loop):
    given = []

    def factory(inner, coro, **options):
        given.append(options.get("context"))
        return asyncio.Task(coro, loop=inner, **options)

    loop.set_task_factory(factory)
    context = contextvars.copy_context()
    loop.run_until_complete(loop.create_task(answer(), context=context))
    assert given == [context]


@pytest.mark.skipif(not NAMED_BY_LOOP, reason="since 3.14 the factory names the task")
def test_a_factory_of_futures_is_named_as_this_version_names(loop):
    def factory(inner, coro):
        coro.close()
        return inner.create_future()

    loop.set_task_factory(factory)
    if sys.version_info >= (3, 13):
        with pytest.raises(AttributeError, match="set_name"):
            loop.create_task(answer())
    else:
        assert type(loop.create_task(answer())) is asyncio.Future
        with warnings.catch_warnings():  # 3.12 has one
            warnings.simplefilter("ignore", DeprecationWarning)
            assert type(loop.create_task(answer(), name="named")) is asyncio.Future


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.12 brought eager tasks")
def test_an_eager_tasks_exception_holds_no_task(loop):
    """A frame of create_task in the traceback would keep the task in a cycle."""

    async def fail():
        raise LookupError

    async def main():
        loop.set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(fail())
        error = task.exception()
        frame = error.__traceback__.tb_frame
        return [name for name in frame.f_locals if frame.f_locals[name] is task]

    gc.collect()
    assert loop.run_until_complete(main()) == []


def test_debug_mode_knows_where_a_task_was_made(loop):
    loop.set_debug(True)

    async def main():
        task = loop.create_task(answer())
        assert task._source_traceback[-1].name == "main"
        await task

    loop.run_until_complete(main())
