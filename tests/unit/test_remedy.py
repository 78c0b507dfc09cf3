"""What is said to do about a failure. The lines are those that uv, pip, gcc, apt and Python wrote."""

from __future__ import annotations

import re

import pytest

from reconciler.model import debian
from reconciler.model.remedy import remedy, telling

GCC = "src/_portaudio/api.c:5:10: fatal error: {}: No such file or directory"
LOADER = "ImportError: {}: cannot open shared object file: No such file or directory"
UV = "  cause: Because {} and you require x, we can conclude that your requirements are unsatisfiable."


@pytest.mark.parametrize(
    ("line", "package"),
    [
        (GCC.format("Python.h"), "python3-dev"),
        (GCC.format("sndfile.h"), "libsndfile1-dev"),
        (GCC.format("portaudio.h"), "portaudio19-dev"),
        (GCC.format("ffi.h"), "libffi-dev"),
        (GCC.format("alsa/asoundlib.h"), "libasound2-dev"),
        (GCC.format("openssl/opensslv.h"), "libssl-dev"),
        ("x.c:1:10: fatal error: 'zlib.h' file not found", "zlib1g-dev"),
        (LOADER.format("libGL.so.1"), "libgl1"),
        (LOADER.format("libsndfile.so.1"), "libsndfile1"),
        (LOADER.format("libstdc++.so.6"), "libstdc++6"),
        ("OSError: sndfile library not found", "libsndfile1"),
        ("OSError: PortAudio library not found", "libportaudio2"),
        ("/usr/bin/ld: cannot find -lportaudio: No such file or directory", "portaudio19-dev"),
        ("Error: pg_config executable not found.", "libpq-dev"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'", "ffmpeg"),
    ],
)
def test_what_is_missing_is_named_with_the_package_that_has_it(line: str, package: str) -> None:
    noise = ["Collecting x", line, "error: command failed"]
    assert f"add {package} to systemDependencies" in remedy(noise)
    assert telling(noise) == line.strip()


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        (
            UV.format("nosuch was not found in the package registry"),
            "whether nosuch is written as on its package index",
        ),
        (UV.format("there is no version of numpy==0.0.1"), "a version of numpy that the index has"),
        (
            UV.format("torch==1.8.0 has no wheels with a matching Python ABI tag (e.g., `cp311`)"),
            "pythonVersion that it",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)",
            "whether nosuch is written",
        ),
        ("OSError: [Errno 28] No space left on device", "reconcile images prune"),
        ("E: Unable to locate package libnothing", "whether Debian has libnothing"),
        ("  cause: invalid peer certificate: UnknownIssuer", "PIP_CERT or SSL_CERT_FILE"),
        ("  cause: dns error", "https_proxy or PIP_INDEX_URL"),
        ("W: Failed to fetch x  Temporary failure resolving 'x'", "https_proxy or PIP_INDEX_URL"),
        (GCC.format("acme/none.h"), "find the Debian package that has acme/none.h"),
    ],
)
def test_what_to_do_is_said(line: str, advice: str) -> None:
    assert advice in remedy(["Resolving", line])


def test_what_is_not_recognised_gets_no_advice() -> None:
    lines = ["building", "AssertionError: acme", "", "hint: try"]
    assert remedy(lines) == ""
    assert telling(lines) == "hint: try"
    assert telling([]) == "it said nothing"


def test_the_table_holds_names_as_debian_has_them() -> None:
    packages = {*debian.HEADERS.values(), *debian.LIBRARIES.values(), *debian.PROGRAMS.values()}
    assert [name for name in packages if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name)] == []
