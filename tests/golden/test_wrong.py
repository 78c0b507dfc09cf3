"""What is said of wrong manifests: `wrong/NAME.yaml` and, line by line, `wrong/NAME.txt`."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.load import check

HERE = Path(__file__).parent / "wrong"


@pytest.mark.parametrize("manifest", sorted(HERE.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_said(manifest: Path, request: pytest.FixtureRequest) -> None:
    said = "".join(f"{each}\n" for each in check(manifest).diagnostics).replace(f"{HERE}/", "")
    golden = manifest.with_suffix(".txt")
    if request.config.getoption("--rewrite-golden"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")
