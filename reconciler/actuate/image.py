"""How an environment image is built: packages first, the node runtime last.

Two stages, so that a new runtime does not install the packages again: the first holds system and Python packages and
is found again by a key of all that goes into it; the second adds the runtime and checks the whole. Pure but for the
runtime's files and the host's settings.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import TYPE_CHECKING

from reconciler.actuate.host_settings import host_settings, tools
from reconciler.actuate.runtime_files import REQUIREMENTS, runtime_files
from reconciler.contract import labels, names
from reconciler.engine.recipe import Recipe, Stage

if TYPE_CHECKING:
    from reconciler.model.instance import EnvImage
    from reconciler.model.observed import Site

LIBRARY = "/opt/reconciler/lib"
TOOLS = "/opt/reconciler/build"
LEAST_GLIBC = "2.34"
"""iceoryx2's wheel is manylinux_2_34."""

CHANGES = ('CMD ["python", "-m", "reconciler.node"]', "WORKDIR /", "HEALTHCHECK NONE")


def recipe(image: EnvImage, site: Site) -> Recipe:
    """Return how to build an environment image."""
    return Recipe(
        tag=image.tag,
        name=f"rc-{site.instance}-build-{names.short(image.env_hash)}",
        base=image.base_id,
        stages=(_packages(image), _runtime()),
        instance=site.instance,
        labels=(
            (labels.INSTANCE, site.instance),
            (labels.KIND, labels.KIND_ENV),
            (labels.ENV_HASH, image.env_hash),
            (labels.BASE, image.base_id),
            (labels.VERSION, site.version),
        ),
        changes=CHANGES,
    )


def _packages(image: EnvImage) -> Stage:
    requirements = "\n".join((*REQUIREMENTS, *image.python_packages)) + "\n"
    script = "\n".join((_PRELUDE, _check_base(image), _install_system(image), _INSTALL_PYTHON, _POSTLUDE))
    key = hashlib.sha256(json.dumps(["packages-v1", image.base_id, script, requirements]).encode()).hexdigest()
    return Stage(
        title=f"packages for Python {image.python_version}",
        command=("/bin/sh", f"{TOOLS}/run.sh"),
        tools_dir=TOOLS,
        tools=(
            *tools(host_settings(), TOOLS),
            (f"{TOOLS}/run.sh", script.encode()),
            (f"{TOOLS}/base.py", _CHECK_BASE.encode()),
            (f"{TOOLS}/requirements.txt", requirements.encode()),
        ),
        key=key,
    )


def _runtime() -> Stage:
    script = f"{_PRELUDE}\n{_ADD_RUNTIME}\n{_POSTLUDE}"
    return Stage(
        title="node runtime",
        command=("/bin/sh", f"{TOOLS}/run.sh"),
        tools_dir=TOOLS,
        tools=(
            (f"{TOOLS}/settings.sh", b""),
            (f"{TOOLS}/run.sh", script.encode()),
            (f"{TOOLS}/runtime.py", _RUNTIME.encode()),
        ),
        files=tuple((f"{LIBRARY}/{path}", content) for path, content in runtime_files()),
    )


_PRELUDE = f"""\
set -eu
step() {{ echo "::step $*"; }}
fail() {{ echo "ERROR: $*"; exit 1; }}
. {TOOLS}/settings.sh
export DEBIAN_FRONTEND=noninteractive PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1 PYTHONPATH="""

_POSTLUDE = f"rm -rf {TOOLS}"


def _check_base(image: EnvImage) -> str:
    base = shlex.quote(image.base_reference)
    return f"""\
step check of the base image {base}
command -v python >/dev/null || fail "the base image has no 'python' in its PATH"
python {TOOLS}/base.py {shlex.quote(image.python_version)} {LEAST_GLIBC}"""


_CHECK_BASE = """\
import os, sys

wanted, least = sys.argv[1:]
found = "%d.%d" % sys.version_info[:2]
if found != wanted:
    sys.exit("ERROR: the base image holds Python %s, the manifest says pythonVersion %s" % (found, wanted))
try:
    glibc = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
except (ValueError, OSError, AttributeError):
    sys.exit("ERROR: the base image has no glibc, and iceoryx2 needs %s or newer: take a Debian-like one" % least)
if [int(part) for part in glibc.split(".")[:2]] < [int(part) for part in least.split(".")]:
    sys.exit("ERROR: the base image has glibc %s, and iceoryx2 needs %s or newer" % (glibc, least))
try:
    import pip
except ImportError:
    sys.exit("ERROR: the base image's Python has no pip")
"""


def _install_system(image: EnvImage) -> str:
    if not image.system_dependencies:
        return ""
    wanted = shlex.join(image.system_dependencies)
    return f"""\
step apt-get update
command -v apt-get >/dev/null || fail "systemDependencies need apt-get, and the base image has none"
apt-get update -q -o Acquire::Retries=3
step apt-get install {wanted}
apt-get install -q -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -- {wanted}
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log"""


_INSTALL_PYTHON = f"""\
step pip install "$(tr '\\n' ' ' < {TOOLS}/requirements.txt)"
python -m pip install --no-cache-dir --no-input --disable-pip-version-check --progress-bar off \\
    -r {TOOLS}/requirements.txt"""

_ADD_RUNTIME = f"""\
step add the node runtime
python {TOOLS}/runtime.py {LIBRARY}
step check of the image
python -c 'import iceoryx2, numpy, reconciler.node'"""

_RUNTIME = """\
import compileall, os, site, sys

place = site.getsitepackages()[0]
os.makedirs(place, exist_ok=True)
with open(os.path.join(place, "reconciler-runtime.pth"), "w") as file:
    file.write(sys.argv[1] + "\\n")
if not compileall.compile_dir(sys.argv[1], quiet=1):
    sys.exit("ERROR: this Python can't compile the node runtime")
"""
