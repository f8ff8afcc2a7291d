"""The sentences of the timeline: pairs of Indonesian and English, with the next step where there is one."""

from collections.abc import Mapping
from typing import Final

REGISTERED: Final = (
    "Anda sudah mendaftar. Kode enam angka dikirim ke e-mail Anda.",
    "You have registered. A six-digit code is on its way to your e-mail.",
    "Masukkan kode dari e-mail untuk mengonfirmasi alamat Anda.",
    "Enter the code from the e-mail to confirm your address.",
)
EMAIL_CONFIRMED: Final = (
    "Alamat e-mail Anda sudah dikonfirmasi.",
    "Your e-mail address is confirmed.",
    "Isi data diri Anda: NIK, nomor KK, nama, tanggal lahir, dan provinsi tempat tinggal.",
    "Fill in your identity: NIK, family card number, name, date of birth and the province you live in.",
)
CHECKING: Final = (
    "Data diri Anda sedang diperiksa ke data kependudukan.",
    "Your identity is being checked with the civil registry.",
)
WAIT_FOR_CHECK: Final = (
    "Tunggu hasilnya; Anda tidak perlu melakukan apa pun.",
    "Wait for the result; there is nothing you need to do.",
)
NIK_DISAGREES: Final = (
    "Tanggal lahir di NIK berbeda dengan yang Anda isi. Bila tanggal lahir Anda pernah diperbaiki, ini wajar. Bila "
    "salah ketik, perbaiki dan kirim lagi.",
    "The date of birth in your NIK differs from the one you gave. That is fine if it was corrected once. If you "
    "mistyped it, correct it and send it again.",
)
IDENTITY_VERIFIED: Final = (
    "Data diri Anda cocok dengan data kependudukan.",
    "Your identity matches the civil registry.",
    "Gabung ke gelombang yang sedang dibuka.",
    "Join a wave that is open.",
)
MISMATCHES: Final[Mapping[str, tuple[str, str]]] = {
    "kk": ("Nomor KK", "The family card number"),
    "name": ("Nama", "The name"),
    "birth_date": ("Tanggal lahir", "The date of birth"),
}
CORRECT_IDENTITY: Final = (
    "Samakan dengan KTP dan Kartu Keluarga Anda, lalu kirim lagi. Bila datanya memang sudah benar, hubungi "
    "Dukcapil setempat.",
    "Make it the same as on your identity card and family card, then send it again. If it is right already, contact "
    "the local civil registry office.",
)
IDENTITY_NOT_FOUND: Final = (
    "NIK Anda tidak ditemukan di data kependudukan.",
    "Your NIK was not found in the civil registry.",
    "Periksa NIK Anda dan kirim lagi, atau hubungi Dukcapil setempat agar datanya diaktifkan.",
    "Check your NIK and send it again, or ask the local civil registry office to activate your record.",
)
APPLIED: Final = (
    "Anda bergabung di gelombang {wave}.",
    "You joined wave {wave}.",
    "Tunggu gelombang ditutup dan diundi. Hasilnya muncul di sini.",
    "Wait until the wave closes and is drawn. The result appears here.",
)
WITHDRAWN: Final = (
    "Anda membatalkan keikutsertaan di gelombang {wave}.",
    "You withdrew from wave {wave}.",
    "Anda boleh bergabung lagi selama gelombang masih dibuka.",
    "You may join again while the wave is open.",
)
WAVE_CLOSED: Final = (
    "Gelombang {wave} sudah ditutup dan sedang diproses.",
    "Wave {wave} has closed and is being processed.",
)
WAVE_COMMITTED: Final = (
    "Daftar peserta undian gelombang {wave} sudah dikunci dan diumumkan sebelum angka acaknya ada.",
    "The pool of wave {wave} is frozen and was published before the randomness for the draw exists.",
)
WAVE_DRAWN: Final = ("Gelombang {wave} sudah diundi.", "Wave {wave} was drawn.")
WAVE_RESCHEDULED: Final = (
    "Jadwal gelombang {wave} berubah: ditutup {closes_at}, diundi {draws_at}. Alasan: {reason}.",
    "The dates of wave {wave} have changed: it closes {closes_at} and is drawn {draws_at}. Reason: {reason}.",
)
WAVE_DRAW_SET_ASIDE: Final = (
    "Undian gelombang {wave} diulang. Alasan: {reason}. Keikutsertaan Anda tetap berlaku.",
    "Wave {wave} is drawn again. Reason: {reason}. Your application stands.",
    "Tunggu undian berikutnya; Anda tidak perlu melakukan apa pun.",
    "Wait for the next draw; there is nothing you need to do.",
)
WAVE_PUBLISHED: Final = (
    "Hasil gelombang {wave} sudah diumumkan dan dapat dihitung ulang oleh siapa pun.",
    "The result of wave {wave} is published, and anybody can compute it again.",
)
WAVE_VOIDED: Final = (
    "Gelombang {wave} dibatalkan: {reason}.",
    "Wave {wave} was voided: {reason}.",
    "Gabung lagi ke gelombang berikutnya; Anda tidak perlu mendaftar ulang.",
    "Join the next wave; you do not need to register again.",
)
BUY_FIRST_COURSE: Final = (
    "Beli pelatihan pertama sebelum batas waktu. Lewat dari itu keanggotaan dicabut dan tidak dapat diulang.",
    "Buy your first course before the deadline. After it the membership is revoked and can not be had again.",
)
JOIN_AGAIN: Final = (
    "Klik Gabung lagi di gelombang berikutnya; Anda tidak perlu mendaftar ulang.",
    "Join the next wave again; you do not need to register again.",
)
CONTACT: Final = (
    "Bila menurut Anda ini keliru, hubungi layanan pengaduan.",
    "If you think this is a mistake, contact the help line.",
)
FOLLOW_TIMELINE: Final = (
    "Anda sudah diterima. Ikuti langkah dan batas waktu di riwayat Anda.",
    "You have been accepted. Follow the steps and deadlines in your timeline.",
)
APPEAL: Final = (
    "Bila menurut Anda ini keliru, ajukan banding sebelum batas waktu. Tunjukkan buktinya di kantor layanan.",
    "If you think this is a mistake, appeal before the deadline. Show your papers at a service office.",
)
NOT_SELECTED: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "lost-draw": ("Nomor undian Anda tidak mendapat kursi.", "Your ticket did not win a seat.", *JOIN_AGAIN),
    "household-cap": (
        "Jumlah penerima dalam satu Kartu Keluarga sudah mencapai batas.",
        "Your family card has reached the largest number of recipients.",
        *APPEAL,
    ),
    "blacklist": (
        "Anda tercatat dalam daftar yang tidak boleh mengikuti program.",
        "You are on a list of people who may not take part.",
        *APPEAL,
    ),
    "other-aid": (
        "Anda tercatat sebagai penerima bantuan sosial lain, dan program tahun ini tidak boleh digabung.",
        "You are recorded as a recipient of other aid, which can not be combined with this year's programme.",
        *APPEAL,
    ),
    "already-member": (
        "Anda sudah pernah diterima; program hanya dapat diikuti satu kali.",
        "You have been accepted before; the programme can be taken only once.",
        *APPEAL,
    ),
}
NOT_SELECTED_OTHERWISE: Final = ("", "", *CONTACT)
SELECTED_BY_APPEAL: Final = (
    "Selamat, banding Anda mendapat kursi di gelombang {wave}.",
    "Congratulations, your appeal was given a seat in wave {wave}.",
)
APPEAL_LODGED: Final = (
    "Banding Anda atas hasil gelombang {wave} sudah diterima.",
    "Your appeal against the result of wave {wave} has been received.",
    "Bawa bukti Anda ke kantor layanan dan sebutkan nomor banding {appeal_id}.",
    "Take your papers to a service office and give the number of the appeal, {appeal_id}.",
)
_UPHELD: Final = (
    "Banding Anda atas hasil gelombang {wave} dikabulkan: catatan tentang Anda keliru. Anda mendapat kursi di "
    "gelombang berikutnya; undian yang lama tidak berubah.",
    "Your appeal against the result of wave {wave} was upheld: the record about you was wrong. You get a seat in the "
    "next wave; the old draw does not change.",
    "Tunggu gelombang berikutnya diumumkan; Anda tidak perlu melakukan apa pun.",
    "Wait for the result of the next wave; there is nothing you need to do.",
)
_DISMISSED: Final = (
    "Banding Anda atas hasil gelombang {wave} ditolak: catatan yang dipakai ternyata benar.",
    "Your appeal against the result of wave {wave} was dismissed: the record is right.",
    *CONTACT,
)
APPEAL_DECIDED: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "record-wrong": _UPHELD,
    "record-right": _DISMISSED,
    "no-evidence": (
        "Banding Anda atas hasil gelombang {wave} ditolak: tidak ada bukti yang ditunjukkan.",
        "Your appeal against the result of wave {wave} was dismissed: no evidence was shown.",
        *CONTACT,
    ),
}
APPEAL_DECIDED_OTHERWISE: Final = {True: _UPHELD, False: _DISMISSED}
MONEY_RESERVED: Final = (
    "Dana {amount} telah dicadangkan untuk pelatihan dan insentif Anda.",
    "{amount} has been set aside for your training and incentives.",
)
FIRST_COURSE_DONE: Final = (
    "Pelatihan pertama Anda selesai. Anda berhak atas insentif.",
    "You completed your first course. You have earned the incentive.",
    "Beri ulasan dan tautkan rekening atau dompet digital atas nama Anda sendiri sebelum batas waktu.",
    "Rate the course and link a bank account or e-wallet in your own name before the deadline.",
)
COURSE_DONE: Final = ("Anda menyelesaikan satu pelatihan lagi.", "You completed another course.")
RATED: Final = (
    "Terima kasih, ulasan pelatihan Anda sudah diterima.",
    "Thank you, your review of the course has been received.",
)
REVOKED: Final = (
    "Keanggotaan Anda dari gelombang {wave} dicabut karena pelatihan tidak dibeli pada waktunya. Dananya "
    "kembali ke negara.",
    "Your membership from wave {wave} was revoked because no course was bought in time. The money goes back "
    "to the State.",
    *CONTACT,
)
SUBMITTED: Final = (
    "{amount} ({purpose}) sedang dikirim.",
    "{amount} ({purpose}) is on its way.",
    "Tunggu 3 sampai 5 hari kerja.",
    "Allow 3 to 5 working days.",
)
PAID: Final = ("{amount} ({purpose}) sudah dibayarkan.", "{amount} ({purpose}) has been paid.")
ANSWER_SURVEYS: Final = (
    "Jawab survei evaluasi secara berurutan untuk mendapat insentif survei.",
    "Answer the evaluation surveys in order to earn the survey incentives.",
)
FAILED: Final = ("{amount} ({purpose}) belum dapat dibayarkan.", "{amount} ({purpose}) could not be paid.")
RETURNED: Final = (
    "{amount} ({purpose}) sudah dibayarkan, tetapi dikembalikan oleh bank atau dompet digital.",
    "{amount} ({purpose}) had been paid, but the bank or e-wallet sent it back.",
)
WITH_PARTNER: Final = (
    "Ini sedang diselesaikan dengan lembaga pelatihan; Anda tidak perlu melakukan apa pun.",
    "This is being settled with the training partner; there is nothing you need to do.",
)
TRIED_AGAIN: Final = (
    "Kami mencoba lagi; Anda tidak perlu melakukan apa pun.",
    "We will try again; there is nothing you need to do.",
)
PAYMENT_FAILED: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "account-closed": (
        "Rekening sudah ditutup.",
        "The account is closed.",
        "Tautkan rekening atau dompet digital lain yang aktif.",
        "Link another account or e-wallet that is active.",
    ),
    "account-not-found": (
        "Rekening tidak ditemukan.",
        "The account was not found.",
        "Periksa nomornya dan tautkan lagi.",
        "Check its number and link it again.",
    ),
    "not-verified": (
        "Dompet digital Anda belum terverifikasi.",
        "Your e-wallet is not verified.",
        "Verifikasi (upgrade) dompet digital dengan KTP Anda; pembayaran diulang setelahnya.",
        "Verify (upgrade) the e-wallet with your identity card; the payment is then repeated.",
    ),
    "wallet-full": (
        "Saldo dompet digital Anda penuh.",
        "Your e-wallet is full.",
        "Kurangi saldo dompet digital; pembayaran diulang setelahnya.",
        "Lower the balance of the e-wallet; the payment is then repeated.",
    ),
    "limit-exceeded": (
        "Batas transaksi bulanan dompet digital Anda terlampaui.",
        "The monthly limit of your e-wallet is exceeded.",
        "Tunggu bulan berikutnya atau tautkan rekening lain.",
        "Wait for the next month, or link another account.",
    ),
    "identity-mismatch": (
        "Pemilik rekening tidak sama dengan data diri Anda.",
        "The owner of the account is not you.",
        "Perbaiki di bank, atau tautkan rekening atau dompet digital atas nama dan NIK Anda sendiri.",
        "Have the bank correct it, or link an account or e-wallet in your own name and NIK.",
    ),
    "phone-changed": (
        "Nomor ponsel dompet digital berbeda dengan nomor Anda di sini.",
        "The phone number of the e-wallet is not your number here.",
        "Tautkan lagi dompet digital dengan nomor ponsel yang sama.",
        "Link the e-wallet again with the same phone number.",
    ),
    "not-booked": ("Pembayarannya tidak dibukukan.", "The payment was not booked.", *TRIED_AGAIN),
    "rail-refused": ("Bank atau dompet digital menolaknya.", "The bank or e-wallet refused it.", *TRIED_AGAIN),
}
PAYMENT_FAILED_OTHERWISE: Final = PAYMENT_FAILED["rail-refused"]
RELEASED: Final = (
    "Sisa dana cadangan {amount} dikembalikan.",
    "The rest of the money set aside, {amount}, was given back.",
)
SOMETHING_ELSE: Final = (
    "Ada perubahan pada data Anda.",
    "Something about your record has changed.",
    *CONTACT,
)


def rupiah(amount: int) -> str:
    """Rp600.000: thousands set apart by points, as money is written in Indonesia."""
    return f"Rp{amount:,}".replace(",", ".")


def milestone(name: str) -> tuple[str, str]:
    """What an amount is for. A course is paid to its partner and not to the citizen."""
    kind, _, number = name.partition("-")
    match kind:
        case "incentive":
            return f"insentif pelatihan ke-{number}", f"training incentive {number}"
        case "survey":
            return f"insentif survei {number}", f"survey incentive {number}"
        case "course":
            return "biaya pelatihan untuk lembaga pelatihan Anda", "course price to your training partner"
        case _:
            return "dana program", "programme money"
