"""The results of a run: table.md, report.html with plots, cost.svg, the goals, the comparison with an older run."""
import html
import math
import statistics
from operator import sub, truediv

import plots

LATENCY_LIMIT_US = 300
HEADINGS = ("link", "contestant", "packets/s", "goodput", "CPU ns/packet", "user", "system", "CPU ps/B",
            "p50 us", "p99 us", "p99 added")
VETH_CAVEAT = (
    "Links marked emulated are pairs of network namespaces joined by veth, shaped by tbf, on one machine. "
    "They show the cost of software, in ratios. They cannot show the work of a card: its offloads (the "
    "kernel hands whole 64 KiB segments from one side to the other), zero-copy send, RDMA, interrupts. "
    "Much of the receiver's work is billed to the sender's CPU, and the other way round. rdma-guest is a "
    "machine in software, with RDMA in software: every instruction is expensive there, and only figures of the "
    "same table compare; a card does in hardware what the emulated device does in the guest's kernel. "
    "dpdk-veth is a DPDK port on a veth, offloads off: a card's driver costs less.")
METHOD = (
    "Contestants take turns within each round; figures are medians over the rounds, with the range; goals "
    "are medians of the ratios within each round. The relay has one core, load and sink another. CPU is the "
    "relay's own (rusage), with its children. The sink checks every packet's CRC, route, and place in its "
    "worker's stream; a run that lost, doubled or reordered one has no figure. Goodput is in bytes of "
    "packets at the sink. Where latency is measured relay and sink run before all else on their cores "
    "(SCHED_FIFO).")


def cell_name(row):
    size = {0: "mix"}.get(row["packet_bytes"]) or size_name(row["packet_bytes"])
    write = f"{row['write_bytes']} B writes" if row["write_bytes"] else "one packet a write"
    pace = f", paced {row['rate']}/s" if row["rate"] else ""
    if row["contestant"] in ("netperf", "iperf3"):
        return "one byte there and back" if row["packet_bytes"] == 1 else f"one stream, {size} sends"
    return f"{size}, {row['workers']} workers, {write}{pace}"


def size_name(size):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def number(value, digits=3):
    if value is None:
        return ""
    if value >= 10 ** digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def rate_name(bits):
    return f"{bits / 1e9:.2f} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:.1f} Mbit/s"


def key(row):
    return (row["link"], row["packet_bytes"], row["workers"], row["write_bytes"], bool(row["rate"]),
            row["contestant"])


class Rows:
    """The rows, selected by what they measured."""

    def __init__(self, rows):
        self.rows = {key(row): row for row in rows}

    def get(self, link, contestant, size, workers, write=0, paced=False):
        return self.rows.get((link, size, workers, write, paced, contestant))

    def ratio(self, figure, ours, theirs):
        """The ratio of the medians of two cells."""
        one, other = self.get(*ours), self.get(*theirs)
        return one[figure] / other[figure] if one and other and other.get(figure) and figure in one else None

    def paired(self, figure, compare, link, peer, cell, most=math.inf):
        """
        muxd and a peer on the same cell: the median of compare() over the rounds in which the peer has at most
        `most`. The two ran seconds apart, so a machine that slows down for a minute slows both.
        """
        ours, theirs = ({sample["round"]: sample[figure] for sample in (row or {}).get("samples", ())
                         if figure in sample} for row in (self.get(link, "muxd", *cell), self.get(link, peer, *cell)))
        both = [compare(ours[turn], theirs[turn]) for turn in ours.keys() & theirs.keys() if 0 < theirs[turn] <= most]
        return statistics.median(both) if both else None

    def netperf(self, link):
        return self.get(link, "netperf", 65536, 1) or self.get(link, "iperf3", 65536, 1)


