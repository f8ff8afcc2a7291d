"""How long six digits count, and how often."""

from dataclasses import replace
from datetime import timedelta

from services.registration.domain.code import TOO_MANY_FAILURES, WRONG, Code, judge, may_renew, renew, usable
from services.registration.domain.identity import back_off
from tests.support import jakarta

NOW = jakarta("2020-04-13 09:00:00")
SMS = renew(None, "c" * 32, "sign-in", b"right", NOW)
EMAIL = renew(None, "c" * 32, "e-mail", b"right", NOW)


def test_the_right_digits_are_right_until_the_last_moment() -> None:
    assert judge(SMS, b"right", NOW + timedelta(minutes=10)) is None
    assert judge(SMS, b"right", NOW + timedelta(minutes=10, seconds=1)) == WRONG
    assert judge(EMAIL, b"right", NOW + timedelta(hours=24)) is None


def test_wrong_digits_are_counted() -> None:
    assert judge(SMS, b"wrong", NOW) == replace(SMS, failures=1)


def test_after_five_failures_even_the_right_digits_are_refused() -> None:
    code: Code = SMS
    for _ in range(5):
        failed = judge(code, b"wrong", NOW)
        assert isinstance(failed, Code)
        code = failed
    assert judge(code, b"right", NOW) == TOO_MANY_FAILURES
    assert not usable(code, NOW)


def test_nobody_has_a_code_they_were_not_sent() -> None:
    assert judge(None, b"right", NOW) == WRONG


def test_another_code_may_be_sent_after_a_minute() -> None:
    assert not may_renew(SMS, NOW + timedelta(seconds=59))
    assert may_renew(SMS, NOW + timedelta(seconds=60))


def test_ten_codes_a_day_and_no_more() -> None:
    code, now = SMS, NOW
    for _ in range(9):
        now += timedelta(minutes=1)
        assert may_renew(code, now)
        code = renew(code, code.citizen_id, "sign-in", b"next", now)
    assert code.made_today == 10
    assert not may_renew(code, now + timedelta(hours=1))
    assert may_renew(code, jakarta("2020-04-14"))
    assert renew(code, code.citizen_id, "sign-in", b"next", jakarta("2020-04-14")).made_today == 1


def test_pauses_grow_to_an_hour() -> None:
    assert [back_off(attempts) // timedelta(minutes=1) for attempts in (1, 2, 3, 6, 7, 1000)] == [1, 2, 4, 32, 60, 60]
