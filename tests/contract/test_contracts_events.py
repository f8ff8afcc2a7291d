"""What was ever said on the bus can be read today, and what is said today is what the reference promises."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from libs.events import codec
from libs.events.contracts import Event, catalogue
from libs.events.docs.schemas import urn
from libs.events.topics import TOPIC_OF, TOPICS

EVENTS = Path(__file__).parents[2] / "libs/events"
EXAMPLES = sorted((EVENTS / "examples").glob("*.json"))
CONTRACTS = catalogue()

by_name = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
by_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)


def read(value: bytes) -> Event:
    envelope = codec.read_envelope(value)
    return codec.read_event(envelope, TOPIC_OF[envelope.type].name)


def schema_of(document: dict[str, Any]) -> dict[str, Any]:
    name = document["dataschema"].removeprefix("urn:gelombang:").replace(":", ".")
    schema: dict[str, Any] = json.loads((EVENTS / f"schemas/{name}.json").read_text())
    return schema


@by_contract
def test_every_version_of_every_type_has_its_example_and_schema(contract: type[Event]) -> None:
    for version in range(1, contract.VERSION + 1):
        assert (EVENTS / f"examples/{contract.TYPE}.{version}.json").exists()
        assert (EVENTS / f"schemas/{contract.TYPE}.{version}.json").exists()


@by_name
def test_an_example_of_any_time_is_read_by_todays_reader(path: Path) -> None:
    kind, version = path.stem.rsplit(".", 1)
    value = path.read_bytes()
    document, event = json.loads(value), read(value)
    assert isinstance(event, CONTRACTS[kind])
    assert document["dataschema"] == f"urn:gelombang:{kind}:{version}"
    assert document["id"] == event.event_id()
    assert document["source"] == TOPIC_OF[kind].producer
    assert codec.number_of(codec.read_envelope(value)) == 1


@by_name
def test_an_example_of_the_newest_version_is_written_as_it_was(path: Path) -> None:
    event = read(path.read_bytes())
    if path.stem == f"{event.TYPE}.{event.VERSION}":
        assert json.loads(codec.numbered(codec.encode(event), 1, 1)) == json.loads(path.read_text())


@by_name
def test_a_field_of_tomorrow_changes_nothing(path: Path) -> None:
    document = json.loads(path.read_text())
    more = {**document, "tomorrow": [1], "data": {**document["data"], "tomorrow": {"deep": True}}}
    assert read(json.dumps(more).encode()) == read(path.read_bytes())


@by_name
def test_an_example_satisfies_its_schema(path: Path) -> None:
    document = json.loads(path.read_text())
    Draft202012Validator(schema_of(document), format_checker=FormatChecker()).validate(document["data"])


@by_name
def test_the_schema_refuses_what_the_reader_refuses(path: Path) -> None:
    """Each field that must be there is missed by both."""
    document = json.loads(path.read_text())
    schema = schema_of(document)
    assert schema["required"]
    for field in schema["required"]:
        data = {name: value for name, value in document["data"].items() if name != field}
        assert not Draft202012Validator(schema).is_valid(data)
        with pytest.raises(codec.Poison, match=rf"bad-data: .*: {field}"):
            read(json.dumps({**document, "data": data}).encode())


def test_examples_say_everything_their_contracts_can_say() -> None:
    for path in EXAMPLES:
        document = json.loads(path.read_text())
        assert set(document["data"]) == set(schema_of(document)["properties"]), path.name


@by_contract
def test_the_schema_is_valid_and_named_after_its_contract(contract: type[Event]) -> None:
    schema = json.loads((EVENTS / f"schemas/{contract.TYPE}.{contract.VERSION}.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == urn(contract)
    assert "additionalProperties" not in schema


def test_money_beyond_json_integers_travels_as_text() -> None:
    document = json.loads((EVENTS / "examples/appropriation-returned.1.json").read_text())
    assert document["data"]["amount_rupiah"] == "9007199254740993"
    event = read((EVENTS / "examples/appropriation-returned.1.json").read_bytes())
    assert event.amount_rupiah == 9_007_199_254_740_993  # type: ignore[attr-defined]


def test_each_type_travels_on_exactly_one_topic_in_its_newest_version() -> None:
    listed = [(kind, version) for topic in TOPICS.values() for kind, version in topic.events.items()]
    assert sorted(listed) == sorted((kind, contract.VERSION) for kind, contract in CONTRACTS.items())


@by_contract
def test_an_event_is_keyed_by_one_of_its_fields(contract: type[Event]) -> None:
    assert contract.KEY in contract.model_fields
    assert set(contract.MEANING) <= set(contract.model_fields)
    assert contract.MEANING


def test_a_topic_is_keyed_as_its_citizens_events_are() -> None:
    """Only events that are about no single citizen may be keyed otherwise: they order nothing but themselves."""
    for topic in TOPICS.values():
        for kind in topic.events:
            contract = CONTRACTS[kind]
            if "citizen_id" in contract.model_fields:
                assert contract.KEY == "citizen_id" == topic.key
        assert topic.key in {CONTRACTS[kind].KEY for kind in topic.events}


def test_a_topic_is_named_after_an_event_it_carries() -> None:
    assert {name for name, topic in TOPICS.items() if name not in topic.events} == {"waves"}


def test_producers_and_consumers_are_services() -> None:
    services = {path.parent.name for path in (EVENTS.parents[1] / "services").glob("*/__init__.py")}
    for topic in TOPICS.values():
        assert {topic.producer, *topic.consumers} <= services


PERSONAL = re.compile(
    r"(^|_)(nik|kk|ktp|name|nama|phone|telp|telepon|hp|msisdn|email|e_mail|mail|birth|lahir|address|alamat|account|rekening"
    r"|iban|card|wallet_number|mother|ibu|gender|sex|religion|photo|face|selfie|password|token|otp|ip)(_|$)"
)


@by_contract
def test_no_field_suggests_personal_data(contract: type[Event]) -> None:
    schema = json.loads((EVENTS / f"schemas/{contract.TYPE}.{contract.VERSION}.json").read_text())
    inner = [definition["properties"] for definition in schema.get("$defs", {}).values()]
    fields = [field for properties in (schema["properties"], *inner) for field in properties]
    assert [field for field in fields if PERSONAL.search(field)] == []


@pytest.mark.parametrize("field", ["nik", "full_name", "phone_number", "account_number", "birth_date", "email"])
def test_the_rule_against_personal_data_would_notice(field: str) -> None:
    assert PERSONAL.search(field)


def test_citizens_and_households_are_opaque_ids() -> None:
    for contract in CONTRACTS.values():
        schema = contract.model_json_schema()
        for field in ("citizen_id", "household_id"):
            if field in schema["properties"]:
                assert schema["properties"][field]["pattern"] == "^[0-9a-f]{32}$"
