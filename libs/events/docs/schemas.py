"""JSON Schema (draft 2020-12) of the data of each event type, and the AsyncAPI document of the whole bus."""

import json
from pathlib import Path
from typing import Any, Final

from libs.events.contracts import JSON_INTEGER_MAX, Event, catalogue
from libs.events.docs.examples import path_of
from libs.events.topics import TOPIC_OF, TOPICS, Topic

SCHEMAS: Final = Path(__file__).parents[1] / "schemas"

# pydantic knows only that the amount becomes an integer or a text; these are the two forms it can take on the wire.
RUPIAH: Final = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": JSON_INTEGER_MAX},
        {"type": "string", "pattern": "^[0-9]{16,19}$"},
    ]
}


def schema_path(contract: type[Event]) -> Path:
    return SCHEMAS / f"{contract.TYPE}.{contract.VERSION}.json"


def urn(contract: type[Event]) -> str:
    """What `dataschema` says on the bus."""
    return f"urn:gelombang:{contract.TYPE}:{contract.VERSION}"


def schema(contract: type[Event]) -> dict[str, Any]:
    """What the newest version of a type looks like on the wire. Unknown fields are allowed: readers are tolerant."""
    told = contract.model_json_schema(mode="serialization")
    for name, field in told["properties"].items():
        field.pop("title", None)
        if name.endswith("_rupiah"):
            told["properties"][name] = RUPIAH
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": urn(contract),
        **told,
        "title": contract.TYPE,
        "description": sentence(contract),
    }


def sentence(contract: type[Event]) -> str:
    """The contract's own docstring; where the name says it all there is none of its own."""
    own = contract.__dict__.get("__doc__") or ""
    return " ".join(own.split()) or contract.TYPE.replace("-", " ").capitalize() + "."


def schemas() -> dict[Path, str]:
    return {schema_path(contract): pretty(schema(contract)) for contract in catalogue().values()}


def pretty(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def asyncapi() -> dict[str, Any]:
    """Channels, messages and who sends and receives them, for AsyncAPI tools."""
    contracts = catalogue()
    operations = {}
    for topic in TOPICS.values():
        operations[f"{topic.producer}-sends-{topic.name}"] = _operation("send", topic)
        for consumer in topic.consumers:
            operations[f"{consumer}-receives-{topic.name}"] = _operation("receive", topic)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Gelombang: the event bus",
            "version": "1",
            "description": "Every event that crosses the bus. CloudEvents 1.0 in JSON, structured mode, over Kafka.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": operations,
        "components": {
            "messages": {kind: _message(contract) for kind, contract in contracts.items()},
            "schemas": {kind: _component(contract) for kind, contract in contracts.items()},
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in topic.events},
        "bindings": {"kafka": {"topic": topic.name, "partitions": topic.partitions}},
    }


def _operation(action: str, topic: Topic) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{kind}"} for kind in topic.events],
    }


def _message(contract: type[Event]) -> dict[str, Any]:
    return {
        "name": contract.TYPE,
        "title": contract.TYPE,
        "summary": sentence(contract),
        "contentType": "application/cloudevents+json",
        "payload": _envelope(contract),
        "bindings": {"kafka": {"key": {"type": "string", "description": contract.KEY}}},
        "examples": [{"name": contract.TYPE, "payload": json.loads(path_of(contract).read_text())}],
    }


def _envelope(contract: type[Event]) -> dict[str, Any]:
    """The CloudEvent around the data, with the two attributes that the relay adds."""
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "dataschema", "sequence", "epoch", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "derived from what the event means"},
            "source": {"const": TOPIC_OF[contract.TYPE].producer},
            "type": {"const": contract.TYPE},
            "time": {"type": "string", "format": "date-time", "description": "programme time"},
            "dataschema": {"const": urn(contract)},
            "sequence": {"type": "string", "pattern": "^[0-9]{16}$", "description": "contiguous from 1 per partition"},
            "epoch": {"type": "integer", "minimum": 1, "description": "counts restores of the producer's database"},
            "traceparent": {"type": "string", "description": "W3C trace context, where the cause was traced"},
            "data": {"$ref": f"#/components/schemas/{contract.TYPE}"},
        },
    }


def _component(contract: type[Event]) -> dict[str, Any]:
    """The schema with its inner references pointing into this document."""
    told = schema(contract)
    del told["$schema"], told["$id"]
    inner = json.dumps(told).replace("#/$defs/", f"#/components/schemas/{contract.TYPE}/$defs/")
    component: dict[str, Any] = json.loads(inner)
    return component
