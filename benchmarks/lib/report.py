"""Rows, their marks, the table on the screen and the JSON in build/bench."""

import json

from lib import machine
from lib.rounds import medians

# Medians of a few slices on a shared machine repeat to about this much.
NOISE = 0.03


class Row:
    """One figure of each contender.

    `samples` are {contender: [a value a round]}, `digits` those behind the point. With a
    rival, the first contender's mark is to be no worse than it, noise granted; `more`
    says whether more or less is better.
    """

    def __init__(self, name, unit, samples, digits=0, rival=None, more=False):
        self.name = name
        self.unit = unit
        self.samples = samples
        self.digits = digits
        self.values = medians(samples)
        self.rival = rival if rival in self.values else None
        self.more = more

    @property
    def ratio(self):
        """Ours over the rival's."""
        return self.values[next(iter(self.values))] / self.values[self.rival]

    @property
    def mark(self):
        if self.rival is None:
            return None
        limit = 1 - NOISE if self.more else 1 + NOISE
        return f"{'>=' if self.more else '<='} {limit:.2f} x {self.rival}"

    @property
    def met(self):
        if self.rival is None:
            return None
        return self.ratio >= 1 - NOISE if self.more else self.ratio <= 1 + NOISE

    def as_json(self):
        return {
            "row": self.name, "unit": self.unit, "values": self.values,
            "mark": self.mark, "met": self.met, "samples": self.samples,
        }

    def cells(self, contenders):
        def shown(name):
            value = self.values.get(name)
            return "-" if value is None else f"{value:,.{self.digits}f}"

        verdict = ""
        if self.rival is not None:
            verdict = f"{self.ratio:.2f} x {self.rival}{'' if self.met else '  (behind)'}"
        return [self.name, *map(shown, contenders), self.unit, verdict]


def table(title, rows, note=""):
    """Prints the rows; those that lose look like those that win."""
    contenders = list(dict.fromkeys(name for row in rows for name in row.values))
    lines = [["", *contenders, "", ""], *(row.cells(contenders) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    print(f"\n{title}")
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [line[i].rjust(widths[i]) for i in range(1, len(contenders) + 1)]
        cells += [line[-2].ljust(widths[-2]), line[-1]]
        print("  " + "  ".join(cells).rstrip())
    if note:
        print(f"  {note}")
    print(flush=True)


def write(name, versions, rows):
    """build/bench/NAME.json"""
    folder = machine.BUILD / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine.describe(),
        "versions": versions,
        "rows": [row.as_json() for row in rows],
    }
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
