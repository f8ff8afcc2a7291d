"""What is due next in a wave, in sentences, and which steps officers could take now."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from services.selection.domain.wave import Draw, State, Step, possible

Row = Mapping[str, Any]

DUE: Final = {
    State.PROPOSED: ("approve", None, "Menunggu persetujuan pemeriksa.", "Waiting for a checker's approval."),
    State.ANNOUNCED: ("open", "opens_at", "Pendaftaran akan dibuka.", "The intake will open."),
    State.OPEN: ("close", "closes_at", "Pendaftaran akan ditutup.", "The intake will close."),
    State.CLOSED: ("commit", None, "Daftar peserta undian akan dikunci.", "The pool will be frozen and signed."),
    State.COMMITTED: ("draw", "draw_due_at", "Undian akan dijalankan.", "The draw will run."),
    State.DRAWN: ("publish", None, "Hasil sedang dikirim.", "Results are being sent."),
}

WAITING: Final = {
    "intake-closed-missing": (
        "Menunggu layanan pendaftaran menyatakan jumlah pendaftar.",
        "Waiting for registration to state how many applications there are.",
    ),
    "applications-missing": (
        "Sebagian pendaftaran belum sampai; undian menunggu sampai lengkap.",
        "Some applications have not arrived yet; the draw waits until they are complete.",
    ),
    "applications-too-many": (
        "Ada pendaftaran yang sudah ditarik tetapi kabarnya belum sampai; undian menunggu.",
        "More applications stand here than registration has stated; the draw waits for the withdrawals.",
    ),
    "applications-differ": (
        "Jumlah pendaftaran cocok tetapi daftarnya tidak; undian menunggu pemeriksaan.",
        "The number of applications agrees, but they are not the same ones; the draw waits until that is cleared up.",
    ),
    "another-draw": (
        "Gelombang lain sedang menunggu undian atau pengumumannya; gelombang ini menyusul.",
        "Another wave is waiting for its draw or its publication; this one follows.",
    ),
    "beacon-silent": (
        "Sumber angka acak publik tidak menjawab; akan dicoba lagi.",
        "The public randomness beacon does not answer; it will be asked again.",
    ),
    "beacon-ahead": (
        "Angka acak yang akan diumumkan sudah diketahui; jam sistem harus diperiksa sebelum undian berlanjut.",
        "The randomness this wave would announce is already known; the clocks must be checked before it goes on.",
    ),
    "beacon-wrong": (
        "Jawaban sumber angka acak publik tidak sah dan ditolak; akan ditanya lagi.",
        "The beacon's answer is not genuine and was refused; it will be asked again.",
    ),
    "reveals-too-late": (
        "Daftar rahasia pejabat tidak ditutup sebelum angka acaknya terbit, jadi undian ini tidak boleh dijalankan. "
        "Petugas harus membatalkan gelombang ini di depan umum.",
        "The officials' reveals were not closed before the randomness was out, so this draw must not run. Officers "
        "have to void this wave in public.",
    ),
    "commitment-slow": (
        "Daftar peserta terlalu lama ditulis; daftar akan dikunci lagi untuk angka acak yang lebih kemudian.",
        "Writing the pool down took too long; it will be frozen anew, for randomness that comes later.",
    ),
    "results-changed": (
        "Hasil undian yang tersimpan tidak sama dengan yang diundi; pengumuman dihentikan sampai itu diperiksa.",
        "The stored results are not the ones that were drawn; publication has stopped until that is cleared up.",
    ),
    "pool-changed": (
        "Daftar peserta tersimpan tidak sama dengan yang ditandatangani; undian dihentikan.",
        "The stored pool is not the one that was signed; the draw has stopped.",
    ),
}


def due(view: Row) -> dict[str, Any] | None:
    """The next step of a wave: what, when (None: as soon as it can be), and why it waits."""
    state = State(view["state"])
    if state not in DUE:
        return None
    step, column, indonesian, english = DUE[state]
    waiting = view["waiting"]
    if waiting:
        indonesian, english = WAITING[waiting]
    at = view[column] if column else None
    told: dict[str, Any] = {"step": step, "at": time_of(at), "waiting": waiting, "id": indonesian, "en": english}
    if state is State.CLOSED:
        told["applications"] = {
            "stated": view["intake_count"],
            "arrived": view["applications_seen"],
            "missing_partitions": list(view["lanes_missing"]),
        }
    return told


def steps(view: Row, now: datetime) -> tuple[Step, ...]:
    """What officers would not be refused at this moment."""
    draw = Draw(view["draw_due_at"], view["waiting"], view["reveal_until"] is not None, view["results_sent"])
    return possible(State(view["state"]), draw, now)


def time_of(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
