"""The harness itself: ratios are paired, the page says what the files say, and every contestant of ours can run."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deploy.local.bus import Cluster
from deploy.local.programs import SERVICES
from tests.bench import consumers, pairs, plots, relays
from tests.bench.conftest import MakePlace
from tests.bench.pairs import Ratio, Report
from tests.bench.projections import PROJECTIONS
from tests.bench.records import Meter, applications
from tests.bench.test_bench_consumer import measure as measure_consumers
from tests.bench.test_bench_rebuild import measure as measure_rebuild
from tests.bench.test_bench_rebuild import place_of
from tests.bench.test_bench_relay import measure as measure_relays
from tests.bench.test_bench_steady import as_sent, drawn, growth, nearly_full
from tests.bench.world import Failed, durability, fill_outbox, fill_topic, turn


async def test_contestants_take_turns() -> None:
    order: list[str] = []

    def contestant(name: str) -> pairs.Run:
        async def run() -> float:
            order.append(name)
            return float(len(order))

        return run

    figures = await pairs.take_turns({"a": contestant("a"), "b": contestant("b")}, 3)
    assert order == ["a", "b"] * 3
    assert figures == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_a_ratio_is_taken_within_its_round() -> None:
    # In the second round the machine was ten times slower for both: the ratio does not know.
    told = pairs.paired([200, 20, 300], [100, 10, 100])
    assert (told["median"], told["min"], told["max"], told["pairs"]) == (2, 2, 3, 3)


def test_the_first_batch_only_starts_the_clock() -> None:
    meter = Meter(30)
    assert not meter.count(10)
    with pytest.raises(ValueError, match="one batch"):
        meter.rate()
    meter.begun = 0.0
    assert not meter.count(10)
    assert meter.count(10)
    meter.begun, meter.ended = 0.0, 2.0
    assert meter.rate() == 10


def test_a_report_becomes_json_a_plot_and_a_page(tmp_path: Path) -> None:
    wanted = {"relay_vs_x": Ratio("ours", "x", 3), "relay_vs_y": Ratio("ours", "y", 1)}
    report = Report("relay", "The relay", "events/s", {"fsync": "on"}, {"ours": [4] * 5, "x": [1, 2, 2, 1, 1]}, wanted)
    pairs.save(report, pairs.machine("18", "4"), tmp_path)
    told = json.loads((tmp_path / "relay.json").read_text())
    assert told["machine"]["cores"]
    assert told["ratios"] == {"relay_vs_x": {"median": 4, "min": 2, "max": 4, "pairs": 5, "each": [4, 2, 2, 4, 4]}}
    ElementTree.fromstring((tmp_path / "relay.svg").read_text())
    page = (tmp_path / "README.md").read_text()
    assert "| relay_vs_x | 4.00 | 2.00 – 4.00 | 5 | ≥ 3 | met |" in page
    assert "fsync=on" in page


def test_few_pairs_give_no_verdict(tmp_path: Path) -> None:
    report = Report(
        "relay", "The relay", "events/s", {}, {"ours": [9], "x": [1]}, {"relay_vs_x": Ratio("ours", "x", 3)}
    )
    pairs.save(report, {}, tmp_path)
    assert "| ≥ 3 | too few pairs to say |" in (tmp_path / "README.md").read_text()


def test_a_ratio_that_is_not_reached_is_said_to_be_so(tmp_path: Path) -> None:
    wanted = {"relay_vs_x": Ratio("ours", "x", 10)}
    pairs.save(Report("relay", "The relay", "events/s", {}, {"ours": [9] * 5, "x": [1] * 5}, wanted), {}, tmp_path)
    assert "| ≥ 10 | **not met** |" in (tmp_path / "README.md").read_text()


def test_a_line_begins_at_zero() -> None:
    drawn = plots.lines("Lag", [0, 1, 2], [plots.Line("lag", [0, 5, 10], "events")])
    assert "at most 10 events" in drawn
    ElementTree.fromstring(drawn)


async def test_the_contestants_run(where: MakePlace, kafka: Cluster) -> None:
    """Tiny sizes: whether they run at all, not how fast."""
    at = where("probe", relays.TOPIC, "waves", "training-completed")
    settings = await durability(at, kafka, relays.TOPIC)
    expected = {"synchronous_commit": "on", "fsync": "on", "acks": "all", "idempotence": "on"}
    assert {name: settings[name] for name in expected} == expected
    figures = await measure_relays(at, kafka, 3_000, 1_500, 1)
    assert all(value > 0 for values in figures.values() for value in values)
    await fill_topic(where("probe", relays.TOPIC), applications(12_000))
    names = ("ours", "raw_model", "ours_durable", "transaction_per_message")
    figures = await measure_consumers(
        at, {name: 12_000 if name != "transaction_per_message" else 300 for name in names}, 1
    )
    assert all(value > 0 for values in figures.values() for value in values)
    with pytest.raises(Failed, match="AttributeError"):
        await turn("relays:nobody", at)
    assert consumers.TOPIC == relays.TOPIC


@pytest.mark.slow
async def test_steady_work_runs(where: MakePlace) -> None:
    at = where("probe", relays.TOPIC, "waves", "training-completed")
    await fill_outbox(at, applications(2_000))
    await as_sent(at)
    told = await turn("steady:backlog", at, seconds=1, rate=400, rows=2_000, hold=True)
    assert told["rate"] > 0
    told = await turn("steady:latency", at, seconds=3, rate=400)
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]


@pytest.mark.slow
async def test_a_soak_applies_everything_and_turns_the_outbox_over(where: MakePlace) -> None:
    at, reader = where("probe", relays.TOPIC, "waves", "training-completed"), where("probe")
    await consumers.fresh(reader)
    await nearly_full(at, 400)
    told = await turn("steady:soak", at, consumer_url=reader.owner_url, seconds=4, rate=400)
    assert told["applied"] == told["written"] == 1_600
    assert told["samples"][-1]["outbox_partitions"] >= 3
    assert growth(told["samples"], "memory_bytes") > 0
    ElementTree.fromstring(drawn(told["samples"]))


def test_every_service_has_a_projection_to_rebuild() -> None:
    assert {of.service for of in PROJECTIONS.values()} == set(SERVICES)


@pytest.mark.slow
@pytest.mark.parametrize("projection", PROJECTIONS)
async def test_a_projection_is_rebuilt_the_same(where: MakePlace, projection: str) -> None:
    figures = await measure_rebuild(place_of(where, projection), projection, 11_000, 1)
    assert all(value > 0 for values in figures.values() for value in values)
