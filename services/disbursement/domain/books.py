"""What people decide about a programme's money: the grants of the State, the close of its year, and what a member's
reservation is."""

from dataclasses import dataclass
from datetime import datetime

from libs.events import ids
from libs.events.contracts import MoneyReserved, ReservationReleased, SelectedInBatch
from libs.events.programme import Programme, last_moment
from libs.events.refusal import Refusal
from services.disbursement.domain.batches import SAME_PERSON


@dataclass(frozen=True, slots=True)
class Reserved:
    """A member, what is reserved for them now, in rupiah, and how many times a rest was released before."""

    citizen_id: str
    programme: str
    wave: int
    province: str
    rupiah: int
    releases: int = 0


@dataclass(frozen=True, slots=True)
class Appropriation:
    appropriation_id: str
    programme: str
    amount_rupiah: int
    maker_person: str
    approver_person: str | None

    @property
    def state(self) -> str:
        return "approved" if self.approver_person else "proposed"


@dataclass(frozen=True, slots=True)
class YearEnd:
    programme: str
    maker_person: str
    approver_person: str | None
    done_at: datetime | None

    @property
    def state(self) -> str:
        if self.done_at:
            return "done"
        return "approved" if self.approver_person else "proposed"


def reservation_for(event: SelectedInBatch, rules: Programme) -> Reserved:
    """The most a member can cost: learning credit, incentives and surveys."""
    return Reserved(event.citizen_id, event.programme, event.wave, event.province, rules.benefit.total)


def appropriation_id(programme: str, reference: str) -> str:
    """One grant per budget document."""
    return ids.derive("appropriation", programme, reference)


def reserved(member: Reserved, now: datetime) -> MoneyReserved:
    """What is said when money is set aside for a member."""
    return MoneyReserved(
        citizen_id=member.citizen_id,
        programme=member.programme,
        wave=member.wave,
        province=member.province,
        amount_rupiah=member.rupiah,
        at=now,
    )


def released(member: Reserved, reason: str, now: datetime) -> ReservationReleased:
    """What is said when the rest of a reservation is available again: `revoked` or `year-end`."""
    return ReservationReleased(
        citizen_id=member.citizen_id,
        programme=member.programme,
        wave=member.wave,
        province=member.province,
        amount_rupiah=member.rupiah,
        reason=reason,
        number=member.releases + 1,
        at=now,
    )


def may_grant(rules: Programme | None, closing: YearEnd | None) -> Refusal | None:
    """Why no money can be granted to this programme; None if it can."""
    if rules is None:
        return NO_SUCH_PROGRAMME
    if closing is not None:
        return Refusal(
            "year-closing",
            409,
            "Tahun anggaran program ini sedang atau sudah ditutup, jadi anggaran tidak dapat ditambah.",
            "The year of this programme is being closed or is closed, so no money can be added.",
        )
    return None


def may_approve_grant(grant: Appropriation | None, person: str) -> Refusal | None:
    if grant is None:
        return Refusal(
            "no-such-appropriation",
            404,
            "Anggaran ini tidak ditemukan. Periksa nomornya.",
            "This appropriation was not found. Check its id.",
        )
    return SAME_PERSON if person == grant.maker_person else None


def may_close_year(rules: Programme | None, now: datetime) -> Refusal | None:
    """A year closes after the last payment day (for 2020: 5 March 2021; the rest goes to the treasury, Kompas)."""
    if rules is None:
        return NO_SUCH_PROGRAMME
    if now <= last_moment(rules.payout.last_payment):
        return Refusal(
            "too-early-to-close",
            409,
            "Hari pembayaran terakhir belum lewat. Tutup tahun anggaran setelah hari itu.",
            "The last payment day has not passed. Close the year after that day.",
        )
    return None


def may_approve_close(closing: YearEnd | None, person: str) -> Refusal | None:
    if closing is None:
        return NO_YEAR_END
    return SAME_PERSON if person == closing.maker_person else None


NO_YEAR_END = Refusal(
    "year-end-not-proposed",
    404,
    "Penutupan tahun belum diajukan. Ajukan dahulu oleh orang lain.",
    "The close of the year was not proposed. Have another person propose it first.",
)
NO_SUCH_PROGRAMME = Refusal(
    "no-such-programme",
    404,
    "Program ini tidak dikenal. Periksa namanya.",
    "This programme is unknown. Check its name.",
    "programme",
)