def goals(rows):
    """(what, ratio or figure, limit, "most" or "least") for each that this run has measured."""
    small, many, paced = (100, 16, 5000), (100, 256, 5000), (100, 256, 0, True)
    middle, large = (4096, 16, 5000), (65536, 16)
    names = {small: "100 B, 5 KB writes, 16 workers", many: "100 B, 5 KB writes, 256 workers",
             middle: "4 KiB, 16 workers", large: "64 KiB, 16 workers", paced: "one packet a write, 256 paced workers"}
    found = []

    def add(what, value, limit, direction="most"):
        if value is not None:
            found.append((what, value, limit, direction))

    def cpu(link, peer, cell, limit):
        add(f"CPU per packet on {link} against {peer}, {names[cell]}",
            rows.paired("cpu_ns_per_packet", truediv, link, peer, cell), limit)

    for cell, limit in ((small, 0.95), (many, 0.95), (middle, 0.7), (large, 0.7), (paced, 0.75)):
        cpu("lo", "null", cell, limit)
    for cell, limit in ((small, 0.95), (many, 0.95), (large, 0.75), (paced, 1)):
        cpu("ib0", "haproxy", cell, limit)
    cpu("ib0", "python", small, 1 / 120)
    add("CPU per packet, 2,000 workers against 16",
        rows.ratio("cpu_ns_per_packet", ("ib0", "muxd", 100, 2000, 5000), ("ib0", "muxd", *small)), 1.3)
    # of what load and sink reach that share a core, as they do beside a relay: no relay can do better
    for link, cell, limit in (("ib0", small, 0.8), ("ib0", large, 0.9), ("ib0-sdr", small, 0.8)):
        add(f"throughput on {link} against one core, {names[cell]}",
            rows.paired("packets_per_s", truediv, link, "one core", cell), limit, "least")
    for link, limit in (("eth0", 0.97), ("ib0-sdr", 0.95)):
        for name, cell in (("100 B", small), ("64 KiB", large)):
            if (link, cell) == ("ib0-sdr", small):
                continue  # ten million packets a second: against one core, above
            ours, theirs = rows.get(link, "muxd", *cell), rows.netperf(link)
            add(f"goodput on {link} against {theirs['contestant'] if theirs else ''}, {name}",
                ours["goodput_bits_per_s"] / theirs["goodput_bits_per_s"] if ours and theirs else None,
                limit, "least")
    for peer in ("haproxy", "socat"):
        add(f"throughput on ib0 against {peer}, 64 KiB",
            rows.paired("goodput_bits_per_s", truediv, "ib0", peer, large), 1, "least")
        add(f"CPU per byte on ib0 against {peer}, 64 KiB",
            rows.paired("cpu_ns_per_byte", truediv, "ib0", peer, large), 1)
    # a round in which even no relay exceeds the limit shows the machine's latency, not the relay's
    add("p99 added at half load, us", rows.paired("p99_us", sub, "ib0", "direct", paced, LATENCY_LIMIT_US),
        LATENCY_LIMIT_US)
    return found


def reached(value, limit, direction):
    return value <= limit if direction == "most" else value >= limit


def goal_lines(rows):
    for what, value, limit, direction in goals(rows):
        mark = "reached" if reached(value, limit, direction) else "not reached"
        yield (what, f"{value:.3g}" if limit >= 0.01 else f"1/{1 / value:.0f}",
               f"at {direction} " + (f"{limit:.3g}" if limit >= 0.01 else f"1/{1 / limit:.0f}"), mark)


def add_latency(rows):
    """p99 added: a relay's p99 minus that without a relay in the same cell."""
    table = Rows(rows)
    for row in rows:
        direct = table.get(row["link"], "direct", row["packet_bytes"], row["workers"], row["write_bytes"],
                           bool(row["rate"]))
        if row.get("p99_us") and direct and direct.get("p99_us") and row is not direct and row["workers"]:
            row["added_p99_us"] = row["p99_us"] - direct["p99_us"]


def cells_of(row):
    spread = row["range"].get("goodput_bits_per_s")
    return (row["link"], row["contestant"], number(row.get("packets_per_s")),
            f"{rate_name(row['goodput_bits_per_s'])} ({rate_name(spread[0])} - {rate_name(spread[1])})" if spread else "",
            number(row.get("cpu_ns_per_packet")), number(row.get("cpu_user_ns_per_packet")),
            number(row.get("cpu_system_ns_per_packet")), number(row["cpu_ns_per_byte"] * 1000 if "cpu_ns_per_byte" in row else None),
            number(row.get("p50_us")), number(row.get("p99_us")), number(row.get("added_p99_us")))


