"""The settings of registration: those that all services share, and its own keys and outside systems."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from libs.events.settings import ApiSettings


class Settings(ApiSettings):
    """Files hold what is secret; addresses are base URLs."""

    citizen_key_file: Path  # private P-256 JWK that signs citizens' tokens and identities
    identity_keys_file: Path  # nik_index, kk_index and wrap, 32 bytes each in hexadecimal
    disbursement_jwk_file: Path  # public P-256 JWK to which identity tokens are sealed
    civil_registry_url: str
    messages_url: str
    citizen_token_days: Annotated[int, Field(ge=1, le=400)] = 30
