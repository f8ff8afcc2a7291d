"""The settings of training: those that all services share, and no others."""

from libs.events.settings import ServiceSettings


class Settings(ServiceSettings):
    """Database, Kafka, sign-in keys, clock and programme files."""
