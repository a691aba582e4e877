"""Plots, as SVG: inside the page, or as a file."""
import html
import math

COLOURS = {"muxd": "#0b6e4f", "muxd-epoll": "#5aa88c", "null": "#8a94a0", "haproxy": "#2f6fb5",
           "socat": "#7d5ba6", "python": "#d9a400", "rsyslog": "#c0562f", "nats": "#b03a6f",
           "direct": "#444c56", "one core": "#6b7480", "netperf": "#222", "iperf3": "#222"}
BAR, LABEL, WIDTH = 20, 110, 500
PLOT_WIDTH, PLOT_HEIGHT, MARGIN = 400, 220, 50


def short(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def text(x, y, what, anchor="start", size=12, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {extra}>{html.escape(what)}</text>'


def svg(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'font-family="system-ui, sans-serif">{"".join(parts)}</svg>')


def bars(title, rows, figure, factor):
    """One bar for each contestant; one far longer than the median is cut, and marked so."""
    rows = [row for row in rows if figure in row]
    if not rows:
        return ""
    values = [row[figure] * factor for row in rows]
    middle = sorted(values)[(len(values) - 1) // 2]
    most = min(max(values), 6 * middle) or 1
    scale = (WIDTH - LABEL - 70) / most
    parts = [text(0, 14, title, extra='font-weight="600"')]
    for i, (row, value) in enumerate(zip(rows, values)):
        y, length = 24 + i * BAR, min(value, most) * scale
        low, high = (min(end * factor, most) * scale for end in row["range"][figure])
        cut = " »" if value > most else ""
        parts += [text(LABEL - 6, y + 13, row["contestant"], "end"),
                  f'<rect x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{BAR - 5}" '
                  f'fill="{COLOURS.get(row["contestant"], "#888")}"/>',
                  f'<line x1="{LABEL + low:.1f}" x2="{LABEL + high:.1f}" y1="{y + 9.5}" y2="{y + 9.5}" stroke="#000"/>',
                  text(LABEL + max(length, high) + 5, y + 13, cut + short(value))]
    return svg(WIDTH, 30 + BAR * len(rows), parts)


def lines(title, rows, over, figure, factor):
    """One curve for each contestant with at least two points; both axes are logarithmic."""
    curves = {}
    for row in rows:
        curves.setdefault(row["contestant"], {})[row[over]] = row[figure] * factor
    curves = {name: sorted(points.items()) for name, points in curves.items() if len(points) > 1}
    if not curves:
        return ""
    xs = sorted({x for points in curves.values() for x, _ in points})
    ys = [y for points in curves.values() for _, y in points]
    low, high = math.log(min(ys) / 1.2), math.log(max(ys) * 1.2)

    def place(x, y):
        across = (math.log(x) - math.log(xs[0])) / (math.log(xs[-1]) - math.log(xs[0]))
        return (MARGIN + across * (PLOT_WIDTH - MARGIN),
                PLOT_HEIGHT - 25 - (math.log(y) - low) / (high - low) * (PLOT_HEIGHT - 50))

    parts = [text(0, 14, title, extra='font-weight="600"')]
    for x in xs:
        parts.append(text(place(x, ys[0])[0], PLOT_HEIGHT - 8, f"{x:,}", "middle", 11))
    for i in range(4):
        value = math.exp(low + (high - low) * i / 3)
        y = place(xs[0], value)[1]
        parts += [f'<line x1="{MARGIN}" x2="{PLOT_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dde3ea"/>',
                  text(MARGIN - 6, y + 4, short(value), "end", 11)]
    for i, (name, points) in enumerate(curves.items()):
        colour = COLOURS.get(name, "#888")
        places = [place(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts += [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(text(PLOT_WIDTH + 12, 40 + 16 * i, name, extra=f'fill="{colour}"'))
    return svg(PLOT_WIDTH + 110, PLOT_HEIGHT, parts)
