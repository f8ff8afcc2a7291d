"""What a citizen reads about a payout or their account and what they can do, Indonesian first, English second."""

from typing import Final

from services.disbursement.domain.accounts import AccountState
from services.disbursement.domain.payouts import State

Sentence = tuple[str, str]

_BY_STATE: Final[dict[State, Sentence]] = {
    State.APPROVED: (
        "Pembayaran sudah disetujui dan segera dikirim. Anda tidak perlu melakukan apa pun.",
        "The payment is approved and will be sent soon. You need not do anything.",
    ),
    State.SUBMITTED: (
        "Pembayaran sedang diproses bank atau dompet elektronik Anda, biasanya 3-5 hari kerja.",
        "Your bank or e-wallet is processing the payment, usually within 3-5 working days.",
    ),
    State.UNKNOWN: (
        "Bank atau dompet elektronik belum memberi jawaban yang jelas. Kami memeriksanya; Anda tidak perlu melakukan"
        " apa pun.",
        "Your bank or e-wallet has not answered clearly yet. We are checking; you need not do anything.",
    ),
    State.PAID: ("Sudah dibayar.", "Paid."),
    State.CANCELLED: (
        "Pembayaran ini dibatalkan karena kepesertaan dicabut atau tahun anggaran sudah ditutup.",
        "This payment was cancelled because the membership was revoked or the year was closed.",
    ),
}

BY_REASON: Final[dict[str, Sentence]] = {
    "account-closed": (
        "Rekening Anda sudah ditutup. Tautkan rekening lain atas nama Anda sendiri.",
        "Your account is closed. Link another account in your own name.",
    ),
    "account-not-found": (
        "Rekening Anda tidak ditemukan. Periksa nomornya dan tautkan lagi.",
        "Your account was not found. Check its number and link it again.",
    ),
    "identity-mismatch": (
        "NIK pada rekening tidak sama dengan NIK Anda. Perbaiki di bank, atau tautkan rekening atas nama Anda sendiri.",
        "The NIK of the account is not yours. Have the bank correct it, or link an account in your own name.",
    ),
    "not-verified": (
        "Dompet elektronik Anda belum diverifikasi. Tingkatkan akun dengan KTP di aplikasinya; kami mencoba lagi.",
        "Your e-wallet is not verified. Upgrade it with your identity card in its app; we will try again.",
    ),
    "wallet-full": (
        "Saldo dompet elektronik Anda penuh. Kosongkan sebagian; kami mencoba lagi.",
        "Your e-wallet is full. Empty it in part; we will try again.",
    ),
    "limit-exceeded": (
        "Batas transaksi bulanan dompet elektronik Anda terlampaui. Kami mencoba lagi; Anda juga dapat menautkan"
        " rekening lain.",
        "Your e-wallet has reached its monthly limit. We will try again; you can also link another account.",
    ),
    "phone-changed": (
        "Nomor HP dompet elektronik Anda berubah. Tautkan dompet dengan nomor yang Anda daftarkan.",
        "The phone number of your e-wallet has changed. Link the wallet with the number you registered.",
    ),
    "not-booked": (
        "Pembayaran tidak dibukukan. Kami mencoba lagi; Anda tidak perlu melakukan apa pun.",
        "The payment was not booked. We will try again; you need not do anything.",
    ),
    "rail-refused": (
        "Pembayaran belum berhasil. Kami mencoba lagi; Anda tidak perlu melakukan apa pun.",
        "The payment did not succeed. We will try again; you need not do anything.",
    ),
}
"""By the reasons of `settlement`; one that nobody knows is told as `rail-refused`."""

_RATE_FIRST: Final = (
    "Beri nilai dan ulasan untuk pelatihan pertama Anda agar insentif dijadwalkan.",
    "Rate and review your first course so that the incentive is scheduled.",
)
_LINK_FIRST: Final = (
    "Tautkan rekening bank atau dompet elektronik atas nama Anda sendiri.",
    "Link a bank account or e-wallet in your own name.",
)
_WAITING: Final = (
    "Pembayaran dijadwalkan dan dikirim setelah tanggal jatuh temponya. Anda tidak perlu melakukan apa pun.",
    "The payment is scheduled and will be sent after its due date. You need not do anything.",
)

BY_ACCOUNT: Final[dict[AccountState, Sentence]] = {
    AccountState.CHECKING: (
        "Rekening Anda sedang diperiksa. Anda tidak perlu melakukan apa pun.",
        "Your account is being checked. You need not do anything.",
    ),
    AccountState.VALID: (
        "Rekening Anda dapat dipakai. Anda tidak perlu melakukan apa pun.",
        "Your account can be used. You need not do anything.",
    ),
    AccountState.IDENTITY_MISMATCH: BY_REASON["identity-mismatch"],
    AccountState.CLOSED: BY_REASON["account-closed"],
    AccountState.NOT_FOUND: BY_REASON["account-not-found"],
    AccountState.NOT_VERIFIED: BY_REASON["not-verified"],
    AccountState.PHONE_CHANGED: BY_REASON["phone-changed"],
    AccountState.IN_USE: (
        "Rekening ini sudah dipakai orang lain. Tautkan rekening atau dompet elektronik atas nama Anda sendiri.",
        "This account is already somebody else's. Link a bank account or e-wallet in your own name.",
    ),
}
"""What there is to do about a linked account."""

NO_ACCOUNT: Final = "none"


def account_step(account: str) -> Sentence:
    """What to do about the linked account by its state, or `none`."""
    return _LINK_FIRST if account == NO_ACCOUNT else BY_ACCOUNT[AccountState(account)]


def next_step(state: State, reason: str | None, *, due: bool, account: str) -> Sentence:
    """What to do about one payout. `due` says whether it has a due date, `account` is the linked account's state."""
    if state is State.FAILED:
        return BY_REASON.get(reason or "", BY_REASON["rail-refused"])
    if state is not State.SCHEDULED:
        return _BY_STATE[state]
    if not due:
        return _RATE_FIRST
    return _WAITING if account == AccountState.VALID else account_step(account)
