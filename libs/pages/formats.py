"""Numbers, money and times as people in Indonesia write them; the second language is English."""

from datetime import datetime
from typing import Final

from libs.pages.reader import ZONES, Reader

DAYS: Final = {
    "id": ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
MONTHS: Final = {
    "id": ("Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September", "Oktober",
           "November", "Desember"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"),
}  # fmt: skip


def number(value: int, language: str = "id") -> str:
    """A whole number with its thousands parted: 40.000 in Indonesian, 40,000 in English."""
    return f"{value:,}" if language == "en" else f"{value:,}".replace(",", ".")


def rupiah(amount: int) -> str:
    """Whole rupiah, the same in both languages: Rp600.000, and a minus sign in front of what is owed."""
    sign = "−" if amount < 0 else ""
    return f"{sign}Rp{number(abs(amount))}"


def percent(share: float, language: str = "id") -> str:
    """A share between 0 and 1 with one decimal: 12,3%."""
    text = f"{share * 100:.1f}%"
    return text if language == "en" else text.replace(".", ",")


def moment(at: datetime, reader: Reader) -> str:
    """A time in the reader's zone: Jumat, 17 April 2020, 10.00 WIB. Raises ValueError for a time without a zone."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone has no place in a page")
    local = at.astimezone(ZONES[reader.zone])
    day, month = DAYS[reader.language][local.weekday()], MONTHS[reader.language][local.month - 1]
    clock = f"{local:%H:%M}" if reader.language == "en" else f"{local:%H.%M}"
    return f"{day}, {local.day} {month} {local.year}, {clock} {reader.zone}"
