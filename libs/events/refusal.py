"""What a person is told when the rules say no: what happened, why, and what to do; Indonesian first, English second.

A domain function returns a `Refusal`; a command raises it as `Refused`; the API renders it as an RFC 9457 problem.
Sentences never repeat what the person typed: they may end up in a log.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason. `code` is stable and for programs; `field` names the input it is about, if any."""

    code: str
    status: int
    id: str
    en: str
    field: str | None = None


class Refused(Exception):
    """Raised by commands; carries one refusal, or one for each wrong field. The transaction is rolled back."""

    def __init__(self, *refusals: Refusal, retry_after_seconds: int | None = None) -> None:
        super().__init__(", ".join(refusal.code for refusal in refusals))
        self.refusals = refusals
        self.retry_after_seconds = retry_after_seconds
