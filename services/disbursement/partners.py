"""The accounts of the training partners, to which course fees go: a small TOML file in the settings."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.disbursement.vault import Payee

SHIPPED = Path(__file__).with_name("partners.toml")

Partners = Mapping[str, Payee]


class _Account(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    account_number: str = Field(pattern=r"^[0-9]{6,20}$")
    bank: str = Field(pattern=r"^[a-z0-9-]{2,20}$")
    name: str = Field(min_length=1, max_length=70)


class BadPartners(ValueError):
    """The file can not be used; the message names the partner and the field."""


def load_partners(path: Path = SHIPPED) -> Partners:
    """The accounts by partner. Raises BadPartners."""
    found: dict[str, Payee] = {}
    try:
        for partner, told in tomllib.loads(path.read_text()).items():
            account = _Account.model_validate(told)
            found[partner] = Payee(account.account_number, "", account.name, account.bank)
    except tomllib.TOMLDecodeError as error:
        raise BadPartners(f"{path.name}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadPartners(f"{path.name}: {partner}.{where}: {first['msg']}") from None
    return found
