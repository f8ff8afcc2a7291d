"""The settings of training: those that all services share, and no others."""

from libs.events.settings import ApiSettings


class Settings(ApiSettings):
    """Database, Kafka, sign-in keys, clock and programme files."""
