"""The page of truth about the bus holds together."""

from pathlib import Path

import pytest

from libs.events.codec import CATALOGUE
from libs.events.topics import TOPIC_OF, TOPICS, load_topics, read_by, written_by

SERVICES = {"registration", "selection", "training", "disbursement", "finance"}


def test_every_event_has_one_topic_and_the_version_that_its_contract_writes() -> None:
    assert set(TOPIC_OF) == set(CATALOGUE)
    assert {kind: TOPIC_OF[kind].events[kind] for kind in CATALOGUE} == {
        kind: contract.VERSION for kind, contract in CATALOGUE.items()
    }
    assert sum(len(topic.events) for topic in TOPICS.values()) == len(TOPIC_OF)


def test_services_read_and_write_what_the_page_says() -> None:
    assert [topic.name for topic in written_by("training")] == ["training-completed"]
    assert [topic.name for topic in read_by("finance")] == ["incentive-paid"]
    assert written_by("finance") == []
    for topic in TOPICS.values():
        assert {topic.producer, *topic.consumers} <= SERVICES
        assert topic.consumers


def test_defaults_and_exceptions_are_read(tmp_path: Path) -> None:
    page = tmp_path / "topics.toml"
    page.write_text(
        '[defaults]\npartitions = 24\nretention = "for ever"\n'
        '[topics.one]\nproducer = "a"\nconsumers = ["b"]\nkey = "k"\nevents = { x = 1 }\n'
        '[topics.two]\nproducer = "b"\nconsumers = ["a"]\nkey = "k"\nevents = { y = 2 }\n'
        "partitions = 1\nretention = 7\n"
    )
    one, two = load_topics(page).values()
    assert (one.name, one.partitions, one.retention_days, one.events) == ("one", 24, None, {"x": 1})
    assert (two.partitions, two.retention_days, two.lane("anything")) == (1, 7, 0)


@pytest.mark.parametrize(("key", "lane"), [("", 0), ("a", 3), ("123456789", 14)])
def test_the_lane_of_a_key_never_changes(key: str, lane: int) -> None:
    """Another rule would move keys to other lanes, and break the order of every citizen."""
    assert TOPICS["applied"].lane(key) == lane
