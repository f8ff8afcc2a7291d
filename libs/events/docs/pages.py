"""The readable reference: one table of the topics, and every event with its fields, rules and example."""

import ast
import inspect
import json
from typing import Any, Final

from libs.events.contracts import Event, catalogue
from libs.events.docs.examples import path_of
from libs.events.docs.schemas import schema, schema_path, sentence
from libs.events.topics import TOPICS, Topic

MADE: Final = "<!-- Made by `python -m libs.events.docs` from {source}. Changes belong there. -->\n\n"

TOPICS_HEAD: Final = """# Topics

Every event of an aggregate travels on one topic, so that the events of one key stay in the order in which they were
committed. A partition count is fixed at birth: adding one later would move keys to other partitions. Each producer
numbers the records of a partition without gaps; a consumer that misses a number stops.

| topic | producer | consumers | key | partitions | kept | events (newest version) |
|---|---|---|---|---|---|---|
"""

EVENTS_HEAD: Final = """# Events

Records are CloudEvents 1.0 in JSON (structured mode). `id` derives from what the event means, so a retry mints the same
one; `sequence` numbers the records of a partition; `epoch` counts restores of the producer's database; `dataschema`
names type and version. Nothing personal is on the bus: people are opaque ids. Readers ignore fields they do not know.
Amounts are whole rupiah, as strings above 2^53 - 1. Times are programme time.
"""


def topics_page() -> str:
    return MADE.format(source="libs/events/topics.toml") + TOPICS_HEAD + "".join(map(_topic_row, TOPICS.values()))


def _topic_row(topic: Topic) -> str:
    kept = "for ever" if topic.retention_days is None else f"{topic.retention_days} days"
    events = ", ".join(f"[{kind}](events.md#{kind}) {version}" for kind, version in topic.events.items())
    consumers = ", ".join(topic.consumers)
    cells = (f"`{topic.name}`", topic.producer, consumers, f"`{topic.key}`", str(topic.partitions), kept, events)
    return f"| {' | '.join(cells)} |\n"


def events_page() -> str:
    parts = [MADE.format(source="libs/events/contracts.py"), EVENTS_HEAD]
    contracts = catalogue()
    for topic in TOPICS.values():
        parts.append(f"\n## Topic `{topic.name}`\n\nFrom {topic.producer} to {' and '.join(topic.consumers)}.\n")
        parts += [_event(contracts[kind]) for kind in topic.events]
    return "".join(parts)


def _event(contract: type[Event]) -> str:
    told, notes = schema(contract), comments(contract)
    required = told.get("required", ())
    rows = [
        f"| `{name}` | {_form(field)} | {'yes' if name in required else 'no'} | {notes.get(name, '')} |\n"
        for name, field in told["properties"].items()
    ]
    meaning = ", ".join(f"`{field}`" for field in contract.MEANING)
    example = json.dumps(json.loads(path_of(contract).read_text()), indent=2, ensure_ascii=False)
    return (
        f"\n### {contract.TYPE}\n\n{sentence(contract)}\n\n"
        f"Version {contract.VERSION} · key `{contract.KEY}` · id from type, {meaning} · "
        f"[schema](../libs/events/schemas/{schema_path(contract).name})\n\n"
        f"| field | form | always there | |\n|---|---|---|---|\n{''.join(rows)}\n"
        f"```json\n{example}\n```\n"
    )


def comments(contract: type[Event]) -> dict[str, str]:
    """What stands behind the fields of a contract, and of the contracts it builds on, as comments."""
    found: dict[str, str] = {}
    for cls in reversed(contract.__mro__):
        if issubclass(cls, Event):
            found |= _comments_of(inspect.getsource(cls))
    return found


def _comments_of(source: str) -> dict[str, str]:
    """The comments inside each field's definition, on however many lines it stands."""
    lines, (body,) = source.splitlines(), ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for part in body.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            own = lines[part.lineno - 1 : part.end_lineno]
            if notes := [line.split("#", 1)[1].strip() for line in own if "#" in line]:
                found[part.target.id] = " ".join(notes)
    return found


def _form(field: dict[str, Any]) -> str:
    """A field's schema in a few words."""
    if choices := field.get("enum"):
        return " or ".join(f"`{choice}`" for choice in choices)
    if "anyOf" in field:
        kinds = [part.get("type") for part in field["anyOf"]]
        return "rupiah" if kinds == ["integer", "string"] else " or ".join(map(str, kinds))
    if field.get("type") == "array":
        items = field["items"]
        return f"list of {items['$ref'].rsplit('/', 1)[-1] if '$ref' in items else items['type']}"
    pattern, kind = field.get("pattern"), str(field.get("type"))
    known = {"^[0-9a-f]{32}$": "opaque id", "^[0-9]{2}$": "province code", "^[0-9a-f]{64}$": "SHA-256, hexadecimal"}
    if pattern in known:
        return known[pattern]
    return "time" if field.get("format") == "date-time" else kind
