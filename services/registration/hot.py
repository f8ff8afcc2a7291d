"""The hot commands: calls that arrive together share a transaction, and are answered after it has committed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from libs.events.batch import Batcher
from libs.events.contracts import Applied
from libs.events.programme import Programme
from services.registration.codes import Confirmation, SignIn, confirm_emails, request_sign_ins, sign_in
from services.registration.commands import Join, Registration, Submission, Submitted, join, register, submit_identities
from services.registration.store import Store
from services.registration.vault import Vault


@dataclass(frozen=True, slots=True)
class Hot:
    """One queue for each command."""

    register: Batcher[Registration, str]
    confirm: Batcher[Confirmation, str]
    submit: Batcher[Submission, Submitted]
    join: Batcher[Join, Applied]
    request_sign_in: Batcher[str, None]
    sign_in: Batcher[SignIn, str]

    def all(self) -> Sequence[Batcher[Registration, str] | Batcher[Confirmation, str] | Batcher[Submission, Submitted]
                              | Batcher[Join, Applied] | Batcher[str, None] | Batcher[SignIn, str]]:  # fmt: skip
        """For the runtime, which starts and closes them."""
        return (self.register, self.confirm, self.submit, self.join, self.request_sign_in, self.sign_in)


def open_hot(store: Store, vault: Vault, programmes: Mapping[str, Programme]) -> Hot:
    """The queues, with what their commands need."""
    return Hot(
        register=Batcher(partial(register, store=store, vault=vault)),
        confirm=Batcher(partial(confirm_emails, store=store, vault=vault)),
        submit=Batcher(partial(submit_identities, store=store, vault=vault)),
        join=Batcher(partial(join, store=store, vault=vault, programmes=programmes)),
        request_sign_in=Batcher(partial(request_sign_ins, store=store, vault=vault)),
        sign_in=Batcher(partial(sign_in, store=store, vault=vault)),
    )
