"""How an environment image is built: system packages, Python packages, the node runtime last.

Each stage is found again by a key of all that goes into it, so one more Python package does not install system packages
again, and a new runtime installs nothing. The base image is checked before, without network. Pure but for the runtime's
files, the resolver's and the host's settings.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from reconciler.actuate import scripts
from reconciler.actuate.host_settings import host_settings, tools
from reconciler.actuate.runtime_files import REQUIREMENTS, resolver, runtime_files
from reconciler.contract import labels, names
from reconciler.engine.recipe import Recipe, Stage

if TYPE_CHECKING:
    from reconciler.engine.recipe import Files
    from reconciler.model.instance import EnvImage
    from reconciler.model.observed import Site

CHANGES = ('CMD ["python", "-m", "reconciler.node"]', "WORKDIR /", "HEALTHCHECK NONE")

STANDARD_IMAGE = "reconciler/python"
"""Name of the standard base images: an environment without packages of one's own, tagged by its Python version."""


def recipe(image: EnvImage, site: Site, *, standard: bool = False) -> Recipe:
    """Return how to build an environment image; a `standard` one is named for its Python version besides."""
    system = (_system(image),) if image.system_dependencies else ()
    return Recipe(
        tag=image.tag,
        name=_build_name(image, site),
        base=image.base_id,
        stages=(_check(image), *system, _packages(image), _runtime()),
        instance=site.instance,
        labels=(
            (labels.INSTANCE, site.instance),
            (labels.KIND, labels.KIND_ENV),
            (labels.ENV_HASH, image.env_hash),
            (labels.BASE, image.base_id),
            (labels.VERSION, site.version),
        ),
        changes=CHANGES,
        cache=names.cache_volume(site.instance),
        aliases=(standard_name(image.python_version),) if standard else (),
    )


def standard_name(version: str) -> str:
    """Return the name of the standard image of a Python version."""
    return f"{STANDARD_IMAGE}:{version}"


def resolution(image: EnvImage, site: Site) -> Recipe:
    """Return how to find the exact versions of an environment: they are said between two marks, and nothing is made."""
    requirements = "\n".join((*REQUIREMENTS, *image.python_packages)) + "\n"
    stage = _stage(
        f"resolve for Python {image.python_version}",
        "\n".join((_check_script(image), scripts.resolve(requirements))),
        (*_python_tools(requirements), (f"{scripts.TOOLS}/base.py", scripts.CHECK_BASE.encode())),
        kept=False,
    )
    return Recipe(
        tag=image.tag,
        name=_build_name(image, site),
        base=image.base_id,
        stages=(stage,),
        instance=site.instance,
        cache=names.cache_volume(site.instance),
    )


def _build_name(image: EnvImage, site: Site) -> str:
    return names.build_container(site.instance, image.env_hash)


def _check(image: EnvImage) -> Stage:
    found = resolver()
    files = (
        (f"{scripts.TOOLS}/base.py", scripts.CHECK_BASE.encode()),
        (f"{scripts.TOOLS}/settings.sh", b""),
        *(((f"{scripts.TOOLS}/uv", found),) if found else ()),
    )
    return _stage("check of the base image", _check_script(image), files, kept=False, online=False)


def _check_script(image: EnvImage) -> str:
    needs_apt = bool(image.system_dependencies)
    return scripts.check_base(image.base_reference, python=image.python_version, needs_apt=needs_apt)


def _system(image: EnvImage) -> Stage:
    script = scripts.install_system(image.system_dependencies)
    key = _key("system-v1", image.base_id, image.python_version, script)
    return _stage("system packages", script, tools(host_settings(), scripts.TOOLS), key=key)


def _packages(image: EnvImage) -> Stage:
    """Return the stage that installs Python packages; where one must be compiled, the compilers are only beside it."""
    pinned = bool(image.resolved)
    requirements = "\n".join(image.resolved or (*REQUIREMENTS, *image.python_packages)) + "\n"
    ask = scripts.install_python(requirements, pinned=pinned)
    system = scripts.install_system(image.system_dependencies) if image.system_dependencies else ""
    given = _python_tools(requirements)
    below = (image.base_id, image.python_version, system)
    compilers = _stage(
        "compilers", scripts.INSTALL_COMPILERS, tools(host_settings(), scripts.TOOLS), key=_key("compilers-v1", *below)
    )
    compiling = _stage("compile", scripts.compile_python(requirements, pinned=pinned), given, kept=False)
    return _stage(
        f"packages for Python {image.python_version}",
        ask,
        given,
        key=_key("packages-v2", *below, ask, requirements),
        beside=(compilers, compiling),
    )


def _python_tools(requirements: str) -> Files:
    found = resolver()
    return (
        *tools(host_settings(), scripts.TOOLS),
        (f"{scripts.TOOLS}/requirements.txt", requirements.encode()),
        *(((f"{scripts.TOOLS}/uv", found),) if found else ()),
    )


def _runtime() -> Stage:
    files = ((f"{scripts.TOOLS}/settings.sh", b""), (f"{scripts.TOOLS}/runtime.py", scripts.RUNTIME.encode()))
    stays = tuple((f"{scripts.LIBRARY}/{path}", content) for path, content in runtime_files())
    return _stage("node runtime", scripts.ADD_RUNTIME, files, stays=stays, online=False)


def _stage(
    title: str,
    script: str,
    given: Files,
    *,
    stays: Files = (),
    key: str = "",
    kept: bool = True,
    online: bool = True,
    beside: tuple[Stage, ...] = (),
) -> Stage:
    whole = f"{scripts.PRELUDE}\n{script}\n{scripts.POSTLUDE}\n"
    return Stage(
        title=title,
        command=("/bin/sh", f"{scripts.TOOLS}/run.sh"),
        tools_dir=scripts.TOOLS,
        tools=(*given, (f"{scripts.TOOLS}/run.sh", whole.encode())),
        files=stays,
        key=key,
        kept=kept,
        online=online,
        beside=beside,
    )


def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
