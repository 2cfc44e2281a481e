"""What is measured of the Python loops: the rows of the table, with the marks that bide is
to reach and the floor beside each that has one."""

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True)
class Case:
    """A case of servers/cases.py."""

    name: str
    figure: str = "cpu"  # of one unit; or its wall time


@dataclass(frozen=True)
class Load:
    """A load on a kind of a server; program is a file of servers/, or `plain` for the floor
    in C with such options."""

    program: str
    kind: str
    connections: int = 64
    options: tuple = ("--echo", "1024")
    figure: str = "cpu"


@dataclass(frozen=True)
class Both:
    """A floor of two parts: the kernel's, of a load, and that of Python's own code, of a
    case."""

    load: Load
    case: Case


@dataclass(frozen=True)
class Memory:
    """Bytes of anonymous memory for each of so many sleeping tasks or idle connections."""

    of: str
    count: int
    quick_count: int


@dataclass(frozen=True)
class Row:
    key: str
    text: str
    source: Case | Load | Memory
    mark: float = 1.0  # the most of uvloop's figure
    floor: Case | Load | Both | None = None
    headline: bool = False  # in the README, in a quick run, and on the newer interpreter too

    @property
    def unit(self):
        return "bytes" if isinstance(self.source, Memory) else "us"


def plain(*options):
    """The floor: an echo server in C on plain epoll, with such options."""
    return " ".join(("plain", *options))


STEPS = (
    Row("call_soon", "call_soon, one a turn", Case("call_soon"), 0.45, Case("bare_call"),
        headline=True),
    Row("call_soon_3", "call_soon, 3 arguments, one a turn", Case("call_soon_3_arguments"),
        0.45, Case("bare_call"), headline=True),
    Row("call_soon_1000", "call_soon, 1,000 a turn", Case("call_soon_1000"),
        floor=Case("least_call_soon_1000"), headline=True),
    Row("threadsafe", "call_soon_threadsafe", Case("call_soon_threadsafe"), 0.60,
        Case("least_call_soon_threadsafe"), headline=True),
    Row("timer_1000", "timer set+cancel, 1,000 live", Case("timer_among_1000"), 0.25,
        headline=True),
    Row("timer_1000000", "timer set+cancel, 1,000,000 live", Case("timer_among_1000000"),
        0.25),
    Row("sleep", "sleep(0)", Case("sleep_zero"), 0.33, Case("bare_send"), headline=True),
    Row("sleep_task", "sleep(0), beside asyncio's task alone", Case("sleep_zero"), 0.33,
        Case("least_sleep_zero"), headline=True),
    Row("future", "a future's wake", Case("future_wake"), 0.35, Case("least_future_wake"),
        headline=True),
    Row("task", "create_task and await", Case("create_task_and_await"), 0.42,
        Case("least_create_task_and_await"), headline=True),
    Row("gather", "gather of 10,000, a task", Case("gather_10000"), 0.42,
        Case("least_gather_10000"), headline=True),
    Row("queue", "Queue put+get", Case("queue"), 0.70, Case("least_queue"), headline=True),
    Row("event", "Event set+wait", Case("event"), 0.70, Case("least_event")),
    Row("wait_for", "wait_for of sleep(0)", Case("wait_for"), 0.70, headline=True),
    Row("timeout", "timeout() of sleep(0)", Case("timeout"), 0.70),
    Row("executor_1", "run_in_executor, 1 in flight, wall", Case("executor_1", "wall"), 0.60,
        headline=True),
    Row("executor_64", "run_in_executor, 64 in flight", Case("executor_64"), 0.30,
        headline=True),
    Row("getaddrinfo", "getaddrinfo of a literal", Case("getaddrinfo_literal"),
        floor=Case("bare_getaddrinfo")),
    Row("connect", "connect+close", Case("connect_and_close"), 0.70, Case("bare_connect"),
        headline=True),
    Row("accept", "accept+close", Load("echoes", "protocol", 64, ("--churn",)), 0.70,
        Load(plain(), "tcp", 64, ("--churn",))),
)

