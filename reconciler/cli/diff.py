"""`reconcile diff -f DIR`: the whole route to the end state, with causes. It writes nothing anywhere."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.place import manifests_of, paths_of, tell
from reconciler.controller.instance import Instance
from reconciler.plan.foresee import route
from reconciler.plan.render import render_steps, verb

if TYPE_CHECKING:
    from argparse import Namespace


def run(options: Namespace) -> int:
    """Print what would be done."""
    with Instance(paths_of(options), manifests_of(options), allow_empty=options.allow_empty) as instance:
        desired = instance.load()
        steps = route(desired, instance.look(), now_s=time.monotonic())
    tell(desired.diagnostics)
    if options.output == "json":
        actions = [{"action": verb(step.action), "object": step.object, "cause": step.cause} for step in steps]
        print(json.dumps({"actions": actions}, indent=1))
    else:
        print(render_steps(steps) or "no difference\n", end="")
    if desired.diagnostics:
        return codes.INVALID
    return codes.UNFINISHED if steps else codes.DONE
