"""What selection must be told to start, beside what every service is told."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from libs.events.settings import ApiSettings
from services.selection.domain.beacon import Chain, parse_chain


def _words(told: Any) -> Any:
    return tuple(told.replace(",", " ").split()) if isinstance(told, str) else told


def _chain(told: Any) -> Any:
    return parse_chain(told) if isinstance(told, dict) else told


class Settings(ApiSettings):
    beacon_urls: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), Field(min_length=1)]
    """The base addresses of a drand beacon's HTTP API, with commas between them; the first good answer counts."""

    beacon_chain: Annotated[Chain | None, BeforeValidator(_chain)] = None
    """The chain to use, as the JSON of its `/info`: hash, public_key, genesis_time, period, schemeID.

    Pinned, no answer of a beacon can put another key in its place. Without it the beacon must have exactly one chain,
    and is believed about its key: right for a simulator only.
    """

    draw_key_file: Path
    """The Ed25519 private key (PEM) that signs commitments."""
