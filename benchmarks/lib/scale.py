"""What the charts have in common: an SVG page and a scale of ratios on it, on which half lies as
far from one as double."""

import dataclasses
import html
import math

TOP = 64  # of what is drawn, below the title and the legend


@dataclasses.dataclass(frozen=True)
class Scale:
    left: int
    width: int
    ticks: tuple[float, ...]  # the outer two are where the scale ends

    def place(self, ratio):
        """The x of a ratio; what lies outside the scale lies on its edge."""
        least, most = self.ticks[0], self.ticks[-1]
        bounded = min(max(ratio, least), most)
        return self.left + self.width * math.log(bounded / least) / math.log(most / least)

    def lines(self, bottom):
        """A line for each tick, with its number below. Yields their parts."""
        for tick in self.ticks:
            x = self.place(tick)
            colour = "#888" if tick == 1 else "#ddd"
            yield (f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}" '
                   f'stroke="{colour}"/>')
            yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'

    def page(self, title, height, parts):
        """The SVG of a title and of the parts under it."""
        width = self.left + self.width + 30
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12" fill="#222">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text x="{self.left}" y="20" font-size="14">{html.escape(title, quote=False)}</text>',
            *parts, "</svg>\n",
        ])
