"""Documents of the old form, and what they mean now: `v1/NAME.yaml` and `v1/NAME.json` (BY-09)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.load import check
from reconciler.load.codec import encode

HERE = Path(__file__).parent / "v1"


@pytest.mark.parametrize("manifest", sorted(HERE.glob("*.y*ml")), ids=lambda path: path.stem)
def test_what_it_means(manifest: Path, request: pytest.FixtureRequest) -> None:
    desired = check(manifest)
    assert desired.diagnostics == ()
    (pipeline,) = desired.pipelines
    # The generation holds the absolute paths of volumes, so it differs from one clone to the next.
    made = {name: value for name, value in encode(pipeline).items() if name != "generation"}
    means = json.dumps(made, indent=1, sort_keys=True).replace(f"{HERE}", "v1") + "\n"
    golden = manifest.with_suffix(".json")
    if request.config.getoption("--rewrite-golden"):
        golden.write_text(means, encoding="utf-8")
    assert means == golden.read_text(encoding="utf-8")
