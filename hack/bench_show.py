"""What the data plane's benchmark found, as a Markdown table and as a picture."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Times = Mapping[str, Mapping[int, Sequence[float]]]

COLOURS = ("#9aa5b1", "#52606d", "#2b6cb0", "#63b3ed", "#2c7a7b", "#dd6b20", "#b83280")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 900, 420, 60, 90, 40


def size_name(size_bytes: int) -> str:
    """Return a size as people say it."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= factor:
            return f"{size_bytes // factor} {unit}"
    return f"{size_bytes} B"


def machine() -> str:
    """Return what it was measured on, and how busy that was."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("iceoryx2", "numpy"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {processor or platform.machine()}, {os.cpu_count()} cores, "
        f"Linux {platform.release()}, Python {platform.python_version()}, {versions}, load {os.getloadavg()[0]:.1f}"
    )


def table(times: Times, base: str) -> str:
    """Return p50 / p99 in microseconds, and p50 as a multiple of that of `base`."""
    sizes = list(times[base])
    lines = [f"| | {' | '.join(map(size_name, sizes))} |", f"|---|{'---:|' * len(sizes)}"]
    for name, of_size in times.items():
        cells = (_cell(of_size.get(size, ()), times[base][size]) for size in sizes)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(taken: Sequence[float], base: Sequence[float]) -> str:
    if not taken:
        return "-"
    middle, late = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
    return f"{middle * 1e6:,.0f} / {late * 1e6:,.0f} · {middle / statistics.median(base):.2f}"


def picture(times: Times, title: str) -> str:
    """Return bars of the medians, on a logarithmic scale, as SVG."""
    sizes = list(next(iter(times.values())))
    middles = {
        name: [statistics.median(of[size]) * 1e6 for size in sizes if of.get(size)] for name, of in times.items()
    }
    lowest = math.floor(math.log10(min(map(min, middles.values()))))
    highest = math.ceil(math.log10(max(map(max, middles.values()))))

    def height(value_us: float) -> float:
        return (math.log10(value_us) - lowest) / (highest - lowest) * (HEIGHT - BOTTOM - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{title}</text>',
    ]
    for power in range(lowest, highest + 1):
        y = HEIGHT - BOTTOM - height(10.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{10**power:,} us</text>')
    group = (WIDTH - LEFT - 10) / len(sizes)
    bar = group * 0.85 / len(middles)
    for place, size in enumerate(sizes):
        left = LEFT + place * group
        parts.append(
            f'<text x="{left + group / 2:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{size_name(size)}</text>'
        )
        for number, values in enumerate(middles.values()):
            if place < len(values):
                tall, x = height(values[place]), left + group * 0.07 + number * bar
                top, colour = HEIGHT - BOTTOM - tall, COLOURS[number % len(COLOURS)]
                parts.append(
                    f'<rect x="{x:.1f}" y="{top:.1f}" width="{bar * 0.9:.1f}" height="{tall:.1f}" fill="{colour}"/>'
                )
    parts += _legend(list(middles))
    return "\n".join([*parts, "</svg>", ""])


def _legend(names: list[str]) -> list[str]:
    parts, columns = [], 4
    for number, name in enumerate(names):
        x = LEFT + number % columns * (WIDTH - LEFT) / columns
        y = HEIGHT - BOTTOM + 40 + number // columns * 20
        parts.append(f'<rect x="{x:.0f}" y="{y - 9}" width="10" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 15:.0f}" y="{y}">{name}</text>')
    return parts