def grouped(rows):
    """(link and cell, its rows), in the order measured."""
    groups = {}
    for row in rows:
        groups.setdefault((row["link"], cell_name(row)), []).append(row)
    return groups.items()


def short_figures(row):
    """Goodput, or latency where it was measured, and the relay's CPU."""
    main = f"{number(row['p99_us'])} us, " if row.get("p99_us") else ""
    main = main if row["rate"] else rate_name(row["goodput_bits_per_s"]) + ", "
    return f"{main}{number(row['cpu_ns_per_packet'])} ns"


def markdown(results):
    """RESULTS.md's tables: goodput (paced: 99th percentile of latency) and CPU ns a packet, and the goals."""
    machine = results["machine"]
    lines = [f"{machine['cpu']}, {machine['cpus']} cores, Linux {machine['kernel']}, "
             f"{machine['congestion_control']}, {results['rounds']} round(s), commit {results['commit']}:", ""]
    links = [link["name"] for link in results["links"]]
    measured = [row for row in results["rows"] if row["link"] in links]
    names = list(dict.fromkeys(row["contestant"] for row in measured if row["workers"] > 1))
    lines += [f"| link | work | {' | '.join(names)} |", "|---|---|" + "---:|" * len(names)]
    for (link, cell), rows in grouped(measured):
        figures = {row["contestant"]: short_figures(row) for row in rows}
        if rows[0]["workers"] > 1:
            lines.append(f"| {link} | {cell} | {' | '.join(figures.get(name, '') for name in names)} |")
    for row in measured:
        if row["workers"] == 1 and row["packet_bytes"] > 1:
            lines += ["", f"{row['contestant']} on {row['link']}: {rate_name(row['goodput_bits_per_s'])}."]
    for text in results["stacks"]:
        lines += ["", text]
    lines += ["", "| goal | measured | wanted | |", "|---|---:|---:|---|"]
    lines += [f"| {' | '.join(line)} |" for line in goal_lines(Rows(results["rows"]))]
    return "\n".join(lines) + "\n"


def table(headings, lines):
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in line) + "</tr>\n"
                   for line in lines)
    return f"<table><tr>{head}</tr>\n{body}</table>\n"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #1d2733 }
