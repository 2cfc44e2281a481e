"""What the runs of the Python loops amount to: rows with their medians, ratios and marks,
as tables, JSON, Markdown and a chart."""

import json
import re
import statistics

from lib import chart, machine, report
from lib.python_rows import Load
from lib.subjects import FLOOR

RIVAL = "uvloop"
NEVER_WORSE = (RIVAL, "asyncio")
FOLDER = machine.BUILD / "bench"
CHART = machine.ROOT / "docs" / "performance.svg"
PAGES = (machine.ROOT / "README.md", machine.ROOT / "docs" / "performance.md")
BESIDE = {"wall": "wall", "p99": "p99", "load_cpu": "the load's CPU", "calls": "system calls"}
COLUMNS = {"bide io_uring": "io_uring", "bide epoll": "epoll", FLOOR: "floor"}

# How each kind of operation goes on the two backends, and the row that it was decided by.
BACKENDS = (
    ("a turn with ready calls", "a look at the ring's memory", "a look at the clock", "sleep"),
    ("a timer", "the core's wheel", "the core's wheel", "timer_1000"),
    ("stream, received", "one multishot receive into shared buffers",
     "`recv` at an edge, registered once", "protocol_64x1"),
    ("stream, sent", "`send` at once, else a poll", "`send` at once, else an edge",
     "protocol_512x1"),
    ("stream, large pieces", "a multishot poll and `recv`", "as above", "streams_64x100"),
    ("two writes of a turn", "one `sendmsg`", "one `sendmsg`", "two_writes"),
    ("TLS", "as streams, records made in memory", "the same", "tls_1"),
    ("connection accepted", "one multishot accept", "`accept4` at an edge", "accept"),
    ("connection made", "`connect`, else a poll", "`connect`, else a poll", "connect"),
    ("datagram", "`recvfrom` and `sendto`, a poll between batches", "the same", "udp"),
    ("`sock_*` on a user's socket", "the call first, else a poll by an epoll set",
     "the call first, else a poll", "sock_64x1"),
    ("`sendfile`", "`sendfile`, a poll between pieces", "the same", "sendfile"),
    ("small file read", "the ring's read", "`preadv2` of cached data, else a thread",
     "read_4k"),
    ("large file read", "the ring's read", "the same as for small ones", "read_1m"),
    ("blocking function", "bide's threads, one wake a batch", "the same", "executor_64"),
    ("child process", "a poll of its pidfd", "the same", "subprocess"),
)


class Result:
    """A row as it was measured on one interpreter. report.table prints it."""

    def __init__(self, row, samples, reasons, calls):
        self.row = row
        self.name = row.text
        self.unit = row.unit
        figure = getattr(row.source, "figure", "bytes")
        self.samples = {
            name: [found[figure] for found in series] for name, series in samples.items()
        }
        self.values = {
            name: statistics.median(series) for name, series in self.samples.items()
        }
        self.beside = {
            name: {
                key: statistics.median(found[key] for found in series)
                for key in series[0] if key != figure
            }
            for name, series in samples.items()
        }
        for name, count in calls.items():
            self.beside.setdefault(name, {})["calls"] = count
        self.reasons = reasons

    def ratio(self, name, rival=RIVAL):
        """The median of the rounds' ratios, which see the same weather; None without."""
        pairs = list(zip(self.samples.get(name, ()), self.samples.get(rival, ())))
        return statistics.median(ours / theirs for ours, theirs in pairs) if pairs else None

    def behind(self, name):
        """What this contender of ours misses, noise granted: its mark, or a rival."""
        found = []
        ratio = self.ratio(name)
        if ratio is not None and ratio > self.row.mark * (1 + report.NOISE):
            found.append(f"mark {self.row.mark:.2f}")
        for rival in NEVER_WORSE:
            ratio = self.ratio(name, rival)
            if ratio is not None and ratio > 1 + report.NOISE:
                found.append(f"{ratio:.2f} x {rival}")
        return found

    def mark_below_floor(self):
        """Whether the least that the work takes is above the mark, which nobody reaches then."""
        ratio = self.ratio(FLOOR)
        return ratio is not None and ratio > self.row.mark

    def ours(self):
        return [name for name in self.values if name.startswith("bide")]

    def cells(self, contenders):
        def shown(name):
            if name in self.reasons and name not in self.values:
                return "none"
            return number(self.values[name]) if name in self.values else "-"

        ratios = [
            f"{self.ratio(name):.2f}" for name in self.ours() if self.ratio(name) is not None
        ]
        verdict = " ".join(ratios) + (f"  mark {self.row.mark:.2f}" if ratios else "")
        if self.mark_below_floor():
            verdict += f", below the floor, {self.ratio(FLOOR):.2f}"
        late = [COLUMNS[name] for name in self.ours() if self.behind(name)]
        if late:
            verdict += f"  (behind: {', '.join(late)})"
        return [self.name, *map(shown, contenders), self.unit, verdict]

    def as_json(self):
        return {
            "row": self.name, "key": self.row.key, "unit": self.unit,
            "mark": self.row.mark, "values": self.values,
            "ratios_to_uvloop": {name: self.ratio(name) for name in self.values},
            "behind": {name: self.behind(name) for name in self.ours() if self.behind(name)},
            "mark_below_floor": self.mark_below_floor(),
            "beside": self.beside, "reasons": self.reasons, "samples": self.samples,
        }


