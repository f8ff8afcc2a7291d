"""A table of seats that somebody in charge has decreed, line by line: `11,priority,120`. It stands in place of `split`.

A stratum that no line names has no seats. A table that contradicts itself, the provinces or the wave is refused as a
whole, with its line and the reason.
"""

import re
from collections.abc import Sequence
from typing import Final

from libs.events.refusal import Refusal
from services.selection.domain.quotas import TIERS, Province, Stratum

TABLE_CHARACTERS_MAX: Final = 8_000
"""Far more than a line for every stratum needs."""
WHOLE: Final = re.compile(r"-?[0-9]{1,9}")


def decree(table: str, seats: int, provinces: Sequence[Province]) -> dict[Stratum, int] | Refusal:
    """The seats of every stratum by a table of lines `province,tier,seats`; `seats` is how many the wave has."""
    codes = {place.code for place in provinces}
    quotas = {Stratum(code, tier): 0 for code in sorted(codes) for tier in TIERS}
    named = set[Stratum]()
    for number, line in enumerate(table.splitlines(), 1):
        fields = [field.strip() for field in line.split(",")]
        if fields == [""]:
            continue
        if len(fields) != 3 or not WHOLE.fullmatch(fields[2]):
            return _wrong(
                "quota-line-unreadable", number, "tulis kode provinsi, kelompok, dan jumlah kursi: 11,priority,120",
                "write province code, tier and number of seats: 11,priority,120",
            )  # fmt: skip
        code, tier, count = fields[0], fields[1], int(fields[2])
        stratum = next((each for each in quotas if each == (code, tier)), None)
        if code not in codes:
            return _wrong(
                "quota-unknown-province", number, "provinsi ini tidak dikenal; pakai kode Kemendagri dua angka",
                "this province is not known; use its Kemendagri code of two digits",
            )  # fmt: skip
        if stratum is None:
            return _wrong(
                "quota-unknown-tier", number, "kelompok ini tidak dikenal; tulis priority atau public",
                "this tier is not known; write priority or public",
            )  # fmt: skip
        if stratum in named:
            return _wrong(
                "quota-stratum-twice", number, "provinsi dan kelompok ini sudah disebut; gabungkan kedua barisnya",
                "this province and tier were named before; make one line of both",
            )  # fmt: skip
        if count < 0:
            return _wrong(
                "quota-negative", number, "jumlah kursi tidak boleh negatif", "the number of seats can not be negative"
            )
        named.add(stratum)
        quotas[stratum] = count
    total = sum(quotas.values())
    if total != seats:
        return Refusal(
            "quotas-differ-from-seats",
            422,
            f"Jumlah kursi dalam tabel adalah {total}, sedangkan gelombang ini punya {seats} kursi. Samakan keduanya.",
            f"The seats of the table add up to {total}, but the wave has {seats}. Make them the same.",
            "quotas",
        )
    return quotas


def _wrong(code: str, number: int, indonesian: str, english: str) -> Refusal:
    return Refusal(
        code, 422, f"Tabel kuota, baris {number}: {indonesian}.", f"Quota table, line {number}: {english}.", "quotas"
    )