table { border-collapse: collapse; font-size: 13px; margin: .5em 0 1.5em }
td, th { white-space: nowrap; border-bottom: 1px solid #dde3ea; padding: .2em .7em; text-align: right }
td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left }
h2 { margin-top: 2em } h3 { margin-bottom: .2em } .note { color: #5b6775 } svg { margin: .5em 1em .5em 0 }
"""


def charts(results):
    rows = results["rows"]
    out = []
    for (link, cell), group in grouped(rows):
        if len(group) > 2 and not group[0]["rate"]:
            reference = [row for row in rows if row["link"] == link and row["packet_bytes"] > 1
                         and row["contestant"] in ("netperf", "iperf3")]
            out.append(f"<h3>{html.escape(f'{link}: {cell}')}</h3>")
            out.append(plots.bars("goodput, Gbit/s", group + reference, "goodput_bits_per_s", 1e-9))
            out.append(plots.bars("relay CPU, ns a packet", group, "cpu_ns_per_packet", 1))
        elif group[0]["rate"]:
            out.append(f"<h3>{html.escape(f'{link}: {cell}')}</h3>")
            out.append(plots.bars("latency p99, us", [row for row in group if "p99_us" in row], "p99_us", 1))
            out.append(plots.bars("relay CPU, ns a packet", group, "cpu_ns_per_packet", 1))
    return "\n".join(out)


def of_first_link(results):
    """Its rows without a pace, of several workers."""
    link = results["links"][0]["name"]
    return [row for row in results["rows"] if row["link"] == link and not row["rate"] and row["workers"] > 1]


def over_size(results):
    return [row for row in of_first_link(results) if row["packet_bytes"] and row["workers"] <= 16 and
            (row["write_bytes"] or row["packet_bytes"] > 5000)]


def cost_plot(results):
    """What a byte costs over the packet's size, as an SVG file."""
    return plots.lines("relay CPU, ps a byte, over packet bytes", over_size(results), "packet_bytes",
                       "cpu_ns_per_byte", 1e3)


def curves(results):
    """Cost and throughput over workers and over packet size, on the first link."""
    by_workers = [row for row in of_first_link(results) if row["packet_bytes"] == 100 and row["write_bytes"]]
    return "".join((
        plots.lines("relay CPU, ns a packet, over workers (100 B, 5 KB writes)", by_workers, "workers",
                    "cpu_ns_per_packet", 1),
        plots.lines("packets/s, millions, over workers", by_workers, "workers", "packets_per_s", 1e-6),
        cost_plot(results),
        plots.lines("goodput, Gbit/s, over packet bytes", over_size(results), "packet_bytes", "goodput_bits_per_s",
                    1e-9)))


def page(results, compared):
    machine = results["machine"]
    links = table(("link", "what it is", "MTU", ""), [
        (link["name"], link["what"], link["mtu"], "emulated" if link["emulated"] else "hardware")
        for link in results["links"]])
    details = "".join(f"<h3>{html.escape(f'{link}: {cell}')}</h3>{table(HEADINGS, map(cells_of, group))}"
                      for (link, cell), group in grouped(results["rows"]))
    less = table(("contestant", "what it does less"), results["less"].items())
    missing = "".join(f"<li>{html.escape(line)}</li>" for line in results["skipped"] + results["failed"])
    changes = table(("what", "before", "now", "change"), compared) if compared else ""
    return f"""<!doctype html><meta charset="utf-8"><title>muxd: bench/run</title><style>{STYLE}</style>
<h1>muxd: what bench/run measured</h1>
<p>{html.escape(results['date'])}, commit {html.escape(results['commit'])}, {results['rounds']} round(s).
{html.escape(machine['cpu'])}, {machine['cpus']} cores, Linux {html.escape(machine['kernel'])}, TCP congestion
control {html.escape(machine['congestion_control'])}.</p>
<h2>Links</h2>{links}<p class="note">{VETH_CAVEAT}</p>
<h2>Goals</h2>{table(('goal', 'measured', 'wanted', ''), goal_lines(Rows(results['rows'])))}
{'<h2>Against the older run</h2>' + changes if changes else ''}
<h2>Throughput, cost, latency</h2><p class="note">{METHOD} The thin line at a bar's end is the range.</p>
{curves(results)}{charts(results)}
<h2>What peers do less</h2>{less}
<h2>Not measured</h2><ul>{missing or '<li>nothing was left out</li>'}</ul>
<h2>All figures</h2>{details}
<h2>Versions</h2>{table(('program', 'version'), results['versions'].items())}
"""


def check(old):
    """Raises KeyError, TypeError or ValueError when compare() cannot read it."""
    for row in old["rows"]:
        key(row), cell_name(row), row["rounds"]
        for figure, (low, high) in row["range"].items():
            float(low), float(high), float(row[figure])


def compare(old, new):
    """Each figure's change since an older run: it counts when the ranges do not overlap."""
    before = {key(row): row for row in old["rows"]}
    for row in new["rows"]:
        past = before.get(key(row))
        for figure in ("packets_per_s", "cpu_ns_per_packet", "p99_us") if past else ():
            if figure not in row or figure not in past or not past[figure]:
                continue
            low, high = row["range"][figure]
            apart = low > past["range"][figure][1] or high < past["range"][figure][0]
            change = row[figure] / past[figure] - 1
            known = min(row["rounds"], past["rounds"]) > 1
            noise = "" if known and apart else " (within the noise)" if known else " (one round: noise unknown)"
            yield (f"{row['link']}, {cell_name(row)}, {row['contestant']}: {figure}", number(past[figure]),
                   number(row[figure]), f"{change:+.0%}{noise}")
