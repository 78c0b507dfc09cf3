"""What of this host's way to packages is handed to a build, and what is not."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.actuate import host_settings as settings
from reconciler.actuate import image
from reconciler.actuate.host_settings import HostSettings
from reconciler.model.instance import EnvImage
from reconciler.model.observed import Site

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.engine.recipe import Stage

SITE = Site("test-unit", 0, 0, "python", "/n/nodes", "/s", "/l", "/n/iox2", "p_", "1", "1")
IMAGE = EnvImage("reconciler/env:1", "1" * 64, "python:3.11-slim", "sha256:b", "3.11", ("libx",), ("a==1",), "1")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose only pip configuration is a user's own."""
    monkeypatch.setattr(settings, "SYSTEM_FILES", ())
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    return tmp_path


def test_bare_host_has_nothing_to_hand_over(home: Path) -> None:
    assert settings.host_settings({"HOME": str(home)}) == HostSettings()


def test_variables_win_over_files(home: Path) -> None:
    (home / ".pip").mkdir()
    (home / ".pip" / "pip.conf").write_text("[global]\nindex-url = https://127.0.0.1/simple\ntimeout = 7\n")
    environ = {"HOME": str(home), "PIP_INDEX_URL": "https://127.0.0.2/simple", "PIP_RETRIES": ""}
    found = settings.host_settings(environ)
    assert dict(found.pip) == {"index-url": "https://127.0.0.2/simple", "timeout": "7"}


def test_install_section_and_older_spellings_are_read(home: Path) -> None:
    place = home / "named.conf"
    place.write_text("[install]\ntrusted_host = one.example\n  two.example\ndefault-timeout = 9\n")
    found = settings.host_settings({"HOME": str(home), "PIP_CONFIG_FILE": str(place)})
    assert dict(found.pip) == {"trusted-host": "one.example two.example", "timeout": "9"}


def test_places_on_this_host_are_left_out(home: Path) -> None:
    environ = {
        "HOME": str(home),
        "PIP_EXTRA_INDEX_URL": "file:///srv/simple https://127.0.0.1/simple",
        "PIP_FIND_LINKS": "/srv/wheels",
    }
    assert dict(settings.host_settings(environ).pip) == {"extra-index-url": "https://127.0.0.1/simple"}


def test_settings_that_say_what_to_install_are_left_out(home: Path) -> None:
    environ = {"HOME": str(home), "PIP_PRE": "1", "PIP_TARGET": "/elsewhere", "PIP_CONSTRAINT": "/c.txt"}
    assert settings.host_settings(environ) == HostSettings()


@pytest.mark.parametrize("variable", settings.CERTIFICATE_VARIABLES)
def test_certificates_are_found_by_each_of_their_variables(home: Path, variable: str) -> None:
    (home / "ca.pem").write_bytes(b"PEM")
    assert settings.host_settings({"HOME": str(home), variable: str(home / "ca.pem")}).certificates == b"PEM"


def test_certificates_that_are_not_there_are_none(home: Path) -> None:
    assert settings.host_settings({"HOME": str(home), "PIP_CERT": str(home / "never.pem")}) == HostSettings()


def test_proxies_are_found_in_either_case(home: Path) -> None:
    found = settings.host_settings({"HOME": str(home), "HTTPS_PROXY": "http://127.0.0.4:1", "no_proxy": "x"})
    assert dict(found.proxies) == {"https_proxy": "http://127.0.0.4:1", "no_proxy": "x"}


def test_settings_are_handed_over_as_tools_that_refer_to_each_other() -> None:
    given = HostSettings({"index-url": "https://127.0.0.1/simple"}, b"PEM", {"http_proxy": "http://127.0.0.4:1/a b"})
    files = {path: content.decode() for path, content in settings.tools(given, "/t")}
    assert files["/t/certificates.pem"] == "PEM"
    assert files["/t/pip.conf"] == "[global]\nindex-url = https://127.0.0.1/simple\ncert = /t/certificates.pem\n"
    assert 'Acquire::https::CaInfo "/t/certificates.pem";' in files["/t/apt.conf"]
    assert 'Acquire::http::Proxy "http://127.0.0.4:1/a b";' in files["/t/apt.conf"]
    assert "export http_proxy='http://127.0.0.4:1/a b'" in files["/t/settings.sh"]
    assert "export PIP_CONFIG_FILE=/t/pip.conf" in files["/t/settings.sh"]


def test_stage_is_reused_whatever_the_host_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    _, *before, _ = image.recipe(IMAGE, SITE).stages
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.3/simple")
    _, *after, _ = image.recipe(IMAGE, SITE).stages
    assert [stage.title for stage in before] == ["system packages", "packages for Python 3.11"]
    for one, other in zip(before, after, strict=True):
        assert one.key
        assert one.key == other.key
        assert one.tools != other.tools


def test_one_more_python_package_leaves_the_system_packages() -> None:
    before = image.recipe(IMAGE, SITE).stages
    after = image.recipe(replace(IMAGE, python_packages=("a==1", "b==2")), SITE).stages
    assert before[1].key == after[1].key
    assert before[2].key != after[2].key


def test_a_version_of_python_that_the_base_does_not_hold_finds_no_stage_of_another() -> None:
    keys = [
        {stage.key for stage in image.recipe(replace(IMAGE, python_version=version), SITE).stages if stage.key}
        for version in ("3.11", "3.12")
    ]
    assert not keys[0] & keys[1]


def test_uv_is_told_what_pip_is_told() -> None:
    pip = {
        "index-url": "https://127.0.0.1/simple",
        "extra-index-url": "https://127.0.0.2/a https://127.0.0.2/b",
        "find-links": "https://127.0.0.3/x https://127.0.0.3/y",
        "trusted-host": "one.example two.example",
        "timeout": "7",
        "retries": "2",
        "proxy": "http://127.0.0.4:1",
    }
    assert dict(settings.for_uv(pip)) == {
        "UV_DEFAULT_INDEX": "https://127.0.0.1/simple",
        "UV_INDEX": "https://127.0.0.2/a https://127.0.0.2/b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "https://127.0.0.3/x,https://127.0.0.3/y",
        "UV_INSECURE_HOST": "one.example two.example",
        "UV_HTTP_TIMEOUT": "7",
        "UV_HTTP_RETRIES": "2",
        "ALL_PROXY": "http://127.0.0.4:1",
    }


def test_everything_that_is_handed_over_lies_in_the_directory_that_goes() -> None:
    for stage in image.recipe(IMAGE, SITE).stages:
        assert all(path.startswith(f"{stage.tools_dir}/") for path, _ in stage.tools)
        script = _script(stage)
        assert script.splitlines()[-1] == f"rm -rf {stage.tools_dir}"
        assert not any(path.startswith(f"{stage.tools_dir}/") for path, _ in stage.files)


def _script(stage: Stage) -> str:
    content = dict(stage.tools)[stage.command[-1]]
    assert isinstance(content, bytes)
    return content.decode()


def test_user_s_words_reach_the_shell_quoted() -> None:
    wicked = EnvImage("t", "1" * 64, "b;rm -rf /", "sha256:b", "3.11", ("x; rm -rf /",), ("p; rm -rf /",), "1")
    check, system, packages, _ = (_script(stage) for stage in image.recipe(wicked, SITE).stages)
    assert "image 'b;rm -rf /'" in check
    assert "-- 'x; rm -rf /'" in system
    assert "numpy p; rm -rf /'" in packages
