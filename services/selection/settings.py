"""What selection must be told to start, beside what every service is told."""

from pathlib import Path

from libs.events.settings import ServiceSettings


class Settings(ServiceSettings):
    beacon_url: str
    """The base address of a drand beacon's HTTP API."""

    beacon_chain: str | None = None
    """The hash of the chain to use; may be left out where the beacon has only one."""

    draw_key_file: Path
    """The Ed25519 private key (PEM) that signs commitments."""
