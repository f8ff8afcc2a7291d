"""What finance must be told to start, beyond what every service is told."""

from typing import Annotated

from pydantic import Field, SecretStr

from libs.events.settings import ApiSettings, ServiceSettings


class Settings(ApiSettings):
    """`windows_url` is where the live windows answer; finance only passes on what they say."""

    windows_url: str = "http://127.0.0.1:8075"


class WindowsSettings(ServiceSettings):
    """The live windows are a process of their own: they read one topic, and have no database."""

    database_url: SecretStr = SecretStr("")
    windows_port: Annotated[int, Field(ge=1, le=65535)] = 8075
    windows_generation: Annotated[int, Field(ge=1)] = 1  # counting on forgets all windows and reads the topic anew
