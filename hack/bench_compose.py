"""Compose 2 to compare with: the one that is there, or Debian 13's, unpacked into a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CACHE = Path.home() / ".cache" / "reconciler" / "compose"
PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"
FETCH = r"""
set -eu
mkdir -p parts lists cache/archives/partial
sources=$(ls /etc/apt/sources.list.d/debian.sources)
awk 'NF==0{exit} {print}' "$sources" | sed -E 's/^Suites:.*/Suites: trixie/' > parts/trixie.sources
apt="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$PWD/parts
     -o Dir::State::Lists=$PWD/lists -o Dir::Cache=$PWD/cache"
apt-get $apt update -qq
apt-get $apt download -qq docker-compose
dpkg -x docker-compose_*.deb .
"""


def find_compose(given: Path | None) -> Path | None:
    """Return Compose 2, fetched if need be, or None."""
    found = given or shutil.which("docker-compose")
    if found:
        return Path(found)
    if not (CACHE / PLUGIN).exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["sh", "-c", FETCH], cwd=CACHE, capture_output=True, check=False, timeout=180)
        if done.returncode:
            return None
    return CACHE / PLUGIN
