"""What disbursement must be told to start, beyond what every service is told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from libs.events.settings import ApiSettings
from services.disbursement.partners import SHIPPED


class Settings(ApiSettings):
    """`identity_jwk_file` opens identity tokens and `citizen_jwks` checks who signed them; `account_keys_file` has the
    keys account_index and wrap (32 bytes each, hexadecimal). The debtor is the programme's own bank account, from which
    everything is paid: it has no default, for payments would name an account that is not the programme's.
    """

    identity_jwk_file: Path
    account_keys_file: Path
    bank_url: str
    ewallet_url: str
    rail_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 15
    partner_accounts: Path = SHIPPED
    debtor_name: Annotated[str, Field(min_length=1, max_length=70)]
    debtor_account: Annotated[str, Field(pattern=r"^[0-9]{6,20}$")]
    debtor_bank: Annotated[str, Field(pattern=r"^[a-z0-9-]{2,20}$")]
