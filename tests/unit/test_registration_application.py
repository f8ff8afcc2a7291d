"""Joining and leaving a wave."""

from dataclasses import replace
from datetime import datetime

from libs.events.contracts import ApplicationWithdrawn, Applied
from libs.events.refusal import Refusal
from services.registration.domain import application
from services.registration.domain.application import Applicant, Application, State, Wave, join, withdraw
from tests.support import jakarta
from tests.unit.registration_examples import PRAKERJA_2020, applicant, person, wave

NOW = jakarta("2020-04-13 09:00:00")


def joined(told: Wave | None, who: Applicant, now: datetime = NOW) -> Applied | Refusal:
    return join(PRAKERJA_2020, told, who, now)


def code(result: object) -> str:
    assert isinstance(result, Refusal)
    return result.code


def test_an_eligible_citizen_joins_an_open_wave() -> None:
    event = joined(wave(), applicant(person(laid_off_listed=True, other_aid=True)))
    assert isinstance(event, Applied)
    assert (event.programme, event.wave, event.province, event.at) == ("prakerja-2020", 1, "32", NOW)
    assert (event.tier, event.exclusions) == ("priority", ("other-aid",))


def test_nobody_joins_a_wave_that_is_not_open() -> None:
    for state in ("announced", "closed", "committed", "drawn", "published", "voided"):
        assert code(joined(wave(state), applicant(person()))) == "wave-not-open"
    assert code(joined(None, applicant(person()))) == "wave-not-open"
    assert code(join(None, wave(), applicant(person()), NOW)) == "wave-not-open"


def test_a_wave_is_over_at_its_closing_time_even_if_nobody_has_said_so_yet() -> None:
    assert isinstance(joined(wave(), applicant(person()), now=jakarta("2020-04-16 16:00:00")), Applied)
    assert code(joined(wave(), applicant(person()), now=jakarta("2020-04-16 16:00:01"))) == "wave-not-open"


def test_the_identity_must_be_verified() -> None:
    assert code(joined(wave(), applicant(None))) == "identity-not-verified"


def test_one_live_application_for_each_wave() -> None:
    for state in set(State) - {State.WITHDRAWN}:
        assert code(joined(wave(), applicant(person(), state=state, n=1))) == "already-applied"


def test_after_withdrawing_one_may_join_again_under_a_new_id() -> None:
    first = joined(wave(), applicant(person()))
    again = joined(wave(), applicant(person(), state=State.WITHDRAWN, n=1))
    assert isinstance(first, Applied)
    assert isinstance(again, Applied)
    assert first.application_id != again.application_id


def test_a_repeat_can_not_mint_a_second_id() -> None:
    assert joined(wave(), applicant(person())) == joined(wave(), applicant(person()))


def test_once_in_a_lifetime() -> None:
    assert code(joined(wave(), applicant(person(), member=True))) == "already-member"


def test_who_may_not_apply_hears_every_reason() -> None:
    refusal = joined(wave(), applicant(person(in_education=True, occupation="barred-office")))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "not-eligible"
    assert "pendidikan formal" in refusal.id
    assert "State officials" in refusal.en


MINE = Application("a" * 32, "c" * 32, "prakerja-2020", 1, State.APPLIED)


def test_a_citizen_leaves_while_the_intake_is_open() -> None:
    event = withdraw(wave(), MINE, NOW)
    assert isinstance(event, ApplicationWithdrawn)
    assert event.application_id == MINE.application_id


def test_nobody_leaves_a_wave_that_has_closed() -> None:
    assert withdraw(wave("closed"), MINE, NOW) == application.INTAKE_CLOSED
    assert withdraw(wave(), MINE, jakarta("2020-04-16 16:00:01")) == application.INTAKE_CLOSED
    assert withdraw(wave(), replace(MINE, state=State.SELECTED), NOW) == application.INTAKE_CLOSED


def test_leaving_twice_is_leaving_once() -> None:
    gone = replace(MINE, state=State.WITHDRAWN)
    assert withdraw(wave("closed"), gone, NOW) == gone


def test_whoever_never_joined_has_nothing_to_leave() -> None:
    assert withdraw(wave(), None, NOW) == application.NOT_APPLIED


def test_every_transition_leads_to_one_state_by_one_event() -> None:
    targets: dict[str, set[State]] = {}
    for (_, event), target in application.TRANSITIONS.items():
        targets.setdefault(event, set()).add(target)
    assert all(len(states) == 1 for states in targets.values())
