"""A stack is started twice, killed, found again and ended, and touches nothing that is not its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from deploy.local.cli import main
from deploy.local.ports import free_block
from deploy.local.problem import Problem
from deploy.local.stack import ClockPlan, Stack
from deploy.local.supervision import MARK
from libs.events.clock import open_clock
from tests.conftest import stack_folder

SMALL = {"services": [], "simulators": ["oidc"]}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with stack_folder() as folder:
        made = Stack(folder)
        try:
            made.up(**SMALL)
            yield made
        finally:
            made.down()


def pids(stack: Stack) -> dict[str, int]:
    return {process.name: process.pid for process in stack.processes()}


def test_a_second_up_leaves_everything_as_it_is(stack: Stack) -> None:
    before, told = pids(stack), stack.layout.stack.read_text()
    stack.up(**SMALL)
    assert pids(stack) == before
    assert stack.layout.stack.read_text() == told


def test_what_others_must_know_holds_no_secret(stack: Stack) -> None:
    told = stack.layout.stack.read_text()
    assert stack.facts().server().password not in told
    assert str(stack.facts().cluster().password) not in told
    assert stack.facts().url("simulator-oidc").startswith("http://127.0.0.1:")


@pytest.mark.parametrize("name", ["postgres", "kafka", "simulator-oidc"])
def test_what_is_killed_comes_back(stack: Stack, name: str) -> None:
    stack.facts().server().run("CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1)")
    killed = stack.kill(name)
    stack.wait_back(name, killed)
    assert pids(stack)[name] not in (0, killed)
    assert int(stack.facts().server().run("SELECT count(*) FROM kept")) >= 1
    assert stack.facts().cluster().answers()


def test_one_process_is_stopped_and_started_and_the_others_are_left_alone(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    before, var = pids(stack), str(stack.layout.var)
    assert main(["stop", "--var", var, "simulator-oidc"]) == 0
    assert pids(stack) == before | {"simulator-oidc": 0}
    assert main(["start", "--var", var, "simulator-oidc"]) == 0
    between = pids(stack)
    assert main(["restart", "--var", var, "simulator-oidc"]) == 0
    after = pids(stack)
    assert len({before["simulator-oidc"], between["simulator-oidc"], after["simulator-oidc"], 0}) == 4
    assert {name for name in before if before[name] != after[name]} == {"simulator-oidc"}
    assert "Starting simulator-oidc" in capsys.readouterr().out


def test_a_changed_wish_restarts_only_what_it_concerns(stack: Stack) -> None:
    before = pids(stack)
    stack.up(**SMALL, clock=ClockPlan(datetime(2020, 4, 1, tzinfo=UTC)))
    after = pids(stack)
    assert {name for name in before if before[name] != after[name]} == {"simulator-oidc"}
    assert open_clock(stack.facts().clock).now() == datetime(2020, 4, 1, tzinfo=UTC)
    stack.up(**SMALL)
    assert pids(stack) == after
    with pytest.raises(Problem, match="can not go back"):
        stack.up(**SMALL, clock=ClockPlan(datetime(2020, 1, 1, tzinfo=UTC)))


def test_a_killed_process_manager_is_replaced_and_its_orphans_are_ended(stack: Stack) -> None:
    before = pids(stack)
    manager = int((stack.layout.run / "supervisord.pid").read_text())
    os.kill(manager, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess):  # it may be gone already
        psutil.Process(manager).wait(10)
    assert all(psutil.pid_exists(pid) for pid in before.values())
    stack.up(**SMALL)
    after = pids(stack)
    assert all(after.values())
    assert not set(before.values()) & set(after.values())


def test_down_ends_what_it_started_and_nothing_else(stack: Stack) -> None:
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, MARK: "/some/other/stack"}
    )
    own = [pid for pid in pids(stack).values() if pid]
    try:
        stack.down()
        assert not any(psutil.pid_exists(pid) for pid in own)
        assert stack.processes() == []
        assert bystander.poll() is None
        stack.down()
    finally:
        bystander.kill()
        bystander.wait()


def test_a_stale_pid_file_and_socket_do_not_stop_a_start(stack: Stack) -> None:
    stack.down()
    (stack.layout.run / "supervisord.pid").write_text(f"{os.getpid()}\n")
    stack.layout.socket.touch()
    postgres = stack.layout.postgres / "data" / "postmaster.pid"
    postgres.write_text(
        f"{os.getpid()}\n{stack.layout.postgres / 'data'}\n{int(time.time())}\n1\n\n127.0.0.1\n\nready\n"
    )
    stack.up(**SMALL)
    assert all(pids(stack).values())


def test_a_port_that_was_given_and_is_taken_is_a_sentence(tmp_path: Path) -> None:
    base = free_block().base
    with (
        socket.create_server(("127.0.0.1", base)),
        pytest.raises(Problem, match=f"Port {base}, wanted for postgres, is taken.*--port-base"),
    ):
        Stack(tmp_path).up(**SMALL, port_base=base)
    assert Stack(tmp_path).processes() == []
