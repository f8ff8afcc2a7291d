"""What a detector says when it finds something, and what every detector gets."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tests.conftest import MakeDatabase


class Found(AssertionError):
    """A promise is broken; the text is the sentence for people."""


Scenario: TypeAlias = Callable[[int, MakeDatabase], Awaitable[None]]
"""One try with one seed, on fresh databases. Raises Found."""
