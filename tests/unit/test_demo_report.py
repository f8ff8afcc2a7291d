"""The report: every figure in it, readable without script, by a screen reader too, and safe to open."""

import re
from html import escape
from typing import Any
from xml.etree import ElementTree

import pytest

from deploy.demo import charts, page
from deploy.demo.charts import Row
from deploy.demo.checks import Check
from deploy.demo.figures import RULES

HELD = Check("no-gap", "Tanpa celah", "No gap", "the topics", ())
FAILED = Check("books-agree", "Buku cocok", "The books agree", "GET /v1/ledger", ("paid: <b>1</b> rupiah differ",))
STORY = [{"at": "2020-04-17T03:00:00+00:00", "id": "Anda terpilih & selamat.", "en": "You were selected."}]


def told() -> dict[str, Any]:
    stage = {"figure": "registered", "id": "Mendaftar", "en": "Registered", "published": 40_000_000, "expected": 40_000}
    wave = {
        "wave": 1, "applicants": 2_078, "seats": 200, "recycled_seats": 0, "winners": 200, "priority_winners": 12,
        "not_selected": {"lost-draw": 1_800}, "revoked": 15,
    }  # fmt: skip
    money = {"appropriation": 100, "available": 0, "reserved": 0, "in_flight": 0, "paid": 60, "returned": 40}
    province = {"code": "31", "name": "DKI Jakarta", "winners": 9, "by_population": 8, "paid_rupiah": 5_325_000}
    spent = {
        "by_purpose": {"incentive": 60},
        "by_rail": {"bank": 60},
        "by_month": {"2020-05": 60},
        "released": {"revoked": 9},
    }
    payouts = {
        "paid": 4, "failed_by_reason": {"account-closed": 3}, "returned": 1, "failed_or_returned": 3, "repaired": 2,
        "accounts_with_trouble": {"closed": 3},
    }  # fmt: skip
    run = {
        "records": 10, "repeats": 0, "events": {"applied": 10}, "requests": 99, "retries": 1, "killed": ["kafka"],
        "scanned_bytes": 1_000, "refusals": {"no-seats-left": 2},
    }  # fmt: skip
    return {
        "scale": 1000, "seed": "2020", "funnel": [{**stage, "replayed": 40_000}], "waves": [wave],
        "provinces": [province], "money": money, "spent": spent, "payouts": payouts, "run": run,
    }  # fmt: skip


def test_the_page_says_first_whether_everything_held() -> None:
    good = page.render(told(), [HELD], STORY, 101.4)
    assert "1 dari 1 pemeriksaan berhasil" in good
    assert good.index("pemeriksaan berhasil") < good.index("Corong")
    bad = page.render(told(), [HELD, FAILED], STORY, 101.4)
    assert "1 dari 2 pemeriksaan berhasil; lihat yang gagal" in bad
    assert "GET /v1/ledger" in bad


def test_nothing_that_was_told_becomes_markup() -> None:
    bad = page.render(told(), [FAILED], STORY, 1)
    assert "<b>1</b>" not in bad
    assert "&lt;b&gt;1&lt;/b&gt;" in bad
    assert "terpilih &amp; selamat" in bad


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = page.render(told(), [HELD], STORY, 1)
    assert not re.search(r"<script|\son\w+=|<link|<img|@import|url\(|https?://(?!www\.w3\.org)", html)


def test_indonesian_is_the_language_and_english_is_marked_as_such() -> None:
    html = page.render(told(), [HELD], STORY, 1)
    assert '<html lang="id">' in html
    assert '<span lang="en">You were selected.</span>' in html
    for indonesian, english in RULES:
        assert escape(indonesian) in html
        assert escape(english) in html


def test_large_numbers_are_written_as_in_indonesia() -> None:
    assert "40.000.000" in page.render(told(), [HELD], STORY, 1)
    assert charts.rupiah(3_550_000) == "Rp3.550.000"
    assert charts.rupiah_short(5_700_000_000) == "Rp5,7 miliar"
    assert charts.rupiah_short(950) == "Rp950"


PLOTS = {
    "bars": charts.bars("Corong <x>", "Dari & ke", [Row("A & B", 10, 12), Row("nothing", 0)]),
    "columns": charts.columns(
        "Gelombang", "Tiga", ["1", "2"], [("x", charts.DARK, [1, 0]), ("y", charts.WARM, [3, 4])]
    ),
    "columns of money": charts.columns("Bulan", "Uang", ["2020-05"], [("x", charts.DARK, [10**10])], unit="Rp"),
    "parts": charts.parts_of_whole("Pagu", "Bagian", [("Dibayar", charts.DARK, 60), ("Kembali", charts.WARM, 40)]),
    "nothing at all": charts.columns("Kosong", "Tidak ada", [], [("x", charts.DARK, [])]),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_well_formed_and_can_be_read_aloud(name: str) -> None:
    root = ElementTree.fromstring(PLOTS[name])
    title, description = root[0], root[1]
    assert (root.get("role"), title.tag, description.tag) == ("img", "title", "desc")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text
    assert description.text


def test_bars_are_as_long_as_their_values_and_marks_stand_where_they_should() -> None:
    root = ElementTree.fromstring(charts.bars("Dua", "Dua batang", [Row("a", 50, 100), Row("b", 100)], 100))
    first, second = (float(bar.get("width", "0")) for bar in root.iter("rect"))
    assert second == pytest.approx(2 * first)
    mark = next(root.iter("path")).get("d", "")
    assert float(mark[1:].split()[0]) == pytest.approx(100 + second)


def test_two_plots_of_one_page_have_different_names() -> None:
    html = page.render(told(), [HELD], STORY, 1)
    names = re.findall(r'<title id="([^"]+)"', html)
    assert len(names) == len(set(names)) >= 5
