"""What a person types about themselves: read, put into one form, and questioned. Nothing here repeats it in a message.

A function gives the value in its one form, or a `Refusal` with what is wrong and how to put it right.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from libs.events.refusal import Refusal

NAME_CHARACTERS_MAX: Final = 100
EMAIL_CHARACTERS_MAX: Final = 254  # RFC 5321, section 4.5.3.1.3: a path of 256 octets with its angle brackets
BIRTH_YEAR_MIN: Final = 1900

# Two-digit Kemendagri codes as of 2020, when Papua had not been divided yet: 34 provinces.
PROVINCES: Final = frozenset(
    {"11", "12", "13", "14", "15", "16", "17", "18", "19", "21"}  # Sumatra
    | {"31", "32", "33", "34", "35", "36", "51", "52", "53"}  # Java, Bali, Nusa Tenggara
    | {"61", "62", "63", "64", "65", "71", "72", "73", "74", "75", "76"}  # Kalimantan, Sulawesi
    | {"81", "82", "91", "92"}  # Maluku, Papua
)


def _wrong(field_name: str, code: str, id: str, en: str) -> Refusal:
    return Refusal(code, 422, id, en, field_name)


NIK_WRONG: Final = _wrong(
    "nik",
    "nik-form",
    "NIK harus 16 angka. Salin NIK persis seperti di KTP atau Kartu Keluarga, tanpa huruf.",
    "The NIK must have 16 digits. Copy it exactly as on your identity card or family card, without letters.",
)
KK_WRONG: Final = _wrong(
    "kk",
    "kk-form",
    "Nomor KK harus 16 angka. Salin nomor di bagian atas Kartu Keluarga.",
    "The family card number must have 16 digits. Copy the number at the top of your family card.",
)
NAME_WRONG: Final = _wrong(
    "name",
    "name-form",
    "Nama harus 1 sampai 100 huruf. Tulis nama lengkap persis seperti di KTP.",
    "The name must have 1 to 100 characters. Write your full name exactly as on your identity card.",
)
EMAIL_WRONG: Final = _wrong(
    "email",
    "email-form",
    "Alamat e-mail tidak lengkap. Tulis seperti nama@contoh.id, tanpa spasi.",
    "The e-mail address is not complete. Write it like name@example.com, without spaces.",
)
PHONE_WRONG: Final = _wrong(
    "phone",
    "phone-form",
    "Nomor ponsel tidak dikenali. Tulis nomor Indonesia yang aktif, diawali 08 atau +628.",
    "The phone number is not a mobile number we know. Write an active Indonesian number that begins with 08 or +628.",
)
BIRTH_DATE_WRONG: Final = _wrong(
    "birth_date",
    "birth-date-form",
    "Tanggal lahir harus berupa tahun-bulan-tanggal, misalnya 1995-04-30.",
    "The date of birth must be year-month-day, for example 1995-04-30.",
)
PROVINCE_WRONG: Final = _wrong(
    "province",
    "province-unknown",
    "Provinsi tidak dikenali. Pilih provinsi tempat tinggal Anda sekarang dari daftar.",
    "The province is not known. Choose the province you live in now from the list.",
)


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a citizen; the phone number in E.164 form."""

    email: str = field(repr=False)
    phone: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who somebody says they are. Only the civil registry can tell whether it is true."""

    nik: str = field(repr=False)
    kk: str = field(repr=False)
    name: str = field(repr=False)
    birth_date: date = field(repr=False)


def nik(text: str) -> str | Refusal:
    """Sixteen digits; groups may be set apart. The serial number begins at 0001; there is no check digit."""
    digits = re.sub(r"[ .-]", "", text)
    return digits if re.fullmatch(r"[0-9]{16}", digits) and digits[-4:] != "0000" else NIK_WRONG


def kk(text: str) -> str | Refusal:
    """The sixteen digits of a family card; groups may be set apart."""
    digits = re.sub(r"[ .-]", "", text)
    return digits if re.fullmatch(r"[0-9]{16}", digits) else KK_WRONG


def name(text: str) -> str | Refusal:
    """A name in Unicode's composed form, with single spaces."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    printable = all(unicodedata.category(character)[0] != "C" for character in plain)
    return plain if printable and 1 <= len(plain) <= NAME_CHARACTERS_MAX else NAME_WRONG


def email(text: str) -> str | Refusal:
    """An address in lower case. Whether it exists is shown by the code that is sent to it."""
    address = text.strip().lower()
    complete = re.fullmatch(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)+", address)
    usable = complete and address.isprintable() and len(address) <= EMAIL_CHARACTERS_MAX
    return address if usable else EMAIL_WRONG


def phone(text: str) -> str | Refusal:
    """An Indonesian mobile number in E.164 form, so that one SIM card can not register twice as 08… and +628…."""
    digits = re.sub(r"[\s().-]", "", text)
    national = re.fullmatch(r"(?:\+?62|0)?(8[0-9]{8,11})", digits, re.ASCII)
    return f"+62{national[1]}" if national else PHONE_WRONG


def province(text: str) -> str | Refusal:
    """The declared domicile. Never read from the NIK, which keeps the place of first issue for life."""
    return text if text in PROVINCES else PROVINCE_WRONG


def birth_date(text: str) -> date | Refusal:
    """A day in ISO 8601 form, not before 1900."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return BIRTH_DATE_WRONG
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return BIRTH_DATE_WRONG
    return day if day.year >= BIRTH_YEAR_MIN else BIRTH_DATE_WRONG


def nik_disagrees(nik: str, born: date) -> bool:
    """Whether the birth date inside a NIK (DDMMYY, day + 40 for women) is another one than declared.

    A birth date that was corrected after the NIK was issued disagrees rightly, so this warns and never bars.
    """
    day, month, year = int(nik[6:8]), int(nik[8:10]), int(nik[10:12])
    return (day - 40 if day > 40 else day, month, year) != (born.day, born.month, born.year % 100)
