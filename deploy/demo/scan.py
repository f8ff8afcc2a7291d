"""Looks for anything personal in bytes that must hold none: topics, logs, metrics.

One pass per kind over everything, then set membership: digit runs against NIKs, family cards, phones and accounts;
words against names and e-mail hosts; hexadecimal runs against plain hashes of NIKs, which anyone could reverse by
trying all of them. A finding names where it was seen, never what was seen.
"""

import asyncio
import hashlib
import multiprocessing
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Final, Protocol

from deploy.demo.population import Person, secrets_of

NATIONAL_DIGITS: Final = 16
"""Length of a NIK and of a family card's number."""

_ALPHANUMERIC = bytes(byte if chr(byte).isascii() and chr(byte).isalnum() else 32 for byte in range(256))
"""A table for `bytes.translate`: everything but letters and digits becomes a space."""
_DIGITS = re.compile(rb"\d{9,}")
_WORDS = re.compile(rb"[A-Za-z]{5,}")
_HEXADECIMAL = re.compile(rb"[0-9a-f]{32,64}")
_BOUNDED = re.compile(rb"(?<![0-9A-Za-z])(?:\+?62|0)?(\d{9,15})(?![0-9A-Za-z])")


class Feed(Protocol):
    """Whoever looks through what it is told."""

    def feed(self, where: str, data: bytes) -> None: ...


class PersonalScan:
    """Collects what `feed` was shown; `findings` maps (where, kind) to how often something personal was seen."""

    def __init__(self, people: Iterable[Person]) -> None:
        known = list(people)
        numbers, words = secrets_of(known)
        self._national = {number.encode() for number in numbers if len(number) == NATIONAL_DIGITS}
        self._short = {number.encode() for number in numbers if len(number) != NATIONAL_DIGITS}
        self._words = {word.encode() for word in words}
        self._hashes = {digest for person in known for digest in _plain_hashes(person.nik)}
        self.findings: Counter[tuple[str, str]] = Counter()
        self.scanned_bytes = 0

    def feed(self, where: str, data: bytes) -> None:
        """Scan a piece. Pieces must not cut a record or a line in two."""
        self.scanned_bytes += len(data)
        # Every run lies within a run of letters and digits, and most of those come again and again: each is read once.
        once = b" ".join(set(data.translate(_ALPHANUMERIC).split()))
        runs = set(_DIGITS.findall(once))
        self._note(where, "NIK or KK", sum(map(self._holds_national, runs)))
        # Phones and accounts are short enough to turn up by chance inside a random id, so they must stand alone.
        if not self._short.isdisjoint(_tails(runs)):
            self._note(where, "phone or account", len(self._short.intersection(_BOUNDED.findall(data))))
        self._note(where, "name or e-mail", len(self._words.intersection(map(bytes.lower, _WORDS.findall(once)))))
        self._note(where, "plain hash of a NIK", len(self._hashes.intersection(_HEXADECIMAL.findall(once))))

    def _holds_national(self, run: bytes) -> bool:
        ends = range(NATIONAL_DIGITS, len(run) + 1)
        return any(run[end - NATIONAL_DIGITS : end] in self._national for end in ends)

    def _note(self, where: str, kind: str, times: int) -> None:
        if times:
            self.findings[where, kind] += times


class ScanBeside:
    """A scan in a process of its own: there is as much to look through as to read. `with` ends the process."""

    def __init__(self, people: Iterable[Person]) -> None:
        # Not a fork: this process has an event loop and connections. What is told is looked at in the order of telling.
        apart = multiprocessing.get_context("spawn")
        self._worker = ProcessPoolExecutor(1, apart, initializer=_begin, initargs=(list(people),))
        self._fed: list[Future[None]] = []

    def __enter__(self) -> "ScanBeside":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.shutdown(cancel_futures=True)

    def feed(self, where: str, data: bytes) -> None:
        """Have a piece scanned. Pieces must not cut a record or a line in two."""
        self._fed.append(self._worker.submit(_feed, where, data))

    async def found(self) -> tuple[Counter[tuple[str, str]], int]:
        """The findings, and how many bytes were looked at. Raises what went wrong in there."""
        await asyncio.gather(*map(asyncio.wrap_future, self._fed))
        return await asyncio.wrap_future(self._worker.submit(_found))


_scans: list[PersonalScan] = []
"""The one scan of a worker's process."""


def _begin(people: Sequence[Person]) -> None:
    _scans.append(PersonalScan(people))


def _feed(where: str, data: bytes) -> None:
    _scans[0].feed(where, data)


def _found() -> tuple[Counter[tuple[str, str]], int]:
    return _scans[0].findings, _scans[0].scanned_bytes


def _tails(runs: Iterable[bytes]) -> set[bytes]:
    """Every way to read a run of digits as a phone or an account: with or without a country code or a zero."""
    return {tail for run in runs if len(run) <= NATIONAL_DIGITS - 1 for tail in (run, run[1:], run[2:])}


def _plain_hashes(nik: str) -> tuple[bytes, ...]:
    data = nik.encode()
    digests = (
        hashlib.sha256(data),
        hashlib.sha1(data, usedforsecurity=False),
        hashlib.md5(data, usedforsecurity=False),
    )
    return tuple(digest.hexdigest().encode() for digest in digests)