class Beside:
    """A line of the second table: one figure beside the CPU of a row."""

    def __init__(self, result, figure):
        self.name = f"{result.name}: {BESIDE[figure]}"
        self.unit = "" if figure == "calls" else "us"
        self.values = {
            name: found[figure] for name, found in result.beside.items() if figure in found
        }

    def cells(self, contenders):
        shown = [number(self.values[name]) if name in self.values else "-"
                 for name in contenders]
        return [self.name, *shown, self.unit, ""]


def number(value):
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def results_of(run):
    return [
        Result(row, run.samples[row.key], run.reasons[row.key], run.calls[row.key])
        for row in run.rows
    ]


def failures(run, results):
    """What could not be measured, and why."""
    for name, reason in run.environment.refused.items():
        yield f"{name} was not installed: {reason}"
    for result in results:
        for name, reason in result.reasons.items():
            after = len(result.samples.get(name, ()))
            late = f" after {after} rounds" if after else ""
            yield f"{result.name}: {name}{late}: {reason}"


def print_tables(run, results, title):
    report.table(f"{title}: server CPU a unit, ratios to uvloop", results)
    beside = [
        Beside(result, figure) for result in results
        if isinstance(result.row.source, Load) and result.row.headline
        for figure in BESIDE
    ]
    if beside:
        report.table(f"{title}: beside it, a unit", beside)
    for line in failures(run, results):
        print(f"  {line}")


