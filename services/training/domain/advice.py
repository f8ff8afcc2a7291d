"""What a member should do next, in plain words; Indonesian first, English second. Dates stand beside the sentence."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from services.training.domain.membership import Membership, State


class Sentence(NamedTuple):
    id: str
    en: str


NOT_A_MEMBER: Final = Sentence(
    "Anda belum terpilih. Gabung gelombang berikutnya.", "You have not been selected yet. Join the next wave."
)
BUY_NEXT: Final = Sentence(
    "Beli kursus berikutnya sebelum batas waktu, atau sisa saldo pelatihan hangus.",
    "Buy the next course before the due date, or what is left of your learning credit is forfeited.",
)
NEXT: Final[Mapping[State, Sentence]] = {
    State.SELECTED: Sentence(
        "Beli kursus pertama sebelum batas waktu, atau kepesertaan Anda dicabut.",
        "Buy your first course before the due date, or your membership is revoked.",
    ),
    State.TRAINING: Sentence(
        "Berikan kode redeem kepada penyelenggara antara 1 jam sebelum dan 1 jam sesudah kursus mulai, "
        "lalu ikuti kursus sampai selesai.",
        "Give the redeem code to the partner between one hour before and one hour after the start, "
        "then finish the course.",
    ),
    State.COMPLETED: Sentence(
        "Beri bintang dan ulasan untuk setiap kursus yang selesai; insentif dari kursus pertama menunggunya.",
        "Give stars and a review to every finished course; the incentive of the first one waits for them.",
    ),
    State.REVOKED: Sentence(
        "Kepesertaan Anda dicabut karena tidak ada kursus yang dibeli sampai batas waktu. "
        "Tidak ada lagi yang perlu dilakukan.",
        "Your membership was revoked because no course was bought in time. There is nothing left to do.",
    ),
    State.CLOSED: Sentence(
        "Batas waktu pembelian sudah lewat dan sisa saldo hangus. "
        "Kursus yang selesai dan insentifnya tetap milik Anda.",
        "The time for purchases has passed and the rest of the credit is forfeited. Your finished courses and their "
        "incentive stay yours.",
    ),
}


def next_step(member: Membership | None) -> Sentence:
    """The one thing to do next."""
    if member is None:
        return NOT_A_MEMBER
    if member.state is State.COMPLETED and member.purchase_due is not None:
        return BUY_NEXT
    return NEXT[member.state]
