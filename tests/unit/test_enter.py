"""Entering shared memory that is not there, and opening a session in the wrong one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.cli import exec as exec_command
from reconciler.cli.parser import parser
from reconciler.contract import env, names, paths
from reconciler.contract.files import Endpoints
from reconciler.model.errors import ProcessError
from reconciler.process.enter import enter_shared_memory
from reconciler.stream import SessionNotReady
from reconciler.stream.opening import SHARED_MEMORY, shared_memory


def test_a_process_that_is_gone_is_an_error_and_changes_nothing() -> None:
    before = Path(SHARED_MEMORY).stat().st_dev
    with pytest.raises(ProcessError, match="can't enter the shared memory of process 0"):
        enter_shared_memory(0)
    assert Path(SHARED_MEMORY).stat().st_dev == before


def test_a_session_is_opened_in_its_own_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    place = paths.resolve(instance="test", environ={})
    here = Path(SHARED_MEMORY).stat().st_dev
    monkeypatch.delenv(env.SHM_ROOT, raising=False)
    assert shared_memory(place, Endpoints("s", "p")) == place.shm_root
    with pytest.raises(SessionNotReady, match="reconcile exec p -- COMMAND"):
        shared_memory(place, Endpoints("s", "p", memory=here + 1))
    monkeypatch.setenv(env.SHM_ROOT, names.PRIVATE_SHM_ROOT)
    assert shared_memory(place, Endpoints("s", "p", memory=here)) == Path(names.PRIVATE_SHM_ROOT)
    with pytest.raises(SessionNotReady, match="run it outside"):
        shared_memory(place, Endpoints("s", "p"))


def test_only_root_is_let_in_and_others_are_told_before_anything_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(ProcessError, match=r"only root may enter .* this is user 65534: .*isolation: Host"):
        exec_command.run(parser().parse_args(["exec", "voice", "--", "true"]))
