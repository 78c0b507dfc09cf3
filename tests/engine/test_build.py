"""Environment images on the real engine: built whole or not at all, nothing of this host in them (FR-013, EC-01)."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import engine as door
from reconciler.actuate.image import recipe
from reconciler.contract import labels, names
from reconciler.model.errors import BuildError, NameTakenError
from tests.support.place import unique
from tests.support.workshop import Workshop, tidied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.engine.client import Engine
    from reconciler.model.instance import EnvImage

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def shared_instance() -> Iterator[str]:
    """An instance for the module; its images go at the end, and their unnamed stages with them."""
    name = f"test-{secrets.token_hex(3)}"
    yield name
    engine = door.connect()
    tidied(engine, name)
    engine.close()


@pytest.fixture
def shop(engine: Engine, instance: str) -> Workshop:
    return Workshop(engine, instance, [])


@pytest.fixture(scope="module")
def marker() -> str:
    """A word that is in this host's settings and must be nowhere else."""
    return f"marker-{secrets.token_hex(8)}"


@pytest.fixture(scope="module")
def built(shared_instance: str, marker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, EnvImage]]:
    """An image for each Python version, built on a host whose certificates and settings bear the marker."""
    bundle = tmp_path_factory.mktemp("host") / "certificates.pem"
    bundle.write_bytes(f"# {marker}\n".encode() + BUNDLE.read_bytes())
    engine = door.connect()
    shop = Workshop(engine, shared_instance, [])
    packages = {"3.9": ("numpy<2",)}
    wishes = {version: shop.wish(version, packages=packages.get(version, ())) for version in VERSIONS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CERT", str(bundle))
        patch.setenv("PIP_TRUSTED_HOST", f"{marker}.invalid")
        for wish in wishes.values():
            shop.build(wish)
    yield wishes
    engine.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_image_holds_its_python_the_runtime_and_one_set_of_packages(
    shop: Workshop, built: dict[str, EnvImage], version: str
) -> None:
    program = "import sys, json, reconciler.node, iceoryx2, numpy; "
    program += "print(json.dumps([sys.version_info[:2], numpy.__version__, reconciler.__file__]))"
    python, numpy, place = json.loads(shop.run(built[version], "python", "-c", program))
    assert ".".join(map(str, python)) == version
    assert (int(numpy.split(".")[0]) < 2) == (version == "3.9")
    assert place == "/opt/reconciler/lib/reconciler/__init__.py"


def test_image_is_seen_as_ours(shop: Workshop, built: dict[str, EnvImage], shared_instance: str) -> None:
    wish = built["3.11"]
    found = next(image for image in shop.engine.list_images() if wish.tag in image.tags)
    assert (found.env_hash, found.base_id, found.instance) == (wish.env_hash, wish.base_id, shared_instance)


def test_image_says_how_to_run_and_keeps_the_base_s_environment(shop: Workshop, built: dict[str, EnvImage]) -> None:
    wish = built["3.11"]
    config = shop.engine.client.inspect_image(wish.tag)["Config"]
    assert config["Cmd"] == ["python", "-m", "reconciler.node"]
    assert not config["Entrypoint"]
    assert config["Env"] == shop.engine.client.inspect_image(wish.base_id)["Config"]["Env"]
    assert config["Labels"][labels.KIND] == labels.KIND_ENV


def test_nothing_of_the_host_is_in_the_image(shop: Workshop, built: dict[str, EnvImage], marker: str) -> None:
    client, wish = shop.engine.client, built["3.11"]
    told = json.dumps([client.inspect_image(wish.tag), client.history(wish.tag)])
    assert marker not in told
    assert "certificates" not in told
    saved = b"".join(client.get_image(wish.tag))
    assert b"reconciler-runtime.pth" in saved, "the layers are readable as they are"
    assert marker.encode() not in saved
    assert shop.run(wish, "ls", "/opt/reconciler") == "lib"


def test_new_runtime_does_not_install_packages_again(shop: Workshop, built: dict[str, EnvImage]) -> None:
    hashed = secrets.token_hex(32)
    newer = replace(built["3.11"], env_hash=hashed, tag=names.env_image(hashed))
    shop.build(newer)
    assert shop.steps() == ["add the node runtime", "check of the image"]
    assert shop.run(newer, "python", "-c", "import reconciler.node; print('there')") == "there"


def test_system_packages_are_installed_and_lists_removed(shop: Workshop) -> None:
    wish = replace(shop.based_on("true"), system_dependencies=("libogg0",))  # no stage of it is there from elsewhere
    shop.build(wish)
    assert "apt-get install libogg0" in shop.steps()
    assert "libogg.so.0" in shop.run(wish, "sh", "-c", "ldconfig -p")
    assert shop.run(wish, "ls", "/var/lib/apt/lists") == ""


def test_image_that_goes_takes_its_unnamed_stage_along(shop: Workshop) -> None:
    wish = shop.wish("3.11", packages=(unique("flatbuffers"),))
    shop.build(wish)
    assert len(shop.leftovers()) == 2, "the image and the stage below it"
    shop.engine.remove_image(shop.id_of(wish.tag))
    assert shop.leftovers() == []


def test_package_that_is_not_there_names_the_step_and_leaves_nothing(shop: Workshop) -> None:
    with pytest.raises(BuildError) as caught:
        shop.build(shop.wish("3.11", packages=("numpy==0.0.1",)))
    message = str(caught.value)
    assert "install iceoryx2==0.10.* numpy numpy==0.0.1 failed (exit code 1)" in message
    assert "ask for a version of numpy that the index has" in message
    assert "\n" not in message
    assert "numpy==0.0.1" in caught.value.log
    assert shop.leftovers() == []


def test_system_package_that_is_not_there_names_the_step(shop: Workshop) -> None:
    with pytest.raises(BuildError, match=r"apt-get install libnothing failed .*E: .*libnothing"):
        shop.build(shop.wish("3.11", system=("libnothing",)))
    assert shop.leftovers() == []


def test_base_with_another_python_is_refused_before_any_download(shop: Workshop) -> None:
    wish = replace(shop.wish("3.10"), python_version="3.12")
    with pytest.raises(BuildError, match=r"holds Python 3\.10, the manifest says pythonVersion 3\.12"):
        shop.build(wish)
    assert shop.steps() == ["check of the base image python:3.10-slim"]
    assert shop.leftovers() == []


def test_base_without_a_shell_is_refused(shop: Workshop) -> None:
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    reference = f"reconciler-test/{shop.instance}:empty"
    shop.engine.client.import_image_from_data(empty.getvalue(), *reference.rsplit(":", 1))
    try:
        wish = replace(shop.wish("3.11"), base_reference=reference, base_id=shop.id_of(reference))
        with pytest.raises(BuildError, match="can't run /bin/sh"):
            shop.build(wish)
        assert shop.leftovers() == []
    finally:
        shop.engine.client.remove_image(reference)


def test_base_that_is_gone_says_so(shop: Workshop) -> None:
    with pytest.raises(BuildError, match=r"base image .* is gone"):
        shop.build(replace(shop.wish("3.11"), base_id=f"sha256:{'0' * 64}"))


def test_container_of_a_build_that_was_cut_off_is_replaced(shop: Workshop) -> None:
    wish = replace(shop.wish("3.11"), python_version="3.8")
    marks = {labels.INSTANCE: shop.instance, labels.KIND: labels.KIND_BUILD}
    name = recipe(wish, shop.site).name
    shop.engine.client.create_container(wish.base_id, name=name, command=["true"], labels=marks)
    with pytest.raises(BuildError, match=r"pythonVersion 3\.8"):
        shop.build(wish)
    assert shop.leftovers() == []


def test_container_of_a_stranger_stands_in_the_way(shop: Workshop) -> None:
    wish = shop.wish("3.11")
    name = recipe(wish, shop.site).name
    shop.engine.client.create_container(wish.base_id, name=name, command=["true"])
    try:
        with pytest.raises(NameTakenError, match=name):
            shop.build(wish)
    finally:
        shop.engine.client.remove_container(name)
