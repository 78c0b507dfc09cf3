"""Base images of users' own: refused at once with the reason, without network, or taken (FR-016, EC-07)."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import engine as door
from reconciler.model.errors import BuildError
from tests.support.workshop import Workshop, tidied

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "$(python -c 'import site; print(site.getsitepackages()[0])')"
OLD = f"""echo 'import os; os.confstr = lambda name: "glibc 2.31"' > {SITE}/sitecustomize.py"""
FOREIGN = f"""echo 'import platform; platform.machine = lambda: "riscv64"' > {SITE}/sitecustomize.py"""

REFUSED = [
    (OLD, (), "has glibc 2.31, and iceoryx2 needs 2.34 or newer: take a newer release, such as Debian 12"),
    (FOREIGN, (), "is for riscv64, and iceoryx2 has wheels for x86_64 alone"),
    ("rm -f /usr/local/bin/python /usr/bin/python", (), "the base image has no 'python' in its PATH"),
    ("touch /run/reconciler", (), "has a file at /run/reconciler, where a directory of the node runtime is to be"),
    ("chmod 755 /tmp", (), "has no /tmp that everybody may write to"),
    ("true", ("VOLUME /opt",), "declares a volume at /opt, where the node runtime is to be"),
]


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    engine = door.connect()
    name = f"test-{secrets.token_hex(3)}"
    yield Workshop(engine, name, [])
    tidied(engine, name)
    engine.close()


@pytest.mark.parametrize(("script", "changes", "reason"), REFUSED)
def test_base_that_can_t_become_an_environment_is_refused(
    shop: Workshop, script: str, changes: tuple[str, ...], reason: str
) -> None:
    wish = shop.based_on(script, *changes)
    with pytest.raises(BuildError) as caught:
        shop.build(wish)
    assert reason in str(caught.value)
    assert shop.steps() == [f"check of the base image {wish.base_reference}"], "nothing was asked of a network"


def test_base_without_apt_is_refused_where_system_packages_are_asked_for(shop: Workshop) -> None:
    wish = replace(shop.based_on("rm -f /usr/bin/apt-get"), system_dependencies=("libogg0",))
    with pytest.raises(BuildError, match="systemDependencies need apt-get, and the base image has none"):
        shop.build(wish)


def test_base_without_pip_is_taken_since_uv_is_brought_along(shop: Workshop) -> None:
    wish = shop.based_on(f"rm -rf {SITE}/pip* {SITE}/../dist-packages/pip*")
    shop.build(wish)
    assert shop.run(wish, "python", "-c", "import iceoryx2, numpy, reconciler.node; print('there')") == "there"
