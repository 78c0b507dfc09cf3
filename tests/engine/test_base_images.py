"""Base images of users' own: refused at once with the reason, without network, or taken (FR-016, EC-07)."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import engine as door
from reconciler.contract import labels
from reconciler.model.errors import BuildError
from tests.support.workshop import Workshop, tidied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.instance import EnvImage

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


def based_on(shop: Workshop, script: str, *changes: str) -> EnvImage:
    """Return an environment on a base image that a script has changed."""
    client, reference = shop.engine.client, f"reconciler-test/{shop.instance}:{secrets.token_hex(3)}"
    marks = {labels.INSTANCE: shop.instance}
    made = client.create_container("python:3.11-slim", command=["sh", "-c", script], labels=marks)["Id"]
    client.start(made)
    assert client.wait(made, timeout=60)["StatusCode"] == 0
    client.commit(made, reference, changes=[*changes])
    client.remove_container(made, v=True)
    return replace(shop.wish("3.11"), base_reference=reference, base_id=shop.id_of(reference))


@pytest.mark.parametrize(("script", "changes", "reason"), REFUSED)
def test_base_that_can_t_become_an_environment_is_refused(
    shop: Workshop, script: str, changes: tuple[str, ...], reason: str
) -> None:
    wish = based_on(shop, script, *changes)
    with pytest.raises(BuildError) as caught:
        shop.build(wish)
    assert reason in str(caught.value)
    assert shop.steps() == [f"check of the base image {wish.base_reference}"], "nothing was asked of a network"


def test_base_without_apt_is_refused_where_system_packages_are_asked_for(shop: Workshop) -> None:
    wish = replace(based_on(shop, "rm -f /usr/bin/apt-get"), system_dependencies=("libogg0",))
    with pytest.raises(BuildError, match="systemDependencies need apt-get, and the base image has none"):
        shop.build(wish)


def test_base_without_pip_is_taken_since_uv_is_brought_along(shop: Workshop) -> None:
    wish = based_on(shop, f"rm -rf {SITE}/pip* {SITE}/../dist-packages/pip*")
    shop.build(wish)
    assert shop.run(wish, "python", "-c", "import iceoryx2, numpy, reconciler.node; print('there')") == "there"
