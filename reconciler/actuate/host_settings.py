"""What this host needs to reach its package indexes: certificate authority, pip settings, proxies.

Rule: an image build gets them as tools that are removed before the commit. They are in no hash, image or history: the
same manifest gives the same environment hash on every host.

Places on this host (`file:` indexes, directories) are left out, since a build can't reach them.
"""

from __future__ import annotations

import configparser
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NETWORK_KEYS = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "timeout", "retries")
"""pip settings that say how to reach packages; what to do with them is the manifest's business."""

CERTIFICATE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")

SYSTEM_FILES = (Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"))

_UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
    "proxy": "ALL_PROXY",
}

_LOCATIONS = {"index-url", "extra-index-url", "find-links"}


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How this host reaches packages. `certificates` is a PEM bundle, empty where the usual ones do."""

    pip: Mapping[str, str] = field(default_factory=dict)
    certificates: bytes = b""
    proxies: Mapping[str, str] = field(default_factory=dict)


def host_settings(environ: Mapping[str, str] = os.environ) -> HostSettings:
    """Return this host's settings, read as pip reads them: variables win over files, later files over earlier ones."""
    configured = _from_files(_pip_files(environ))
    settings = {**configured, **_from_variables(environ)}
    cert = environ.get("PIP_CERT") or configured.get("cert") or _first(environ, CERTIFICATE_VARIABLES)
    pip = {key: kept for key in NETWORK_KEYS if (kept := _reachable(key, settings.get(key, "")))}
    proxies = {name: value for name in PROXY_VARIABLES if (value := environ.get(name) or environ.get(name.upper()))}
    return HostSettings(pip, _read(cert), proxies)


def tools(settings: HostSettings, directory: str) -> tuple[tuple[str, bytes], ...]:
    """Return the files that hand settings to a build; `settings.sh` is sourced and refers to the rest."""
    pip = "".join(f"{key} = {value}\n" for key, value in sorted(settings.pip.items()))
    apt = "".join(
        f'Acquire::{name.removesuffix("_proxy")}::Proxy "{value}";\n'
        for name, value in sorted(settings.proxies.items())
        if name in {"http_proxy", "https_proxy"}
    )
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(settings.proxies.items())]
    files: list[tuple[str, bytes]] = []
    if settings.certificates:
        bundle = f"{directory}/certificates.pem"
        files.append((bundle, settings.certificates))
        pip += f"cert = {bundle}\n"
        apt += f'Acquire::https::CaInfo "{bundle}";\n'
        lines += [f"export {name}={bundle}" for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")]
    lines += [f"export PIP_CONFIG_FILE={directory}/pip.conf", f"export APT_CONFIG={directory}/apt.conf"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in for_uv(settings.pip)]
    return (
        *files,
        (f"{directory}/pip.conf", f"[global]\n{pip}".encode()),
        (f"{directory}/apt.conf", apt.encode()),
        (f"{directory}/settings.sh", ("\n".join(lines) + "\n").encode()),
    )


def for_uv(pip: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return pip's settings as variables of uv, which reads none of pip's. Source: uv 0.13, "Environment variables".

    pip takes the best version of all its indexes, so uv is told to do the same where there is more than one.
    """
    found = [(name, pip[key]) for key, name in _UV_VARIABLES.items() if key in pip]
    if "find-links" in pip:
        found.append(("UV_FIND_LINKS", ",".join(pip["find-links"].split())))
    if "extra-index-url" in pip:
        found.append(("UV_INDEX_STRATEGY", "unsafe-best-match"))
    return tuple(sorted(found))


def _pip_files(environ: Mapping[str, str]) -> Iterable[Path]:
    """Return pip's configuration files, the least important first. Source: pip 24, "Configuration"."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return
    for base in reversed([base for base in environ.get("XDG_CONFIG_DIRS", "").split(":") if base]):
        yield Path(base, "pip", "pip.conf")
    yield from SYSTEM_FILES
    home = Path(environ.get("HOME") or "/nonexistent")
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield Path(sys.prefix, "pip.conf")
    if named:
        yield Path(named)


def _from_files(places: Iterable[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place in places:
        parser = configparser.RawConfigParser()
        try:
            parser.read(place, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip on this host would complain; a build without these settings says what it misses
        for section in ("global", "install"):
            if parser.has_section(section):
                found.update((_canonical(key), value) for key, value in parser.items(section))
    return found


def _from_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings from `PIP_*` variables. An empty one is unset, as for pip."""
    return {
        _canonical(name.removeprefix("PIP_").lower()): value
        for name, value in environ.items()
        if name.startswith("PIP_") and value
    }


def _canonical(key: str) -> str:
    return key.replace("_", "-").removeprefix("default-")


def _reachable(key: str, value: str) -> str:
    """Return a setting in one line, without what only this host can reach."""
    kept = [part for part in value.split() if key not in _LOCATIONS or part.startswith(("http://", "https://"))]
    return " ".join(kept)


def _first(environ: Mapping[str, str], names: Iterable[str]) -> str:
    return next((value for name in names if (value := environ.get(name))), "")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError:
        return b""
