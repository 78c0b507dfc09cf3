"""The control side's door to iceoryx2, on real shared memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.shm import Shm
from reconciler.shm.rest import AtRest

if TYPE_CHECKING:
    from collections.abc import Iterator

ALONE = """
import sys
from pathlib import Path
from reconciler.stream.channel import Domain
domain = Domain(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
print("up", flush=True)
sys.stdin.read()
"""

PROGRAM = """
import ctypes, sys, iceoryx2 as iox
iox.set_log_level(iox.LogLevel.Fatal)
config = iox.config.default()
config.global_cfg.prefix = iox.FileName.new(sys.argv[2])
config.global_cfg.root_path = iox.Path.new(sys.argv[1])
node = iox.NodeBuilder.new().name(iox.NodeName.new(sys.argv[3])).config(config)
node = node.signal_handling_mode(iox.SignalHandlingMode.Disabled).create(iox.ServiceType.Ipc)
service = node.service_builder(iox.ServiceName.new("s_n_output")).publish_subscribe(iox.Slice[ctypes.c_uint8])
service = service.open_or_create()
publisher = service.publisher_builder().initial_max_slice_len(1 << 20).create()
print("up", flush=True)
sys.stdin.read()
del publisher, service, node
"""


@pytest.fixture
def place() -> Iterator[tuple[str, str]]:
    token = uuid.uuid4().hex[:8]
    root = Path(f"/tmp/rc-{token}")
    root.mkdir()
    shm = Shm(str(root), f"iox2_{token}_")
    try:
        yield str(root), f"iox2_{token}_"
        shm.forget()
        assert not list(Path("/dev/shm").glob(f"iox2_{token}_*"))
    finally:
        shutil.rmtree(root)


def _program(place: tuple[str, str], name: str) -> subprocess.Popen[str]:
    return _started(PROGRAM, place, name)


def _started(code: str, place: tuple[str, str], name: str) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [sys.executable, "-c", code, *place, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout
    assert program.stdout.readline() == "up\n"
    return program


def test_nothing_there_needs_no_iceoryx2(place: tuple[str, str]) -> None:
    code = "import sys; from reconciler.shm import Shm; print(Shm(*sys.argv[1:]).look(), 'iceoryx2' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code, *place], capture_output=True, text=True, check=True)
    assert said.stdout == "((), ()) False\n"


def test_the_killed_one_of_two_is_told_apart_and_swept(place: tuple[str, str]) -> None:
    """FR-006, EC-04: each program has its own name, and what it leaves goes."""
    shm = Shm(*place)
    living, killed = _program(place, "rc-living"), _program(place, "rc-killed")
    files_of_both = shm.files()[0]
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    nodes, services = shm.look()
    assert {node.name: node.dead for node in nodes} == {"rc-living": False, "rc-killed": True}
    assert {service.name for service in services} == {"s_n_output"}
    dead = tuple(node.id for node in nodes if node.dead)
    shm.remove_dead_nodes(dead)
    shm.remove_dead_nodes(dead)
    nodes, services = shm.look()
    assert [(node.name, node.dead) for node in nodes] == [("rc-living", False)]
    assert [service.nodes for service in services] == [1]
    assert shm.files()[0] < files_of_both
    living.communicate("")
    assert shm.look() == ((), ())
    assert shm.files() == (0, 0)


def test_a_program_that_was_killed_while_it_made_its_node_leaves_nothing(place: tuple[str, str]) -> None:
    """iceoryx2 knows nothing of what it wrote, and a look would ask it again and again."""
    shm, program = Shm(*place), _program(place, "lives")
    half = Path(place[0], "nodes", "158456672070199676009738929113")
    half.mkdir()
    (half / f"{place[1]}node.details").write_text("half")
    assert [node.name for node in shm.look()[0]] == ["lives"]  # it may still be at it
    os.utime(half, (0, 0))
    assert {(node.name, node.dead) for node in shm.look()[0]} == {("lives", False), ("", True)}
    shm.remove_dead_nodes(tuple(node.id for node in shm.look()[0] if node.dead))
    assert not half.exists()
    assert [node.name for node in shm.look()[0]] == ["lives"]
    program.communicate("")
    assert shm.look() == ((), ())


def test_what_an_instance_has_is_forgotten_right_after_a_program_was_killed_while_it_made_its_node(
    place: tuple[str, str],
) -> None:
    shm, program = Shm(*place), _program(place, "lives")
    Path(place[0], "nodes", "158456672070199676009738929113").mkdir()
    shm.forget()
    assert list(Path("/dev/shm").glob(f"{place[1]}*.global_mgmt")) != []
    program.communicate("")
    shm.forget()
    assert list(Path("/dev/shm").glob(f"{place[1]}*")) == []


@pytest.mark.parametrize("directory", [False, True])
def test_a_program_that_was_killed_at_the_end_of_its_end_leaves_nothing(
    place: tuple[str, str], *, directory: bool
) -> None:
    """iceoryx2 lists it for ever, and says that it has cleaned up."""
    shm, program = Shm(*place), _started(ALONE, place, "dies")
    program.kill()
    program.communicate()
    (node,) = (path for path in Path(place[0], "nodes").iterdir() if path.is_dir())
    shutil.rmtree(node)
    if directory:
        node.mkdir()
    assert [(each.name, each.dead) for each in shm.look()[0]] == [("", True)]
    shm.remove_dead_nodes((node.name,))
    assert list(Path(place[0], "nodes").iterdir()) == []
    assert shm.look() == ((), ())


def test_while_all_is_well_the_files_say_what_iceoryx2_says(place: tuple[str, str]) -> None:
    first, second = _program(place, "rc-first"), _program(place, "rc-second")
    code = "import sys; from reconciler.shm import Shm; print(Shm(*sys.argv[1:]).look(), 'iceoryx2' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code, *place], capture_output=True, text=True, check=True)
    nodes, services = Shm(*place)._ask()
    assert [(service.name, service.nodes) for service in services] == [("s_n_output", 2)]
    assert {node.name for node in nodes} == {"rc-first", "rc-second"}
    seen = AtRest(*place).look()
    assert seen is not None
    assert (set(seen[0]), set(seen[1])) == (set(nodes), set(services))
    assert said.stdout == f"{seen} False\n"
    for program in (first, second):
        program.communicate("", timeout=30)
    assert Shm(*place).look() == ((), ())


def test_whatever_is_in_doubt_is_for_iceoryx2_to_judge(place: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    living, killed = _program(place, "rc-living"), _program(place, "rc-killed")
    rest = AtRest(*place)
    assert rest.look() is not None
    with monkeypatch.context() as patched:
        patched.setattr("os.getpid", lambda: living.pid)  # so that its file may be ours, and is not opened
        assert rest.look() is not None
        patched.setattr("reconciler.shm.rest.LOCKS", "/dev/null")  # as where the locks of others can't be seen
        assert rest.look() is None
    for left in (Path(place[0], "nodes", "strange"), Path(place[0], "services", f"{place[1]}left.service")):
        left.write_text("")
        assert rest.look() is None
        left.unlink()
    assert rest.look() is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert rest.look() is None
    shm = Shm(*place)
    shm.remove_dead_nodes(tuple(node.id for node in shm.look()[0] if node.dead))
    seen = rest.look()
    assert seen is not None
    assert [node.name for node in seen[0]] == ["rc-living"]
    living.communicate("", timeout=30)


def test_a_look_lets_go_of_no_lock_of_this_process(place: tuple[str, str]) -> None:
    look = "import sys; from reconciler.shm import Shm; print([node.dead for node in Shm(*sys.argv[1:]).look()[0]])"
    code = PROGRAM.replace(
        'print("up"', 'from reconciler.shm.rest import AtRest; assert AtRest(*sys.argv[1:3]).look(); print("up"'
    )
    program = _started(code, place, "rc-looks")
    said = subprocess.run([sys.executable, "-c", look, *place], capture_output=True, text=True, check=True)
    assert said.stdout == "[False]\n"
    program.communicate("", timeout=30)
