"""The public figures of 2020, and what a replay at 1:SCALE makes of them.

Copies of the figures with their sources lie in `data/`. What they leave out is filled by a rule; `RULES` states each
in Indonesian and English, and the report prints them. Counts are people unless a name says otherwise.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parent / "data"
PROGRAMME: Final = "prakerja-2020"
RECOVERY_WAVE: Final = 11
WAVES: Final = range(1, RECOVERY_WAVE + 1)

LAST_WAVE_HOURS: Final = 128
"""How long the intake of wave 10 is open, by the programme file."""
RECOVERY_HOURS: Final = 56
"""How long that of the recovery wave is, by this replay's calendar."""

RULES: Final = (
    (
        "Jumlah pendaftar sebuah gelombang yang tidak diumumkan dihitung lurus di antara dua gelombang terdekat yang "
        "diumumkan; gelombang 11 menarik sebanyak gelombang 10 per hari.",
        "Applicants of a wave that were not published lie on a straight line between the nearest waves that were; "
        "wave 11 draws as many a day as wave 10.",
    ),
    (
        "Pendaftar akun sesudah gelombang 1 dibagi ke gelombang 2-10 menurut jumlah pendaftar gelombangnya.",
        "People who registered after wave 1 are spread over waves 2 to 10 in proportion to the wave's applicants.",
    ),
    (
        "Yang tidak terpilih ikut lagi di gelombang berikutnya; sisanya orang yang baru pertama kali ikut.",
        "Whoever was not drawn joins the next wave again; the rest of its applicants join for the first time.",
    ),
    (
        "Pembagian provinsi menurut penduduk Sensus 2020; prioritas: 143.000 dari 9.543.000 pendaftar (KPK, 2020).",
        "Provinces by population of the 2020 census; priority: 143,000 of 9,543,000 applicants (KPK, 2020).",
    ),
    (
        "Gelombang 10 dan 11 kehilangan bagian peserta yang sama dengan gelombang 9 karena tidak membeli pelatihan.",
        "Waves 10 and 11 lose the share of members of wave 9 for not buying a course in time.",
    ),
    (
        "Gelombang 11 hanya memakai kursi yang dicabut; jadwalnya dalam peragaan ini 2-5 November 2020.",
        "Wave 11 has revoked seats only; in this replay it runs from 2 to 5 November 2020.",
    ),
    (
        "Salah ketik: 2 dari 40 juta pendaftar; sebanyak itu lagi salah ketik lalu memperbaikinya.",
        "Typing errors lost 2 of 40 million registrants; as many again mistype and repair it.",
    ),
    (
        "Pembayaran bermasalah: 34.000 dari 680.880 peserta gelombang 1-3, dibagi rata atas sebab yang diberitakan.",
        "Payouts in trouble: 34,000 of the 680,880 members of waves 1 to 3, split evenly over the published reasons.",
    ),
    (
        "Saluran bayar: BNI, OVO, LinkAja dan GoPay sama besar; satu di antaranya bank.",
        "Rails: BNI, OVO, LinkAja and GoPay carry equal shares; one of them is a bank.",
    ),
    (
        "Tanpa angka resmi: 1 % masuk daftar hitam, 5 % menerima bantuan lain, 1 % mundur sebelum ditutup, 1 % tidak "
        "memenuhi syarat; 15 % berasal dari keluarga berdua, 6 % dari keluarga bertiga.",
        "Without any published figure: 1 % blacklisted, 5 % on other aid, 1 % withdraw before the close, 1 % are not "
        "eligible; 15 % come from families of two applicants, 6 % from families of three.",
    ),
)

BLACKLISTED_SHARE: Final = 0.01
OTHER_AID_SHARE: Final = 0.05
WITHDRAW_SHARE: Final = 0.01
BARRED_SHARE: Final = 0.01
PAIR_SHARE: Final = 0.15
TRIPLE_SHARE: Final = 0.06