SIZES = {1: "1 KiB", 10: "10 KiB", 100: "100 KiB"}
ECHOES = {"protocol": "protocol", "buffered": "buffered protocol", "streams": "streams",
          "lines": "streams, readline", "sock": "sock_*"}
ECHO_MARKS = {
    ("protocol", 64, 1): 0.95, ("protocol", 512, 1): 0.85,
    ("streams", 64, 1): 0.65, ("streams", 64, 100): 0.50,
    ("sock", 64, 1): 0.35,
}


def echo_row(kind, connections, kib):
    options = ("--echo", str(kib * KIB))
    floor = Load(plain(), "tcp", connections, options)
    if kind == "streams":
        floor = Both(floor, Case(f"bare_streams_{kib}"))
    return Row(
        f"{kind}_{connections}x{kib}", f"echo by {ECHOES[kind]}, {connections} x {SIZES[kib]}",
        Load("echoes", kind, connections, options),
        ECHO_MARKS.get((kind, connections, kib), 1.0),
        floor,
        headline=(kind, connections, kib) in ECHO_MARKS,
    )


ECHO_ROWS = tuple(
    echo_row(kind, connections, kib)
    for kind in ECHOES for kib in SIZES for connections in (1, 64, 512)
)

TLS = plain("--tls", "CERTIFICATE")
SERVERS = (
    Row("two_writes", "a response in two writes", Load("echoes", "two_writes", 64,
        ("--http", "/")), 0.65, Load(plain("--http", "1024"), "tcp", 64, ("--http", "/")),
        headline=True),
    Row("tls_1", "echo over TLS, 64 x 1 KiB", Load("echoes", "tls", 64,
        ("--tls", "--echo", "1024")), 0.70, Load(TLS, "tcp", 64, ("--tls", "--echo", "1024")),
        headline=True),
    Row("tls_100", "echo over TLS, 64 x 100 KiB", Load("echoes", "tls", 64,
        ("--tls", "--echo", "102400")), 0.90,
        Load(TLS, "tcp", 64, ("--tls", "--echo", "102400")), headline=True),
    Row("udp", "echo of datagrams, 64 x 1 KiB", Load("echoes", "udp", 64,
        ("--udp", "--echo", "1024")), 0.70,
        Load(plain("--udp"), "udp", 64, ("--udp", "--echo", "1024")), headline=True),
    Row("unix", "echo by a Unix socket, 64 x 1 KiB", Load("echoes", "unix"), 1.0,
        Load(plain(), "unix")),
    Row("sendfile", "sendfile of 10 MB", Load("echoes", "sendfile", 4, ("--http", "/"))),
    Row("uvicorn", "uvicorn, 13 bytes", Load("web", "uvicorn", 64, ("--http", "/")), 0.88,
        Load(plain("--http", "13"), "tcp", 64, ("--http", "/")), headline=True),
    Row("uvicorn_10k", "uvicorn, 10 KiB", Load("web", "uvicorn", 64, ("--http", "/10k")), 1.0,
        Load(plain("--http", "10240"), "tcp", 64, ("--http", "/"))),
    Row("aiohttp", "aiohttp's server", Load("web", "aiohttp", 64, ("--http", "/")), 0.92,
        Both(Load(plain("--http", "13"), "tcp", 64, ("--http", "/")), Case("bare_aiohttp")),
        headline=True),
    Row("aiohttp_client", "aiohttp's client", Case("aiohttp_client")),
    Row("httpx_client", "httpx's client", Case("httpx_client")),
    Row("subprocess", "a subprocess and its end", Case("subprocess"),
        floor=Case("bare_spawn")),
    Row("read_4k", "file read of 4 KiB, 64 in flight", Case("file_read_4k"), 0.15,
        Case("bare_read_4k"), headline=True),
    Row("read_1m", "file read of 1 MiB, 64 in flight", Case("file_read_1m"), 1.0,
        Case("bare_read_1m")),
)

MEMORY = (
    Row("memory_task", "memory of a sleeping task", Memory("task", 10**6, 10**5), 0.78,
        headline=True),
    Row("memory_connection", "memory of an idle connection",
        Memory("connection", 10_000, 6000), 0.70, headline=True),
)

ROWS = (*STEPS, *ECHO_ROWS, *SERVERS, *MEMORY)
