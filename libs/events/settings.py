"""What every service must be told to start, read from the environment or from one private file.

`GELOMBANG_SETTINGS` may name a file of `NAME=value` lines; variables of the environment win over it. A setting that is
missing or wrong stops the start with a sentence that names it, and never shows its value.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.events.programme import SHIPPED


class ServiceSettings(BaseSettings):
    """The settings that all services share. Each service adds its own in `settings.py`."""

    model_config = SettingsConfigDict(
        env_prefix="GELOMBANG_",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
        frozen=True,
    )

    database_url: SecretStr
    database_connections: Annotated[int, Field(ge=2, le=200)] = 10
    kafka_servers: str
    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=1, le=65535)] = 8000
    http_port_shared: bool = False
    """Whether more processes of this service listen at the same port; the kernel deals out the connections."""
    kafka_session_seconds: Annotated[float, Field(ge=6, le=1800)] = 30.0
    """How long a worker may be silent before its lanes go to others; also the longest pause in which it keeps them."""
    relay_silent_seconds: Annotated[float, Field(ge=4)] = 10.0
    """How long a relay may give no sign of life (there is one every two seconds) before another takes over."""
    clock: str = "real"
    programmes: Path = SHIPPED
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    traces_endpoint: str | None = None
    outbox_partition_rows: Annotated[int, Field(ge=1000)] = 5_000_000
    outbox_keep_rows: Annotated[int, Field(ge=0)] = 50_000_000


class ApiSettings(ServiceSettings):
    """The settings of services that people call: who signs in staff, and the keys that tokens are checked by.

    Staff's and citizens' keys are a JWK set each, as a file or as an address.
    """

    staff_issuer: Annotated[str, Field(min_length=1)]
    staff_jwks: Annotated[str, Field(min_length=1)]
    citizen_jwks: Annotated[str, Field(min_length=1)]


S = TypeVar("S", bound=ServiceSettings)


def load_settings(kind: type[S], **given: Any) -> S:
    """Read the settings of a service, or end the process with one sentence for each that is missing or wrong."""
    try:
        return kind(_env_file=os.environ.get("GELOMBANG_SETTINGS"), **given)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "GELOMBANG_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(
                f"{name}: {problem['msg'].lower()}. Set it in the environment or in $GELOMBANG_SETTINGS.",
                file=sys.stderr,
            )
        raise SystemExit(2) from None
