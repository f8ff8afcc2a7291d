"""Puts the service together: the only file that knows everybody."""

from functools import partial

from libs.events.access import CITIZEN_ISSUER, Verifier, open_access
from libs.events.batch import Batcher
from libs.events.clock import open_clock
from libs.events.contracts import MembershipRevoked, SelectedInBatch, TrainingCompleted, TrainingRated
from libs.events.jobs import Errand, Every
from libs.events.programme import load_programmes
from libs.events.runtime import Service
from libs.events.settings import load_settings
from services.disbursement.api import Parts, create_api
from services.disbursement.asking import Asker
from services.disbursement.checking import check_accounts
from services.disbursement.citizens import Link, Survey, answer_surveys, link_accounts
from services.disbursement.domain.iso20022 import Debtor
from services.disbursement.identity import AUDIENCE
from services.disbursement.jobs import close_years, retry_failed
from services.disbursement.partners import load_partners
from services.disbursement.rails import Bank, EWallet, Rails
from services.disbursement.reactions import on_completed, on_rated, on_revoked, on_selected
from services.disbursement.releasing import release_revoked
from services.disbursement.sending import Sender
from services.disbursement.settings import Settings
from services.disbursement.store import Store
from services.disbursement.vault import Vault

CHUNK = 5_000


def service(settings: Settings | None = None) -> Service:
    """Disbursement, ready to run; settings come from the environment unless given."""
    settings = settings or load_settings(Settings)
    store, rules, clock = Store(), load_programmes(settings.programmes), open_clock(settings.clock)
    access = open_access(settings.staff_issuer, settings.staff_jwks, settings.citizen_jwks, clock)
    identities = Verifier(CITIZEN_ISSUER, settings.citizen_jwks, AUDIENCE, clock)
    vault = Vault.open(settings.account_keys_file, settings.identity_jwk_file)
    partners = load_partners(settings.partner_accounts)
    bank = Bank(settings.bank_url, settings.rail_timeout_seconds)
    ewallet = EWallet(settings.ewallet_url, settings.rail_timeout_seconds)
    rails: Rails = {bank.rail: bank, ewallet.rail: ewallet}
    debtor = Debtor(settings.debtor_name, settings.debtor_account, settings.debtor_bank)
    sender, asker = Sender(store, vault, rails, rules, partners, debtor), Asker(store, rails, rules)
    links = Batcher[Link, str](partial(link_accounts, store=store, vault=vault, rules=rules))
    surveys = Batcher[Survey, None](partial(answer_surveys, store=store, vault=vault, rules=rules))
    return Service(
        name="disbursement",
        settings=settings,
        clock=clock,
        api=create_api(Parts(store, vault, rules, partners, access, identities, links, surveys)),
        reactions={
            SelectedInBatch: partial(on_selected, store=store, rules=rules, clock=clock),
            TrainingCompleted: partial(on_completed, store=store, rules=rules, clock=clock),
            TrainingRated: partial(on_rated, store=store, rules=rules, clock=clock),
            MembershipRevoked: partial(on_revoked, store=store, clock=clock),
        },
        jobs=[
            Errand(
                name="check-accounts",
                seconds=20,
                run=partial(check_accounts, store=store, vault=vault, rails=rails),
            ),
            Errand(name="send", seconds=10, run=sender.send),
            Errand(name="settle", minutes=2, run=asker.settle),
            Every(name="retry-failed", minutes=10, run=partial(retry_failed, store=store, limit=CHUNK)),
            Every(name="release-revoked", minutes=10, run=partial(release_revoked, store=store, limit=CHUNK)),
            Every(name="close-years", minutes=1, run=partial(close_years, store=store, limit=CHUNK)),
        ],
        resources=[bank, ewallet, links, surveys],
    )
