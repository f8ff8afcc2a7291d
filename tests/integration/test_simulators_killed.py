"""The simulators as processes: what they acknowledged survives kill -9, and what was booked is never booked twice."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.simulators import NOON, Simulator, free_port, simulator
from tests.unit.test_simulators_bank import payment_file

NIK = "3273010101900001"


def wallet_transfer(key: str) -> list[dict[str, Any]]:
    return [{"idempotency_key": key, "account": "+628110000001", "amount_rupiah": 600_000}]


def load_wallet(wallet: Simulator) -> None:
    wallet.http.post("/accounts", json=[{"account": "+628110000001", "nik": NIK}])


def load_bank(bank: Simulator) -> None:
    bank.http.post("/accounts", json=[{"account": "a", "nik": NIK, "name": "Siti"}])


def test_a_transfer_booked_but_never_answered_is_booked_once_after_a_kill(tmp_path: Path) -> None:
    with simulator("ewallet", tmp_path, timeout_percent=100, pending_percent=0) as wallet, ThreadPoolExecutor() as pool:
        load_wallet(wallet)
        unanswered: Future[httpx.Response] = pool.submit(wallet.http.post, "/v1/transfers", json=wallet_transfer("k1"))
        wallet.eventually(lambda: wallet.booked() == ["k1"])
        assert wallet.stop(signal.SIGKILL) == -signal.SIGKILL
        with pytest.raises(httpx.TransportError):
            unanswered.result()
        wallet.start(timeout_percent=0)
        for _ in range(2):
            (told,) = wallet.http.post("/v1/transfers", json=wallet_transfer("k1")).json()
            assert told["status"] == "paid"
        assert wallet.booked() == ["k1"]


def test_a_file_booked_but_never_answered_is_booked_once_after_a_kill(tmp_path: Path) -> None:
    body = payment_file("m1", ("e1", "a", 600_000), ("e2", "a", 600_000))
    with simulator("bank", tmp_path, timeout_percent=100, never_percent=0) as bank, ThreadPoolExecutor() as pool:
        load_bank(bank)
        unanswered: Future[httpx.Response] = pool.submit(bank.http.put, "/v1/files/m1", content=body)
        bank.eventually(lambda: bank.booked() == ["e1", "e2"])
        bank.stop(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            unanswered.result()
        bank.start(timeout_percent=0)
        assert bank.http.put("/v1/files/m1", content=body).status_code == 202
        assert bank.http.put("/v1/files/m1", content=body + b"\n").status_code == 409
        assert bank.booked() == ["e1", "e2"]


@pytest.mark.parametrize("name", ["bank", "ewallet"])
def test_a_cut_connection_gives_no_answer_at_all_and_asking_again_succeeds(tmp_path: Path, name: str) -> None:
    def send(rail: Simulator) -> httpx.Response:
        if name == "bank":
            return rail.http.put("/v1/files/k1", content=payment_file("k1", ("k1", "a", 600_000)))
        return rail.http.post("/v1/transfers", json=wallet_transfer("k1"))

    with simulator(name, tmp_path, timeout_percent=50, hang_seconds=0.2, seed="3") as rail:
        load_bank(rail) if name == "bank" else load_wallet(rail)
        cut, answered = 0, 0
        for _ in range(20):
            try:
                answered += send(rail).is_success
            except httpx.TransportError:
                cut += 1
        assert cut + answered == 20
        assert 3 < cut < 17
        assert rail.booked() == ["k1"]


@pytest.mark.parametrize("kill_after", [1, 7, 20])
def test_no_acknowledged_transfer_is_lost_by_a_kill_in_the_middle(tmp_path: Path, kill_after: int) -> None:
    keys = [f"k{n}" for n in range(40)]

    def send(key: str) -> str | None:
        try:
            (told,) = wallet.http.post("/v1/transfers", json=wallet_transfer(key)).json()
        except httpx.TransportError:
            return None
        answered.append(key)
        if len(answered) == kill_after:
            wallet.stop(signal.SIGKILL)
        return str(told["status"])

    answered: list[str] = []
    with simulator("ewallet", tmp_path, pending_percent=0) as wallet:
        load_wallet(wallet)
        with ThreadPoolExecutor(8) as pool:
            first = dict(zip(keys, pool.map(send, keys), strict=True))
        assert None in first.values()
        wallet.start()
        assert {key for key, status in first.items() if status} <= set(wallet.booked())
        assert [send(key) for key in keys] == ["paid"] * 40
        assert sorted(wallet.booked()) == sorted(keys)


def test_messages_and_people_survive_a_kill(tmp_path: Path) -> None:
    person = {"nik": NIK, "kk": "3273010101000001", "name": "Siti", "birth_date": "1990-01-01"}
    with simulator("civil_registry", tmp_path) as registry:
        registry.http.post("/people", json=[person])
        registry.stop(signal.SIGKILL)
        registry.start()
        (finding,) = registry.http.post("/v1/checks", json=[{"reference": "r", **person}]).json()
        assert finding["result"] == "match"
    with simulator("messages", tmp_path) as gateway:
        message = {"reference": "r", "channel": "e-mail", "to": "a@example.test", "text": "Halo"}
        gateway.http.post("/v1/messages", json=[message])
        gateway.stop(signal.SIGKILL)
        gateway.start()
        gateway.http.post("/v1/messages", json=[message])
        assert len(gateway.http.get("/v1/inbox", params={"to": "a@example.test"}).json()) == 1


def test_all_processes_share_the_programme_clock(tmp_path: Path) -> None:
    with simulator("bank", tmp_path, never_percent=0, late_percent=0) as bank:
        load_bank(bank)
        bank.http.put("/v1/files/m1", content=payment_file("m1", ("e1", "a", 600_000)))
        assert bank.http.get("/v1/files/m1/status").status_code == 425
        assert bank.http.get("/v1/statements/2020-04-17").status_code == 425
        bank.clock.set(NOON + timedelta(days=1))
        assert bank.http.get("/v1/files/m1/status").status_code == 200
        assert b"<EndToEndId>e1<" in bank.http.get("/v1/statements/2020-04-17").content


def test_every_simulator_starts_is_ready_and_ends_when_told(tmp_path: Path) -> None:
    (tmp_path / "clients.toml").write_text("clients = []\n")
    own: dict[str, dict[str, Any]] = {
        "oidc": {"clients": tmp_path / "clients.toml"},
        "partner": {
            "training_url": "http://127.0.0.1:9",
            "issuer": "http://127.0.0.1:9",
            "client_secret": "secret",
        },
    }
    for name in ("civil_registry", "messages", "bank", "ewallet", "partner", "oidc", "beacon"):
        with simulator(name, tmp_path, **own.get(name, {})) as one:
            assert one.http.get("/health/live").json() == {"status": "ok"}
            assert one.stop(signal.SIGTERM) in (0, -signal.SIGTERM)


def test_settings_may_come_from_the_file_that_the_environment_names(tmp_path: Path) -> None:
    port, settings = free_port(), tmp_path / "messages.env"
    settings.write_text(f"SIMULATOR_PORT='{port}'\nSIMULATOR_BOOK='{tmp_path / 'book'}'\nSIMULATOR_CLOCK='real'\n")
    environment = os.environ | {"GELOMBANG_SETTINGS": str(settings)}
    with subprocess.Popen([sys.executable, "-m", "deploy.simulators.messages"], env=environment) as process:
        try:
            for _ in range(200):
                try:
                    told = httpx.get(f"http://127.0.0.1:{port}/v1/inboxes").text
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            assert json.loads(told) == {"messages": [], "cursor": 0}
        finally:
            process.kill()