def write(runs, described, rounds, slice_s, seconds):
    """`described` is what machine.describe() said before the first round."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    tables = []
    for run in runs:
        results = results_of(run)
        versions = run.environment.versions()
        title = f"CPython {versions['python']}, medians of {rounds} rounds"
        print_tables(run, results, title)
        tables.append({
            "python": versions["python"], "contenders": run.contenders,
            "versions": versions, "refused": run.environment.refused,
            "rows": [result.as_json() for result in results],
            "headlines": [result.row.key for result in results if result.row.headline],
        })
    content = {
        "machine": described, "bide": machine.bide_version(), "rounds": rounds, "slice_s": slice_s,
        "seconds": round(seconds), "tables": tables,
    }
    (FOLDER / "python.json").write_text(json.dumps(content, indent=1) + "\n")
    (FOLDER / "python.svg").write_text(chart.draw(tables[0]))
    print(f"  {seconds:.0f} s; {FOLDER / 'python.json'}, and python.svg beside it")


# ---- the pages ----


def markdown(table, keys=None):
    """The rows of the keys, or all, as a Markdown table."""
    names = [*table["contenders"], FLOOR]
    heads = [COLUMNS.get(name, name) for name in names]
    lines = [
        "| | " + " | ".join(heads)
        + " | unit | io_uring : uvloop | epoll : uvloop | floor : uvloop | mark |",
        "|---|" + "---:|" * len(names) + "---|---:|---:|---:|---|",
    ]
    for row in table["rows"]:
        if keys is not None and row["key"] not in keys:
            continue
        values = [number(row["values"][name]) if name in row["values"] else
                  ("none" if name in row["reasons"] else "") for name in names]
        ratios = [row["ratios_to_uvloop"].get(name) for name in ("bide io_uring", "bide epoll")]
        shown = [f"**{ratio:.2f}**" if ratio is not None else "" for ratio in ratios]
        floor = row["ratios_to_uvloop"].get(FLOOR)
        shown.append(f"{floor:.2f}" if floor is not None else "")
        below = ", below the floor" if row["mark_below_floor"] else ""
        lines.append(
            f"| {row['row']} | " + " | ".join(values) + f" | {row['unit']} | "
            + " | ".join(shown) + f" | {row['mark']:.2f}{below} |"
        )
    return "\n".join(lines)


def shortfalls(table, keys=None):
    """The rows that are behind, by themselves those that only miss a mark below the floor."""
    late, out_of_reach = [], []
    for row in table["rows"]:
        if not row["behind"] or (keys is not None and row["key"] not in keys):
            continue
        said = "; ".join(
            f"{COLUMNS[name]}: {', '.join(missed)}" for name, missed in row["behind"].items())
        loses = any(not reason.startswith("mark")
                    for missed in row["behind"].values() for reason in missed)
        rows = out_of_reach if row["mark_below_floor"] and not loses else late
        rows.append(f"{row['row']} ({said})")
    said = {"Behind": late, "Behind a mark that is below the floor": out_of_reach}
    return "\n".join(f"- {how}: {', '.join(rows)}." for how, rows in said.items() if rows)


def caption(content, table):
    of = content["machine"]
    loops = ", ".join(
        f"{name} {table['versions'][name]}" for name in table["contenders"]
        if name in table["versions"]
    )
    busy = of["load_average"] > of["cores"]
    weather = f", with other work on the machine (load {of['load_average']:.0f})" if busy else ""
    return (
        f"CPython {table['python']}, {loops}; {of['cpu']}, {of['cores']} cores, "
        f"Linux {of['kernel']}, {of['congestion_control_of_servers']}; medians of "
        f"{content['rounds']} rounds{weather}; server CPU a unit, less is better."
    )


def replaced(text, name, content):
    """The text with what stands between the marks of that name replaced."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no <!-- {name} --> in the page")
    return pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)


def publish():
    """Puts the last run's figures into the pages."""
    content = json.loads((FOLDER / "python.json").read_text())
    first = content["tables"][0]
    readme, page = PAGES
    image = "![CPU of each row beside uvloop's](docs/performance.svg)"
    headlines = "\n\n".join(
        (caption(content, first), image, markdown(first, first["headlines"]),
         shortfalls(first, first["headlines"]))).rstrip()
    readme.write_text(replaced(readme.read_text(), "bench-python", headlines))
    whole = "\n\n".join(
        "\n\n".join((caption(content, table), markdown(table),
                     f"{shortfalls(table)}\n{unmeasured(table)}".strip()))
        for table in content["tables"]
    )
    text = replaced(page.read_text(), "bench-python", whole)
    page.write_text(replaced(text, "bench-backends", backends(first)))
    CHART.write_text((FOLDER / "python.svg").read_text())


def backends(table):
    """What each kind of operation costs on io_uring and on epoll."""
    found = {row["key"]: row for row in table["rows"]}
    lines = [
        "| operation | on io_uring | on epoll | measured by | io_uring | epoll | |",
        "|---|---|---|---|---:|---:|---|",
    ]
    for operation, ring, epoll, key in BACKENDS:
        row = found.get(key)
        values = [row["values"].get(name) for name in ("bide io_uring", "bide epoll")] \
            if row else [None, None]
        shown = ["" if value is None else number(value) for value in values]
        unit = row["unit"] if row else ""
        name = row["row"] if row else ""
        lines.append(f"| {operation} | {ring} | {epoll} | {name} | " + " | ".join(shown)
                     + f" | {unit} |")
    return "\n".join(lines)


def unmeasured(table):
    """The rows that a loop cannot do, by reason."""
    by_loop = {}
    for row in table["rows"]:
        for name, reason in row["reasons"].items():
            by_loop.setdefault((name, reason.splitlines()[0]), []).append(row["row"])
    lines = [f"- {name} was not installed: {reason}"
             for name, reason in table["refused"].items()]
    lines += [f"- {name} has no figure for {'; '.join(rows)}: `{reason}`"
              for (name, reason), rows in by_loop.items()]
    return "\n".join(lines)
