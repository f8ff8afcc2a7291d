"""Hot queries keep to their indexes: with a million citizens a scan of a table would stop the service."""

import re
from collections.abc import AsyncIterator, Callable

import pytest

from deploy.local.databases import ServiceDatabase
from libs.events.database import Database, open_database
from services.registration.store import QUERIES


@pytest.fixture
async def store(database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Database]:
    async with open_database(database("registration").app_url) as opened:
        yield opened


HOT = {
    "citizens_like": {"citizen_registration_once", "citizen_email_once", "citizen_phone_once"},
    "citizens_by_phone": {"citizen_phone_once"},
    "codes_of": {"code_pkey"},
    "standings": {"citizen_pkey", "identity_pkey"},
    "niks_held": {"identity_nik_once"},
    "households_of": {"household_kk_once"},
    "checks_due": {"identity_check_due"},
    "checks_found": {"identity_check_"},
    "messages_due": {"message_due"},
    "applicants": {"citizen_pkey", "citizen_key_pkey", "identity_pkey", "membership_pkey", "application_nth_once"},
    "application_latest": {"application_nth_once"},
    "applications_move": {"application_pkey"},
    "wave_count": {"application_of_wave"},
    "wave_lanes": {"application_of_wave", "application_withdrawn"},
    "timeline_of": {"timeline_pkey", "application_live_once"},
    "erase_household": {"identity_household"},
    "erase_messages": {"message_of_citizen"},
}


async def test_hot_queries_read_no_whole_table(store: Database) -> None:
    async with store.connection() as connection:
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            await connection.execute(f"SET {setting} = off")  # an empty table would be read whole for good reason
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for name, indexes in HOT.items():
            sql = getattr(QUERIES, name).sql
            await connection.execute(f"PREPARE {name} AS {sql}")
            nothing = ", ".join(["NULL"] * max(int(number) for number in re.findall(r"\$([0-9]+)", sql)))
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE {name} ({nothing})"))
            assert "Seq Scan" not in plan, f"{name}\n{plan}"
            assert not [index for index in indexes if index not in plan], f"{name}\n{plan}"
