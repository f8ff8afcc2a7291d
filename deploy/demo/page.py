"""The report as one HTML file: no script, nothing fetched, readable on a cheap phone and by a screen reader."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

from deploy.demo.charts import DARK, GREY, LIGHT, WARM, Row, bars, columns, number, parts_of_whole, rupiah
from deploy.demo.checks import Check
from deploy.demo.figures import RULES
from libs.events.clock import JAKARTA

STYLE: Final = """
:root { color-scheme: light; }
body { font: 17px/1.5 system-ui, sans-serif; color: #1f2937; background: #fff; margin: 0 auto; max-width: 50rem;
  padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; border-top: 4px solid #0b4f8a; padding-top: .6rem; }
[lang=en] { color: #4b5563; font-size: .88em; font-weight: normal; }
h1 [lang=en], h2 [lang=en] { display: block; }
.verdict { padding: .8rem 1rem; border-left: 8px solid #166534; background: #f0fdf4; font-weight: 600; }
.verdict.bad { border-color: #b91c1c; background: #fef2f2; }
.plot { overflow-x: auto; } .plot svg { width: 100%; min-width: 34rem; height: auto; display: block; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d1d5db; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ok { color: #166534; font-weight: 600; } .no { color: #b91c1c; font-weight: 600; }
ul.checks { list-style: none; padding: 0; } ul.checks li { padding: .3rem 0; border-bottom: 1px solid #e5e7eb; }
ol.story { border-left: 3px solid #0b4f8a; padding-left: 1.2rem; list-style: none; } ol.story li { margin: .5rem 0; }
time { color: #4b5563; font-size: .88em; display: block; }
summary { cursor: pointer; padding: .5rem 0; } summary:focus-visible { outline: 3px solid #c2571a; }
"""

MONEY: Final = (("paid", "Dibayar (paid)", DARK), ("returned", "Kembali ke kas negara (returned)", WARM),
                ("reserved", "Dicadangkan (reserved)", LIGHT), ("available", "Tersedia (available)", GREY))  # fmt: skip
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des")
PURPOSES: Final = {"incentive": "Insentif", "survey": "Survei", "course": "Biaya pelatihan"}
REASONS: Final = {
    "lost-draw": "kalah undian", "household-cap": "batas keluarga", "other-aid": "bantuan lain",
    "blacklist": "daftar hitam",
    "already-member": "sudah peserta",
}  # fmt: skip


def render(told: Mapping[str, Any], checks: Sequence[Check], story: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """The whole page."""
    scale = number(told["scale"])
    body = "".join(
        (
            f"<h1>Kartu Prakerja 2020, diputar ulang 1:{scale}"
            f'<span lang="en">The 2020 programme, replayed at 1:{scale} with synthetic people</span></h1>',
            _verdict(checks, seconds),
            _checks(checks),
            _funnel(told),
            _waves(told),
            _provinces(told),
            _money(told),
            _payouts(told),
            _story(story),
            _rules(),
            _run(told),
        )
    )
    return (
        '<!doctype html><html lang="id"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Gelombang: program 2020 pada 1:{scale}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _heading(id: str, en: str) -> str:
    return f'<h2>{escape(id)}<span lang="en">{escape(en)}</span></h2>'


def _both(id: str, en: str) -> str:
    return f'<p>{escape(id)}<br><span lang="en">{escape(en)}</span></p>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]], caption: str) -> str:
    """Whole numbers stand right, words left; the first cell of a row is its head."""
    head = "".join(f'<th scope="col"{"" if index == 0 else " class=n"}>{name}</th>' for index, name in enumerate(heads))
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td class=n>{number(cell) if isinstance(cell, int) else cell}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        f"<details><summary>{escape(caption)}</summary>"
        f'<div class=wide tabindex=0 role=region aria-label="{escape(caption)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div></details>"
    )


def _plot(svg: str, name: str) -> str:
    return f'<div class=plot tabindex=0 role=region aria-label="{escape(name)}">{svg}</div>'


def _verdict(checks: Sequence[Check], seconds: float) -> str:
    held = sum(check.ok for check in checks)
    kind, end = (
        ("verdict", "berhasil") if held == len(checks) else ("verdict bad", "berhasil; lihat yang gagal di bawah")
    )
    return (
        f'<p class="{kind}">{held} dari {len(checks)} pemeriksaan {end}. Waktu: {seconds:.0f} detik.'
        f'<br><span lang="en">{held} of {len(checks)} checks hold, after {seconds:.0f} seconds.</span></p>'
    )


def _checks(checks: Sequence[Check]) -> str:
    lines = []
    for check in checks:
        word = "<span class=ok>Ya</span>" if check.ok else "<span class=no>Tidak</span>"
        problems = "".join(f"<br><code>{escape(problem)}</code>" for problem in check.problems)
        look = f"<br>Lihat: {escape(check.look)}" if not check.ok else ""
        lines.append(
            f'<li>{word} – {escape(check.id)}<br><span lang="en">{escape(check.en)}</span>{problems}{look}</li>'
        )
    return _heading("Yang diperiksa", "What was checked") + f"<ul class=checks>{''.join(lines)}</ul>"


def _funnel(told: Mapping[str, Any]) -> str:
    stages = told["funnel"]
    rows = [Row(stage["id"], stage["replayed"], stage["expected"]) for stage in stages]
    plot = bars(
        "Corong pendaftaran 2020", "Dari akun sampai insentif: batang = putar ulang, garis = angka resmi.", rows, 220
    )
    table = _table(
        ["Tahap", "Angka resmi", "Menurut skala", "Putar ulang"],
        [
            (
                f'{escape(stage["id"])} <span lang="en">{escape(stage["en"])}</span>',
                *("–" if stage[key] is None else stage[key] for key in ("published", "expected", "replayed")),
            )
            for stage in stages
        ],
        "Angka corong (funnel figures)",
    )
    words = _both(
        "Batang: putar ulang ini. Garis oranye: angka resmi tahun 2020 dibagi skala. Keduanya sampai 30 Oktober, "
        "sebelum gelombang 11.",
        "Bars: this replay. Orange line: the official figure of 2020 divided by the scale. Both end on 30 October, "
        "before wave 11.",
    )
    return _heading("Corong pendaftaran", "The funnel") + words + _plot(plot, "Corong") + table


def _waves(told: Mapping[str, Any]) -> str:
    waves = told["waves"]
    series = [
        ("Pendaftar (applicants)", LIGHT, [wave["applicants"] for wave in waves]),
        ("Kursi (seats)", WARM, [wave["seats"] for wave in waves]),
        ("Terpilih (winners)", DARK, [wave["winners"] for wave in waves]),
    ]
    plot = columns("Pendaftar, kursi dan pemenang tiap gelombang", "Tiga batang untuk setiap gelombang.",
                   [str(wave["wave"]) for wave in waves], series)  # fmt: skip
    rows = []
    for wave in waves:
        reasons = ", ".join(
            f"{REASONS.get(name, name)} {number(count)}" for name, count in wave["not_selected"].items()
        )
        keys = ("applicants", "seats", "recycled_seats", "winners", "priority_winners", "revoked")
        rows.append((wave["wave"], *(wave[key] for key in keys), escape(reasons)))
    heads = [
        "Gelombang",
        "Pendaftar",
        "Kursi",
        "Daur ulang",
        "Terpilih",
        "Prioritas",
        "Dicabut",
        "Tidak terpilih karena",
    ]
    return (
        _heading("Gelombang", "The waves")
        + _plot(plot, "Gelombang")
        + _table(heads, rows, "Angka tiap gelombang (figures by wave)")
    )


def _provinces(told: Mapping[str, Any]) -> str:
    provinces = sorted(told["provinces"], key=lambda province: -int(province["winners"]))
    rows = [Row(province["name"], province["winners"], province["by_population"]) for province in provinces]
    plot = bars("Pemenang per provinsi", "Batang = terpilih, garis = bagian menurut penduduk.", rows, 220)
    words = _both(
        "Batang: terpilih. Garis oranye: bagian menurut penduduk. Kursi yang tersisa di satu provinsi dipakai "
        "provinsi lain.",
        "Bars: selected. Orange line: the share by population. Seats left over in one province go to the others.",
    )
    table = _table(
        ["Provinsi", "Terpilih", "Menurut penduduk", "Dibayar"],
        [(escape(p["name"]), p["winners"], p["by_population"], rupiah(p["paid_rupiah"])) for p in provinces],
        "Angka tiap provinsi (figures by province)",
    )
    return _heading("Provinsi", "Provinces") + words + _plot(plot, "Provinsi") + table


def _money(told: Mapping[str, Any]) -> str:
    money, spent = told["money"], told["spent"]
    whole = parts_of_whole("Pagu dan ke mana perginya", "Bagian pagu yang dibayar, kembali, dicadangkan, tersedia.",
                           [(name, colour, money[part]) for part, name, colour in MONEY])  # fmt: skip
    months = spent["by_month"]
    monthly = columns("Dibayar tiap bulan", "Rupiah yang dibayar bank dan dompet elektronik tiap bulan.",
                      [_month(month) for month in months], [("Dibayar (paid)", DARK, list(months.values()))],
                      unit="Rp")  # fmt: skip
    rows = [(PURPOSES.get(name, name), rupiah(amount)) for name, amount in spent["by_purpose"].items()]
    rows += [(f"Lewat {escape(rail)}", rupiah(amount)) for rail, amount in spent["by_rail"].items()]
    rows += [(f"Dilepas ({escape(why)})", rupiah(amount)) for why, amount in spent["released"].items()]
    return (
        _heading("Uang", "Money")
        + _both(f"Pagu: {rupiah(money['appropriation'])}.", "The appropriation, and where it went.")
        + _plot(whole, "Pagu")
        + _plot(monthly, "Dibayar tiap bulan")
        + _table(["Tujuan", "Jumlah"], rows, "Rincian uang (money in detail)")
    )


def _payouts(told: Mapping[str, Any]) -> str:
    payouts = told["payouts"]
    rows = [Row(reason, count) for reason, count in payouts["failed_by_reason"].items()]
    words = _both(
        f"{number(payouts['failed_or_returned'])} pembayaran pernah gagal atau kembali; {number(payouts['repaired'])} "
        f"di antaranya sampai sesudah diperbaiki. Total terbayar: {number(payouts['paid'])}.",
        f"{number(payouts['failed_or_returned'])} payouts failed or came back; {number(payouts['repaired'])} "
        f"of them arrived after a repair. Paid in all: {number(payouts['paid'])}.",
    )
    plot = (
        _plot(bars("Percobaan gagal menurut sebab", "Jumlah percobaan yang ditolak, per sebab.", rows), "Sebab")
        if rows
        else ""
    )
    return _heading("Pembayaran yang bermasalah", "Payouts in trouble") + words + plot


def _story(story: Sequence[Mapping[str, Any]]) -> str:
    lines = "".join(
        f"<li><time>{_moment(entry['at'])}</time>{escape(str(entry['id']))}<br>"
        f'<span lang="en">{escape(str(entry["en"]))}</span></li>'
        for entry in story
    )
    return (
        _heading("Satu warga, dari awal sampai akhir", "One citizen, from beginning to end")
        + f"<ol class=story>{lines}</ol>"
    )


def _month(month: str) -> str:
    """`2020-04` as Apr 20."""
    return f"{MONTHS[int(month[5:]) - 1]} {month[2:4]}"


def _moment(text: str) -> str:
    """A time as it is read in Jakarta: 11 Apr 2020, 17.00 WIB."""
    at = datetime.fromisoformat(text).astimezone(JAKARTA)
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}, {at:%H.%M} WIB"


def _rules() -> str:
    lines = "".join(f'<li>{escape(id)}<br><span lang="en">{escape(en)}</span></li>' for id, en in RULES)
    sources = _both(
        "Angka resmi dan sumbernya: deploy/demo/data. Semua orang di sini rekaan, juga nama dan nomornya.",
        "Official figures and their sources: deploy/demo/data. Nobody here is real; every name and number is made up.",
    )
    return _heading(
        "Yang tidak diumumkan, dan aturan pengisinya", "What was never published, and the rules that fill it"
    ) + (f"<ul>{lines}</ul>{sources}")


def _run(told: Mapping[str, Any]) -> str:
    run = told["run"]
    rows: list[tuple[str, Any]] = [
        ("Permintaan HTTP (requests)", run["requests"]),
        ("Diulang (retries)", run["retries"]),
        ("Peristiwa di bus (events)", run["records"]),
        ("Terkirim ulang (repeats)", run["repeats"]),
        ("Bita yang dipindai (bytes scanned)", run["scanned_bytes"]),
        ("Dimatikan paksa (killed)", escape(", ".join(run["killed"])) or "–"),
    ]
    rows += [(f"Ditolak: {escape(code)} (refused)", count) for code, count in run["refusals"].items()]
    rows += [(f"<code>{escape(kind)}</code>", count) for kind, count in run["events"].items()]
    return _heading("Jalannya putar ulang", "The run itself") + _table(["Apa", "Jumlah"], rows, "Angka (figures)")
