"""What runs in the containers of a build: shell, and Python where shell would be clumsy.

Rule: a step says its name before it begins (`step`), and an error in one line that begins with ERROR (`fail`). Words of
users are quoted.
"""

from __future__ import annotations

import shlex

from reconciler.contract import names
from reconciler.engine.recipe import CACHE_DIR, NEEDS_HELP

LIBRARY = "/opt/reconciler/lib"
TOOLS = "/opt/reconciler/build"
LEAST_GLIBC = "2.34"
"""iceoryx2's wheel is manylinux_2_34."""

MACHINES = "x86_64"
"""What iceoryx2's wheels are for on Linux, separated by blanks."""

MOST_CACHED_MIB = 8192
"""Size from which the cache is emptied after a build."""

RESOLVED_FROM, RESOLVED_TO = "::resolved", "::end"

PRELUDE = f"""\
set -eu
step() {{ echo "::step $*"; }}
fail() {{ echo "ERROR: $*"; exit 1; }}
. {TOOLS}/settings.sh
export DEBIAN_FRONTEND=noninteractive PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1 PYTHONPATH=
export PIP_CACHE_DIR={CACHE_DIR}/pip UV_CACHE_DIR={CACHE_DIR}/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
export UV_NO_PROGRESS=1 UV_BREAK_SYSTEM_PACKAGES=1 UV_PYTHON_DOWNLOADS=never UV_NO_CONFIG=1"""

POSTLUDE = f"rm -rf {TOOLS}"


def check_base(reference: str, *, python: str, needs_apt: bool) -> str:
    """Return the check that a base image can become an environment, which needs no network."""
    apt = 'command -v apt-get >/dev/null || fail "systemDependencies need apt-get, and the base image has none"'
    return f"""\
step check of the base image {shlex.quote(reference)}
command -v python >/dev/null || fail "the base image has no 'python' in its PATH"
{apt if needs_apt else ":"}
python {TOOLS}/base.py {shlex.quote(python)} {LEAST_GLIBC} {MACHINES}"""


CHECK_BASE = f"""\
import os, platform, stat, sys

wanted, least, machines = sys.argv[1], sys.argv[2], sys.argv[3:]

def fail(text):
    print("ERROR: the base image " + text)
    sys.exit(1)

def numbers(text):
    return [int(part) for part in text.split(".")[:2]]

found = "%d.%d" % sys.version_info[:2]
if found != wanted:
    fail("holds Python %s, the manifest says pythonVersion %s" % (found, wanted))
try:
    import iceoryx2
except ImportError:
    iceoryx2 = None
if iceoryx2 is None and platform.machine() not in machines:
    fail("is for %s, and iceoryx2 has wheels for %s alone: take an image of that platform" % (
        platform.machine(), " and ".join(machines)))
try:
    glibc = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
except (ValueError, OSError, AttributeError):
    fail("has no glibc, and iceoryx2 needs %s or newer: take a Debian-like one" % least)
if numbers(glibc) < numbers(least):
    fail("has glibc %s, and iceoryx2 needs %s or newer: take a newer release, such as Debian 12" % (glibc, least))
try:
    import pip
except ImportError:
    if iceoryx2 is None and os.system("chmod +x {TOOLS}/uv 2>/dev/null && {TOOLS}/uv --version >/dev/null 2>&1"):
        fail("has a Python without pip, and uv does not run in it")
if not stat.S_ISDIR(os.stat("/tmp").st_mode) or not os.stat("/tmp").st_mode & stat.S_IWOTH:
    fail("has no /tmp that everybody may write to")
for place in ("{LIBRARY}", "{names.CONTAINER_NODE_DIR}", "{names.CONTAINER_SOURCE_DIR}"):
    parts = place.split("/")
    for end in range(2, len(parts) + 1):
        path = "/".join(parts[:end])
        if os.path.lexists(path) and not os.path.isdir(path):
            fail("has a file at %s, where a directory of the node runtime is to be" % path)
        if place == "{LIBRARY}" and os.path.ismount(path):
            fail("declares a volume at %s, where the node runtime is to be: what is written there is lost" % path)
"""


