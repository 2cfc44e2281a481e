"""A chart of rows in which others are measured beside bide: each row a line, each other a bar as
long as the times of bide's cost that it takes, on a scale of tens."""

import html
import math

COLOURS = {"libuv": "#555555", "libev": "#b0b0b0", "tokio": "#c8553d", "go": "#e0a030"}
OURS = "bide"
LABELS_WIDTH, PLOT_WIDTH, BAR_HEIGHT, GAP, TOP, BOTTOM = 330, 460, 12, 10, 64, 30
LEAST, MOST = 0.5, 200
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)


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


def legend():
    x = LABELS_WIDTH
    for name, colour in COLOURS.items():
        yield f'<rect x="{x}" y="32" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 15}" y="41">{html.escape(name)}</text>'
        x += 40 + 7 * len(name)


def bars(row, y):
    """The bars of a row from y down. Yields its parts."""
    middle = y + BAR_HEIGHT * len(others(row)) / 2 + 4
    yield (f'<text x="{LABELS_WIDTH - 12}" y="{middle:.1f}" text-anchor="end">'
           f"{html.escape(row.name)}</text>")
    one = place(1)
    for number, name in enumerate(others(row)):
        ratio = row.values[name] / row.values[OURS]
        x = place(ratio)
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
    width, height = LABELS_WIDTH + PLOT_WIDTH + 30, y + BOTTOM
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{LABELS_WIDTH}" y="20" font-size="14">{html.escape(title)}</text>',
        *legend(), *scale(y), *parts, "</svg>\n",
    ])
