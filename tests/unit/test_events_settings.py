"""A setting that is missing or wrong stops the start with a sentence that names it and never shows its value."""

from pathlib import Path

import pytest

from libs.events.settings import ApiSettings, ServiceSettings, load_settings
from services.disbursement.settings import Settings as Disbursement

ENOUGH = {"GELOMBANG_DATABASE_URL": "postgresql://app:Tr0ub4dor@db/x", "GELOMBANG_KAFKA_SERVERS": "kafka:9092"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    import os

    for name in [name for name in os.environ if name.startswith("GELOMBANG_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def tell(told: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in (ENOUGH | settings).items():
        told.setenv(name, value)


def test_two_settings_are_enough_and_secrets_do_not_print(told: pytest.MonkeyPatch) -> None:
    tell(told)
    settings = load_settings(ServiceSettings)
    assert settings.database_url.get_secret_value() == ENOUGH["GELOMBANG_DATABASE_URL"]
    assert "Tr0ub4dor" not in repr(settings)
    assert (settings.http_host, settings.clock) == ("127.0.0.1", "real")


def test_whatever_is_missing_is_named_all_at_once(told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        load_settings(ServiceSettings)
    assert end.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == ["GELOMBANG_DATABASE_URL", "GELOMBANG_KAFKA_SERVERS"]
    assert all("Set it in the environment or in $GELOMBANG_SETTINGS." in line for line in said)


def test_who_signs_in_and_who_pays_have_no_default(
    told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_in = {"GELOMBANG_STAFF_ISSUER", "GELOMBANG_STAFF_JWKS", "GELOMBANG_CITIZEN_JWKS"}
    tell(told, **dict.fromkeys(sign_in, ""))
    for kind in (ApiSettings, Disbursement):
        with pytest.raises(SystemExit):
            load_settings(kind)
        named = {line.split(":")[0] for line in capsys.readouterr().err.splitlines()}
        assert sign_in <= named
    assert {f"GELOMBANG_DEBTOR_{part}" for part in ("NAME", "ACCOUNT", "BANK")} <= named


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GELOMBANG_HTTP_PORT", "70123"),
        ("GELOMBANG_HTTP_PORT", "s3cret"),
        ("GELOMBANG_DATABASE_CONNECTIONS", "1"),
        ("GELOMBANG_LOG_LEVEL", "s3cret"),
        ("GELOMBANG_OUTBOX_PARTITION_ROWS", "999"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    tell(told, **{name: value})
    with pytest.raises(SystemExit):
        load_settings(ServiceSettings)
    said = capsys.readouterr().err
    assert said.startswith(f"{name}: ")
    assert said.count("\n") == 1
    assert "s3cret" not in said
    assert "Tr0ub4dor" not in said


def test_a_file_is_read_and_the_environment_wins(told: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("GELOMBANG_KAFKA_SERVERS=other:1\nGELOMBANG_HTTP_PORT=8123\nUNRELATED=1\n")
    tell(told, GELOMBANG_SETTINGS=str(file))
    settings = load_settings(ServiceSettings)
    assert (settings.http_port, settings.kafka_servers) == (8123, "kafka:9092")


def test_settings_do_not_change_while_a_process_runs(told: pytest.MonkeyPatch) -> None:
    tell(told)
    settings = load_settings(ServiceSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.http_port = 1  # type: ignore[misc]
