"""The chart of the Python loops: each row a line, each loop a dot at its ratio to uvloop, on
a scale where half and double are as far from one."""

import html

from lib.scale import TOP, Scale

COLOURS = {
    "bide io_uring": "#0b6e4f", "bide epoll": "#56b48c", "uvloop": "#555555",
    "asyncio": "#b0b0b0", "rloop": "#c8553d", "rsloop": "#e0a030", "zuvloop": "#7a5ea8",
}
LINE_HEIGHT, BOTTOM = 22, 34
SCALE = Scale(left=270, width=520, ticks=(0.125, 0.25, 0.5, 1, 2, 4))


def legend(names):
    x = SCALE.left
    for name in names:
        yield f'<circle cx="{x}" cy="38" r="5" fill="{COLOURS[name]}"/>'
        yield f'<text x="{x + 9}" y="42">{html.escape(name)}</text>'
        x += 24 + 7 * len(name)


def line(row, names, y):
    label = html.escape(row["row"])
    yield f'<text x="{SCALE.left - 12}" y="{y + 4}" text-anchor="end">{label}</text>'
    # Ours are drawn last, above those that they meet.
    for name in reversed(names):
        ratio = row["ratios_to_uvloop"].get(name)
        if ratio is None:
            continue
        shown = f"{html.escape(name)}: {ratio:.2f}"
        yield (f'<circle cx="{SCALE.place(ratio):.1f}" cy="{y}" r="5" fill="{COLOURS[name]}">'
               f"<title>{shown}</title></circle>")


def draw(table):
    """An SVG of a table's headline rows."""
    rows = [row for row in table["rows"] if row["key"] in table["headlines"]]
    names = table["contenders"]
    bottom = TOP + LINE_HEIGHT * len(rows)
    parts = [*legend(names), *SCALE.lines(bottom)]
    for number, row in enumerate(rows):
        parts += line(row, names, TOP + LINE_HEIGHT * number + 4)
    title = f"CPU a unit beside uvloop's, CPython {table['python']}; left is better"
    return SCALE.page(title, bottom + BOTTOM, parts)
