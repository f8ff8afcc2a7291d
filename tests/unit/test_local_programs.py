"""What each process is told: enough to start, and no secret that belongs to another."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation
from dotenv import dotenv_values

from deploy.local import bus, programs
from deploy.local.bus import Cluster, Right
from deploy.local.databases import Server, address
from deploy.local.layout import Layout
from deploy.local.ports import Ports
from deploy.local.programs import Place
from deploy.local.supervision import Program
from deploy.local.vault import STAFF, Vault
from deploy.simulators import beacon
from libs.events.topics import TOPICS


@pytest.fixture
def place(tmp_path: Path) -> Place:
    layout = Layout.at(tmp_path)
    layout.create()
    server = Server("127.0.0.1", 20_000, "admin", "word")
    databases = {name: address(server, name, "owner's \\word", f"app-of-{name}") for name in programs.SERVICES}
    return Place(layout, Ports(20_000), Vault(layout), Cluster("127.0.0.1:20001", "admin", "word"), databases, "real")


@pytest.mark.parametrize("service", programs.SERVICES)
def test_a_service_starts_with_what_it_is_told(place: Place, service: str) -> None:
    (program, *_) = programs.services(place, [service])
    settings = importlib.import_module(f"services.{service}.settings").Settings
    told = settings(_env_file=program.environment["GELOMBANG_SETTINGS"])
    assert told.database_url.get_secret_value() == place.databases[service].app_url
    assert told.kafka_user == service
    files = [value for value in told.model_dump().values() if isinstance(value, Path)]
    assert all(path.exists() for path in files)


def test_selection_takes_no_other_beacon_than_the_simulator_of_this_stack(place: Place) -> None:
    """Whatever answers at the beacon's address: with another seed it would be another chain."""
    for seed in ("1", "2"):
        (program,) = programs.services(replace(place, seed=seed), ["selection"])
        told = importlib.import_module("services.selection.settings").Settings(
            _env_file=program.environment["GELOMBANG_SETTINGS"]
        )
        info = beacon.chain_info(seed)
        assert (told.beacon_chain.chain_hash, told.beacon_chain.public_key) == (info["hash"], info["public_key"])


def test_no_service_is_told_a_secret_of_another_or_of_the_administrator(place: Place) -> None:
    texts = {}
    for program in programs.services(place, programs.SERVICES):
        texts[program.name] = Path(program.environment["GELOMBANG_SETTINGS"]).read_text()
    for service in programs.SERVICES:
        elsewhere = [text for name, text in texts.items() if name not in (service, f"{service}-windows")]
        assert not any(f"app-of-{service}" in text for text in elsewhere)
        assert not any(place.vault.password(f"kafka-{service}") in text for text in elsewhere)
    for text in texts.values():
        assert "owner" not in text
        assert "admin" not in text
    holders = [name for name, text in texts.items() if "identity-keys.json" in text]
    assert holders == ["registration"]
    signers = [name for name, text in texts.items() if "citizen-key.json" in text]
    assert signers == ["registration"]


def test_settings_are_read_back_as_they_were_meant(place: Place) -> None:
    odd = "it's a \\ word with % and #"
    faulty = replace(place, faults={"bank": {"SEED": odd}})
    (program,) = programs.simulators(faulty, ["bank"])
    assert dotenv_values(program.environment["GELOMBANG_SETTINGS"])["SIMULATOR_SEED"] == odd


def test_a_program_changes_exactly_when_its_settings_do(place: Place) -> None:
    first, again = (programs.services(place, ["finance"])[0] for _ in range(2))
    moved = replace(place, clock="/var/run/clock.json")
    assert first == again
    assert programs.services(moved, ["finance"])[0] != first


def test_apart_means_one_process_per_role(place: Place) -> None:
    apart = programs.services(place, ["training"], apart=True)
    assert [program.command[2:] for program in apart] == [
        ("services.training", role) for role in ("api", "worker", "relay", "jobs")
    ]


def test_a_doubled_api_has_two_processes_at_one_port(place: Place) -> None:
    both = programs.services(place, ["registration", "training"], doubled=["registration"])
    assert [program.command[2:] for program in both] == [
        ("services.registration",),
        ("services.registration", "api"),
        ("services.training",),
    ]
    settings = importlib.import_module("services.registration.settings").Settings
    told = [settings(_env_file=program.environment["GELOMBANG_SETTINGS"]) for program in both[:2]]
    assert told[0].http_port == told[1].http_port
    assert all(one.http_port_shared for one in told)


def test_a_percent_sign_survives_the_process_managers_configuration(tmp_path: Path) -> None:
    section = Program("x", ("run", "100%"), environment={"A": "5%"}).section(Layout.at(tmp_path))
    assert "command=run 100%%\n" in section
    assert 'environment=A="5%%"\n' in section


def test_behind_every_account_stands_another_person(place: Place) -> None:
    text = place.vault.staff_clients().read_text()
    assert len({line for line in text.splitlines() if line.startswith("person")}) == len(STAFF)


def test_only_the_producer_of_a_topic_may_write_it() -> None:
    writers = {(right.name, right.service) for right in bus.rights(TOPICS.values()) if right.operation == "write"}
    assert {(name, topic.producer) for name, topic in TOPICS.items()} == {
        (name, service) for name, service in writers if name in TOPICS
    }
    assert writers - {(name, topic.producer) for name, topic in TOPICS.items()} == {
        ("gelombang.finance.windows", "finance")
    }


def test_a_service_reads_what_it_consumes_or_writes_and_nothing_else() -> None:
    derived = bus.rights(TOPICS.values())
    for topic in TOPICS.values():
        readers = {right.service for right in derived if right.name == topic.name and right.operation == "read"}
        assert readers == {topic.producer, *topic.consumers}


def test_groups_carry_the_name_of_their_service() -> None:
    groups = {right for right in bus.rights(TOPICS.values()) if right.kind == "group"}
    assert all(right.name == f"gelombang.{right.service}" and right.prefixed for right in groups)
    assert not any(right.prefixed for right in bus.rights(TOPICS.values()) if right.name in TOPICS)


def test_a_right_is_one_binding_for_one_user() -> None:
    binding = Right("training", "topic", "applied", False, "read").binding()
    assert (binding.principal, binding.name, binding.operation) == ("User:training", "applied", AclOperation.READ)


@pytest.mark.parametrize("name", TOPICS)
def test_topics_are_kept_as_the_page_says(name: str) -> None:
    settings = bus.settings(TOPICS[name], replicas=3)
    days = TOPICS[name].retention_days
    assert settings["retention.ms"] == ("-1" if days is None else str(days * 86_400_000))
    assert settings["cleanup.policy"] == "delete"
    assert settings["min.insync.replicas"] == "2"
    assert bus.settings(TOPICS[name], replicas=1)["min.insync.replicas"] == "1"


def test_what_is_wished_for_one_service_is_told_to_it_alone(place: Place) -> None:
    wished = replace(place, extra={"registration": {"CITIZEN_TOKEN_DAYS": "400"}})
    for program in programs.services(wished, programs.SERVICES):
        told = dotenv_values(program.environment["GELOMBANG_SETTINGS"])
        assert told.get("GELOMBANG_CITIZEN_TOKEN_DAYS") == ("400" if program.name == "registration" else None)
