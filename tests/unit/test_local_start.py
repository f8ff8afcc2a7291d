"""What stops a start says what happened and what to do; nothing of it leaves something half done."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deploy.local import bootstrap, jars, ports, readiness
from deploy.local.cli import main
from deploy.local.layout import ROOT, Layout, write_private
from deploy.local.problem import Problem
from deploy.local.stack import Stack
from deploy.local.supervision import Process, Supervisor

Usage = namedtuple("Usage", "total used free")


def test_too_little_disk_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10 * 1024**3, 9 * 1024**3, 1024**3))
    with pytest.raises(Problem, match=r"Only 1\.0 GiB are free.*needs 2 GiB.*--var DIR"):
        Layout.at(tmp_path / "var").create()


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    with pytest.raises(Problem, match=r"can not be written.*another with --var DIR"):
        Layout.at(tmp_path / "var").create()


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    layout.create()
    write_private(layout.secrets / "word", "secret")
    assert (layout.secrets / "word").stat().st_mode & 0o777 == 0o600
    assert layout.secrets.stat().st_mode & 0o777 == 0o700
    assert layout.environment.stat().st_mode & 0o777 == 0o700


def test_a_deep_folder_gets_a_socket_whose_path_the_kernel_takes(tmp_path: Path) -> None:
    shallow, deep = Layout.at(Path("/srv/var")), Layout.at(tmp_path / ("x" * 120) / "var")
    assert shallow.socket == Path("/srv/var/run/supervisor.sock")
    assert len(os.fsencode(deep.socket)) <= 100
    assert deep.socket != Layout.at(tmp_path / ("y" * 120) / "var").socket


def test_a_taken_port_is_named_with_its_holder() -> None:
    block = ports.free_block()
    with socket.create_server(("127.0.0.1", block.of("kafka"))):
        with pytest.raises(
            Problem, match=rf"Port {block.of('kafka')}, wanted for kafka, is taken by .*pid {os.getpid()}"
        ):
            ports.require_free(block, ["postgres", "kafka"])
        ports.require_free(block, ["postgres"])


def test_a_remembered_block_is_used_again_unless_somebody_took_it() -> None:
    block = ports.free_block()
    assert ports.choose(None, block.base) == block
    with socket.create_server(("127.0.0.1", block.of("finance"))):
        assert ports.choose(None, block.base) != block
    assert ports.choose(25_000, block.base).base == 25_000


def test_every_process_has_a_port_of_its_own() -> None:
    block = ports.Ports(20_000)
    names = [
        *ports.OFFSETS,
        *(f"{s}-{role}" for s in ("registration", "finance") for role in ("worker", "relay", "jobs")),
    ]
    assert len({block.of(name) for name in names}) == len(names)
    assert all(20_000 <= block.of(name) < 20_000 + ports.BLOCK for name in names)


def test_an_old_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer; .* is 3\.9\.\n.*make PYTHON="):
        bootstrap.require_python()


def test_a_python_without_venv_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match="apt install python3-venv"):
        bootstrap.require_python()


class Download:
    """Stands in for the Maven client: hands out a file with the given content, and counts."""

    def __init__(self, content: bytes) -> None:
        self.content, self.count = content, 0

    def __call__(self, *, repo_cache: Path, **rest: object) -> "Download":
        self.folder = repo_cache
        return self

    def project(self, group: str, artifact: str) -> "Download":
        return self

    def at_version(self, version: str) -> "Download":
        return self

    def artifact(self, packaging: str) -> "Download":
        return self

    def resolve(self) -> Path:
        self.count += 1
        self.folder.mkdir(parents=True)
        (self.folder / "file").write_bytes(self.content)
        return self.folder / "file"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "kafka.lock"
    path.write_text(f"org.example:thing:1.0 sha256:{hashlib.sha256(b'good').hexdigest()}\n")
    return path


def test_a_broken_download_is_refused_and_leaves_nothing(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "MavenContext", Download(b"half a fi"))
    with pytest.raises(Problem, match=r"thing-1\.0\.jar arrived, but its SHA-256.*run the command again"):
        jars.ensure(lock=lock, cache=tmp_path)
    assert list((tmp_path / "jars").iterdir()) == []


def test_a_download_that_does_not_come_asks_for_the_network(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(**settings: object) -> Download:
        class Offline(Download):
            def resolve(self) -> Path:
                raise ConnectionError("no route")

        return Offline(b"")

    monkeypatch.setattr(jars, "MavenContext", offline)
    with pytest.raises(Problem, match=r"could not be fetched.*Check the network"):
        jars.ensure(lock=lock, cache=tmp_path)


def test_a_jar_that_was_damaged_on_disk_is_fetched_again_and_a_good_one_is_not(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = Download(b"good")
    monkeypatch.setattr(jars, "MavenContext", download)
    (path,) = jars.ensure(lock=lock, cache=tmp_path)
    jars.ensure(lock=lock, cache=tmp_path)
    assert download.count == 1
    path.write_bytes(b"gooood")
    jars.ensure(lock=lock, cache=tmp_path)
    assert (download.count, path.read_bytes()) == (2, b"good")


def test_the_shipped_list_names_one_broker_version_with_a_hash_each() -> None:
    listed = jars.locked()
    assert {jar.version for jar in listed if jar.group == "org.apache.kafka"} == {"4.3.1"}
    assert {len(bytes.fromhex(jar.sha256)) for jar in listed} == {32}


def test_a_list_that_is_not_understood_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "kafka.lock"
    path.write_text("org.example:thing:1.0\n")
    with pytest.raises(Problem, match="Line 1 of"):
        jars.locked(path)


def test_a_problem_is_two_sentences_on_stderr_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--var", str(tmp_path / "none")]) == 1
    said = capsys.readouterr()
    assert "No stack runs" in said.err
    assert "make up" in said.err
    assert said.out == ""


def test_a_port_base_that_is_no_number_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT_BASE", "2000O")
    with pytest.raises(SystemExit):
        main(["up", "--var", str(tmp_path / "none")])
    assert "--port-base: invalid int value: '2000O'" in capsys.readouterr().err


def test_a_programme_clock_without_a_time_is_asked_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--var", str(tmp_path / "none"), "--clock", "file"]) == 1
    assert "--at 2020-04-01T00:00:00+07:00" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_logs_show_the_end_of_each_and_name_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout.at(tmp_path)
    layout.create()
    (layout.logs / "training.log").write_text("one\ntwo\nthree\n")
    (layout.logs / "kafka.log").write_text("started\n")
    assert main(["logs", "--var", str(tmp_path), "--lines", "2"]) == 0
    assert capsys.readouterr().out == "kafka    | started\ntraining | two\ntraining | three\n"
    assert main(["logs", "--var", str(tmp_path), "finnance"]) == 1
    assert "There are: kafka, training" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout in which nothing was set up; setting up anything in it fails the test."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "deploy/local").mkdir(parents=True)
    (tmp_path / "deploy/local/bootstrap.py").write_text("import sys; sys.exit('set-up was done')\n")
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(shutil.which("make")), "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("word", "succeeds"), [("down", True), ("status", False), ("logs", False), ("restart", False)])
def test_looking_after_a_stack_where_nothing_was_set_up_is_one_sentence(
    folder: Path, word: str, succeeds: bool
) -> None:
    done = make(folder, word)
    assert (done.returncode == 0) is succeeds
    assert done.stderr.splitlines()[0] == (
        "Nothing was set up in this folder, so nothing runs from it. Start with: make up"
    )
    assert "set-up was done" not in done.stdout + done.stderr


@pytest.mark.parametrize("word", ["down", "status", "logs", "restart"])
def test_looking_after_a_stack_uses_an_environment_that_is_older_than_the_lock(folder: Path, word: str) -> None:
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    stamp = folder / ".venv/.complete"
    stamp.touch()
    os.utime(stamp, (0, 0))
    done = make(folder, "-s", word, "ARGS=--var elsewhere")
    assert done.stdout == f"-m deploy.local {word} --var elsewhere\n"
    assert "set-up was done" in make(folder, "up").stderr


def stack_of(*names: str) -> Stack:
    class Fake(Stack):
        def processes(self) -> list[Process]:
            return [Process(name, "running", 1, 0, "") for name in names]

    return Fake("nowhere")


def test_a_service_whose_roles_run_apart_is_meant_with_all_of_them() -> None:
    roles = [f"training-{role}" for role in ("api", "worker", "relay", "jobs")]
    stack = stack_of("kafka", *roles, "finance", "finance-windows")
    assert stack.named(["training", "kafka"]) == ["kafka", *roles]
    assert stack.named(["training-relay"]) == ["training-relay"]
    assert stack.named(["finance"]) == ["finance"]


@pytest.mark.parametrize("word", ["stop", "start", "restart"])
def test_a_process_that_is_not_there_is_named(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Problem, match=r"no trainning\. It has: kafka, training\."):
        stack_of("kafka", "training").named(["trainning"])
    assert main([word, "--var", str(tmp_path / "none"), "training"]) == 1
    assert "No stack runs" in capsys.readouterr().err


class Answer(BaseHTTPRequestHandler):
    """A process that is not ready, and says why."""

    relay = "standing by"

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(json.dumps({"ready": False, "roles": {"api": "working", "relay": self.relay}}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_role_that_will_not_go_on_is_told_in_its_own_words_and_not_waited_for(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        urls = {"training": f"http://127.0.0.1:{server.server_port}"}
        supervisor = Supervisor(Layout.at(tmp_path))
        try:
            with pytest.raises(Problem, match=r"training is not ready after"):
                readiness.wait(supervisor, urls, tmp_path, lambda words: None, seconds_max=0.3)
            Answer.relay = "stopped: this database is older than its topics"
            with pytest.raises(Problem, match=r"does not go on: this database is older.*restart training"):
                readiness.wait(supervisor, urls, tmp_path, lambda words: None)
        finally:
            server.shutdown()