def install_system(packages: tuple[str, ...]) -> str:
    """Return how Debian packages are installed, with what apt leaves behind removed."""
    wanted = shlex.join(packages)
    return f"""\
step apt-get update
apt-get update -q -o Acquire::Retries=3
step apt-get install {wanted}
apt-get install -q -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -- {wanted}
{_CLEAN_APT}"""


_CLEAN_APT = (
    "rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log"
)

INSTALL_COMPILERS = f"""\
step apt-get install build-essential
apt-get update -q -o Acquire::Retries=3
apt-get install -q -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 build-essential pkg-config
{_CLEAN_APT}"""

_CHOOSE = f"""\
python=$(python -c 'import sys; print(sys.executable)')
uv={TOOLS}/uv
if [ -e $uv ] && chmod +x $uv && $uv --version >/dev/null 2>&1; then
    install() {{ $uv pip install --python "$python" "$@"; }}
else
    install() {{ "$python" -m pip install --no-input --disable-pip-version-check --progress-bar off "$@"; }}
fi"""

_BOUND_CACHE = f"""\
[ "$(du -sm {CACHE_DIR} | cut -f 1)" -le {MOST_CACHED_MIB} ] || rm -rf {CACHE_DIR}/pip {CACHE_DIR}/uv"""


def install_python(requirements: str, *, pinned: bool) -> str:
    """Return how Python packages are installed: from wheels, else compiled if that needs no more than Python.

    Where it fails for want of a compiler, the stage asks for those beside it, which leave the wheels in the cache. A
    version that is not to be had is no such case.
    """
    return f"""\
{_CHOOSE}
step install {shlex.quote(_words(requirements))}
(code=0; install {_flags(pinned=pinned)} 2>&1 || code=$?; echo $code >{TOOLS}/code) | tee {TOOLS}/said
code=$(cat {TOOLS}/code)
if [ $code != 0 ]; then
    grep -q 'No solution found\\|No matching distribution found' {TOOLS}/said && exit $code
    [ $code = 1 ] && ! command -v cc >/dev/null && command -v apt-get >/dev/null && exit {NEEDS_HELP}
    exit $code
fi
{_BOUND_CACHE}"""


def compile_python(requirements: str, *, pinned: bool) -> str:
    """Return how packages are compiled into the cache, in a container that is thrown away."""
    return f"""\
{_CHOOSE}
step compile {shlex.quote(_words(requirements))}
install {_flags(pinned=pinned)}"""


def resolve(requirements: str) -> str:
    """Return how exact versions are found without installing anything."""
    return f"""\
{_CHOOSE}
[ "$(command -v $uv)" ] || fail "exact versions are found by uv, which does not run in this base image"
step resolve {shlex.quote(_words(requirements))}
$uv pip compile --quiet --no-header --no-annotate --python "$python" {TOOLS}/requirements.txt >{TOOLS}/resolved
echo "{RESOLVED_FROM}"
python -c 'import sysconfig; print(sysconfig.get_platform())'
cat {TOOLS}/resolved
echo "{RESOLVED_TO}\""""


def _words(requirements: str) -> str:
    return " ".join(requirements.split("\n")).strip()


def _flags(*, pinned: bool) -> str:
    """What a lock holds is whole, so its packages are taken as they are."""
    return f"{'--no-deps ' if pinned else ''}-r {TOOLS}/requirements.txt"


ADD_RUNTIME = f"""\
step add the node runtime
python {TOOLS}/runtime.py {LIBRARY}
step check of the image
python -c 'import iceoryx2, numpy, reconciler.node'"""

RUNTIME = """\
import compileall, os, site, sys

place = site.getsitepackages()[0]
os.makedirs(place, exist_ok=True)
with open(os.path.join(place, "reconciler-runtime.pth"), "w") as file:
    file.write(sys.argv[1] + "\\n")
if not compileall.compile_dir(sys.argv[1], quiet=1):
    sys.exit("ERROR: this Python can't compile the node runtime")
"""
