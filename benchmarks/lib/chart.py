"""The chart of the Python loops: each row a line, each loop a dot at its ratio to uvloop, on
a scale where half and double are as far from one."""

import html
import math

COLOURS = {
    "bide io_uring": "#0b6e4f", "bide epoll": "#56b48c", "uvloop": "#555555",
    "asyncio": "#b0b0b0", "rloop": "#c8553d", "rsloop": "#e0a030", "zuvloop": "#7a5ea8",
}
LABELS_WIDTH, PLOT_WIDTH, LINE_HEIGHT, TOP, BOTTOM = 270, 520, 22, 64, 34
LEAST, MOST = 0.125, 4
TICKS = (0.125, 0.25, 0.5, 1, 2, 4)


def place(ratio):
    """The x of a ratio; what lies outside the scale lies on its edge."""
    bounded = min(max(ratio, LEAST), MOST)
    return LABELS_WIDTH + PLOT_WIDTH * math.log(bounded / LEAST) / math.log(MOST / LEAST)


def scale(bottom):
    for tick in TICKS:
        x = place(tick)
        colour = "#888" if tick == 1 else "#ddd"
        yield (f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}" '
               f'stroke="{colour}"/>')
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'


def legend(names):
    x = LABELS_WIDTH
    for name in names:
        yield f'<circle cx="{x}" cy="38" r="5" fill="{COLOURS[name]}"/>'
        yield f'<text x="{x + 9}" y="42">{html.escape(name)}</text>'
        x += 24 + 7 * len(name)


def line(row, names, y):
    label = html.escape(row["row"])
    yield f'<text x="{LABELS_WIDTH - 12}" y="{y + 4}" text-anchor="end">{label}</text>'
    # Ours are drawn last, above those that they meet.
    for name in reversed(names):
        ratio = row["ratios_to_uvloop"].get(name)
        if ratio is None:
            continue
        shown = f"{html.escape(name)}: {ratio:.2f}"
        yield (f'<circle cx="{place(ratio):.1f}" cy="{y}" r="5" fill="{COLOURS[name]}">'
               f"<title>{shown}</title></circle>")


def draw(table):
    """An SVG of a table's headline rows."""
    rows = [row for row in table["rows"] if row["key"] in table["headlines"]]
    names = table["contenders"]
    bottom = TOP + LINE_HEIGHT * len(rows)
    width, height = LABELS_WIDTH + PLOT_WIDTH + 30, bottom + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{LABELS_WIDTH}" y="20" font-size="14">CPU a unit beside uvloop\'s, '
        f'CPython {table["python"]}; left is better</text>',
        *legend(names), *scale(bottom),
    ]
    for number, row in enumerate(rows):
        parts += line(row, names, TOP + LINE_HEIGHT * number + 4)
    return "\n".join([*parts, "</svg>\n"])
