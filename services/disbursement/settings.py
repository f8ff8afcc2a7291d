"""What disbursement must be told to start, beyond what every service is told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from libs.events.settings import ServiceSettings
from services.disbursement.partners import SHIPPED


class Settings(ServiceSettings):
    """`identity_jwk_file` opens identity tokens and `citizen_jwks` checks who signed them; `account_keys_file` has the
    keys account_index and wrap (32 bytes each, hexadecimal). The debtor is the programme's own bank account, from which
    everything is paid.
    """

    identity_jwk_file: Path
    account_keys_file: Path
    bank_url: str
    ewallet_url: str
    rail_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 15
    partner_accounts: Path = SHIPPED
    debtor_name: str = "Manajemen Pelaksana Program Kartu Prakerja"
    debtor_account: str = "999080000000001"
    debtor_bank: str = "bni"