@dataclass(frozen=True, slots=True)
class Province:
    """A province of 2020: Kemendagri code, name, and its share of the population (all shares add up to 1)."""

    code: str
    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Stage:
    """People of one wave by how far they come: registered, e-mail confirmed, NIK verified."""

    registered: int
    confirmed: int
    verified: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a replay aims at, already divided by `scale`."""

    scale: int
    provinces: tuple[Province, ...]
    published: Mapping[str, int]
    arrivals: Mapping[int, Stage]
    applicants: Mapping[int, int]
    seats: Mapping[int, int]
    revoked_share: Mapping[int, float]
    priority_share: float
    mistyped: int
    finished_share: float
    unpaid_share: float
    trouble_share: float

    def scaled(self, name: str) -> int:
        """A published count at this scale."""
        return rounded(self.published[name], self.scale)


def rounded(count: int, scale: int) -> int:
    """`count` / `scale`, half up, in whole numbers."""
    return (2 * count + scale) // (2 * scale)


def largest_remainder(total: int, weights: Sequence[float]) -> list[int]:
    """Split `total` in proportion to `weights`; the parts always add up to it. Ties go to the earlier weight."""
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    parts = [int(part) for part in exact]
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts


def interpolated(known: Mapping[int, int], numbers: Sequence[int]) -> dict[int, int]:
    """A value for each number: the known one, the straight line between neighbours, or the last known one."""
    told = sorted(known)
    values = {}
    for number in numbers:
        below = max(other for other in told if other <= number)
        above = min((other for other in told if other >= number), default=below)
        run = above - below
        values[number] = known[below] + ((known[above] - known[below]) * (number - below) // run if run else 0)
    return values


def load(scale: int) -> Figures:
    """Read the copies and work out a replay at 1:`scale`."""
    waves = {int(row["wave"]): row for row in _rows("waves.csv") if row["year"] == "2020"}
    published = {row["name"]: int(row["count"]) for row in _rows("funnel_2020.csv")}
    known = {number: int(row["applicants"]) for number, row in waves.items() if row["applicants"]}
    seats = {number: int(row["quota"] or row["accepted"] or 0) for number, row in waves.items()}
    applicants = interpolated(known, WAVES)
    applicants[RECOVERY_WAVE] = applicants[RECOVERY_WAVE - 1] * RECOVERY_HOURS // LAST_WAVE_HOURS
    accepted = sum(seats[number] for number in range(1, 9))
    early, late = published["revoked_waves_1_to_8"] / accepted, published["revoked_wave_9"] / seats[9]
    millions = [float(row["population_millions_2020"]) for row in _rows("provinces_2020.csv")]
    return Figures(
        scale=scale,
        provinces=tuple(
            Province(row["code"], row["name"], own / sum(millions))
            for row, own in zip(_rows("provinces_2020.csv"), millions, strict=True)
        ),
        published=published,
        arrivals=_arrivals(published, applicants, scale),
        applicants={number: rounded(count, scale) for number, count in applicants.items()},
        seats={number: rounded(count, scale) for number, count in seats.items()},
        revoked_share={number: early if number <= 8 else late for number in WAVES},
        priority_share=published["listed_laid_off_applied"]
        / (published["listed_laid_off_applied"] + published["others_applied"]),
        mistyped=rounded(published["lost_to_typing_errors"], scale),
        finished_share=published["finished"] / published["bought"],
        unpaid_share=1 - published["paid"] / published["finished"],
        trouble_share=published["stuck_payouts"] / sum(int(waves[number]["accepted"]) for number in (1, 2, 3)),
    )


def _arrivals(published: Mapping[str, int], applicants: Mapping[int, int], scale: int) -> dict[int, Stage]:
    later = range(2, RECOVERY_WAVE)
    weights = [float(applicants[number]) for number in later]
    stages = ("registered", "confirmed", "verified")
    first = [rounded(published[f"wave_1_{stage}"], scale) for stage in stages]
    rest = [
        largest_remainder(rounded(published[stage], scale) - own, weights)
        for stage, own in zip(stages, first, strict=True)
    ]
    arrivals = {1: Stage(*first)}
    for index, number in enumerate(later):
        arrivals[number] = Stage(*(parts[index] for parts in rest))
    arrivals[RECOVERY_WAVE] = Stage(0, 0, 0)
    return arrivals


def names(kind: str) -> tuple[str, ...]:
    """Given or family names to make people of."""
    return tuple(row["name"] for row in _rows("names.csv") if row["kind"] == kind)


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))
