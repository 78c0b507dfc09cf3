"""What a person can do about output that tells of a failure: of a build, or of a node that could not be imported.

Rule: this explains and decides nothing. What is not recognised gets no advice, rather than a guess.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.model import debian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_ERRORS = ("ERROR", "E: ", "error:", "fatal error:", "cause:")


def telling(lines: Iterable[str]) -> str:
    """Return the line that says most: one that names what is missing, the first that is an error, or the last."""
    said = [line.strip() for line in lines if line.strip()]
    known = [line for line in said if any(pattern.search(line) for pattern, _ in _REMEDIES)]
    errors = [line for line in said if line.startswith(_ERRORS)]
    return (known or errors or said[-1:] or ["it said nothing"])[0][:400]


def remedy(lines: Sequence[str]) -> str:
    """Return what to do about a failure, in one clause; `""` where that is not known. The first cause named counts."""
    for line in lines:
        for pattern, advice in _REMEDIES:
            found = pattern.search(line)
            if found and (said := advice(found)):
                return said
    return ""


def _add(package: str, what: str) -> str:
    if not package:
        return f"find the Debian package that has {what}, and add it to systemDependencies"
    return f"add {package} to systemDependencies, which has {what}"


def _header(found: re.Match[str]) -> str:
    return _add(debian.of_header(found[1]), found[1])


def _library(found: re.Match[str]) -> str:
    return _add(debian.of_library(found[1]), found[1])


def _linked(found: re.Match[str]) -> str:
    runtime = debian.of_library(f"lib{found[1]}.so")
    header = next((dev for name, dev in debian.HEADERS.items() if name.removesuffix(".h") == found[1]), "")
    return _add(header, f"the library {found[1]}") if header or not runtime else _add(runtime, f"lib{found[1]}.so")


def _program(found: re.Match[str]) -> str:
    name = found[1].rsplit("/", 1)[-1]
    package = debian.PROGRAMS.get(name, "")
    return _add(package, f"the program {name}") if package else ""


def _package(found: re.Match[str]) -> str:
    return f"look whether {found[1]} is written as on its package index, and whether pip's settings name that index"


def _version(found: re.Match[str]) -> str:
    return f"ask for a version of {found[1]} that the index has and the other packages allow"


def _wheel(found: re.Match[str]) -> str:
    return f"ask for another version of {found[1]}, or for a pythonVersion that it has wheels for"


def _says(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text


_NETWORK = _says(
    "the package index can't be reached: look at the network of containers, and set https_proxy or PIP_INDEX_URL for "
    "the controller if this host needs them"
)

_REMEDIES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"fatal error: '?([\w./+-]+\.h(?:pp|xx|h)?|Eigen/\w+)'?(?:: No such file| file not found)"), _header),
    (re.compile(r"\b(lib[\w.+-]+\.so[\w.]*): cannot open shared object file"), _library),
    (
        re.compile(r"OSError: (sndfile|PortAudio) library not found"),
        lambda found: {
            "sndfile": _add("libsndfile1", "libsndfile.so.1"),
            "PortAudio": _add("libportaudio2", "libportaudio.so.2"),
        }[found[1]],
    ),
    (re.compile(r"cannot find -l([\w+-]+)"), _linked),
    (re.compile(r"No such file or directory: '([\w./+-]+)'"), _program),
    (
        re.compile(
            r"\b(pg_config|mysql_config|swig|cmake|rustc|cargo)\b[^:]*(?:executable )?(?:not found|is not installed)"
        ),
        _program,
    ),
    (
        re.compile(r"No space left on device"),
        _says("the disk of the engine is full: free some, for instance with reconcile images prune"),
    ),
    (
        re.compile(r"UnknownIssuer|CERTIFICATE_VERIFY_FAILED|certificate verify failed", re.IGNORECASE),
        _says(
            "the certificate authority is not known: name its bundle in PIP_CERT or SSL_CERT_FILE for the controller"
        ),
    ),
    (re.compile(r"Because ([\w.-]+) was not found in the package registry"), _package),
    (re.compile(r"Could not find a version that satisfies the requirement (\S+) \(from versions: none\)"), _package),
    (re.compile(r"Because ([\w.-]+)\S* has no (?:wheels|usable wheels|source)"), _wheel),
    (
        re.compile(r"the current Python version \([\d.]+\) does not satisfy"),
        _says("ask for a version that supports this Python, or for another pythonVersion"),
    ),
    (re.compile(r"[Bb]ecause there (?:is|are) no versions? of ([\w.-]+)"), _version),
    (re.compile(r"Could not find a version that satisfies the requirement ([\w.-]+)"), _version),
    (
        re.compile(r"E: Unable to locate package (\S+)|E: Package '(\S+)' has no installation candidate"),
        lambda found: f"look whether Debian has {found[1] or found[2]} in the base image's release",
    ),
    (
        re.compile(
            r"dns error|Temporary failure (?:in name )?resol|Name or service not known|Connection refused|"
            r"Network is unreachable|Could not connect to|Connection timed out|error sending request"
        ),
        _NETWORK,
    ),
)
