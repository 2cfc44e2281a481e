"""A chart of rows in which others are measured beside bide: each row a line, each other a bar as
long as the times of bide's cost that it takes, on a scale of tens."""

import html

from lib.scale import TOP, Scale

COLOURS = {"libuv": "#555555", "libev": "#b0b0b0", "tokio": "#c8553d", "go": "#e0a030"}
OURS = "bide"
BAR_HEIGHT, GAP, BOTTOM = 12, 10, 30
SCALE = Scale(left=330, width=460, ticks=(0.5, 1, 2, 5, 10, 20, 50, 100, 200))


def legend():
    x = SCALE.left
    for name, colour in COLOURS.items():
        yield f'<rect x="{x}" y="32" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 15}" y="41">{html.escape(name)}</text>'
        x += 40 + 7 * len(name)


def bars(row, y):
    """The bars of a row from y down. Yields its parts."""
    middle = y + BAR_HEIGHT * len(others(row)) / 2 + 4
    yield (f'<text x="{SCALE.left - 12}" y="{middle:.1f}" text-anchor="end">'
           f"{html.escape(row.name)}</text>")
    one = SCALE.place(1)
    for number, name in enumerate(others(row)):
        ratio = row.values[name] / row.values[OURS]
        x = SCALE.place(ratio)
        yield (f'<rect x="{min(x, one):.1f}" y="{y + BAR_HEIGHT * number}" '
               f'width="{abs(x - one):.1f}" height="{BAR_HEIGHT - 2}" fill="{COLOURS[name]}">'
               f"<title>{html.escape(name)}: {ratio:.1f}</title></rect>")


def others(row):
    return [name for name in COLOURS if name in row.values]


def draw(title, rows):
    """An SVG of those of the rows in which another than bide is measured."""
    parts, y = [], TOP
    for row in rows:
        if others(row):
            parts += bars(row, y)
            y += BAR_HEIGHT * len(others(row)) + GAP
    return SCALE.page(title, y + BOTTOM, [*legend(), *SCALE.lines(y), *parts])
