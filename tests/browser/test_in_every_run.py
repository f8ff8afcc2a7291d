"""What `make test` sees in Chromium wherever there is one: no marker here. The rest is `pytest -m browser`."""

from typing import Any

from tests.browser.conftest import Site, opened
from tests.integration.selection_world import PROGRAMME


def test_the_public_pages_are_whole_on_a_phone(chromium: Any, published: Site) -> None:
    with opened(chromium) as window:
        for path in ("/", f"/gelombang/{PROGRAMME}/1", f"/gelombang/{PROGRAMME}/1/banding", "/periksa", "/petugas"):
            window.page.goto(published.url + path)
            window.seen(f"every-run-{path.strip('/').replace('/', '-') or 'waves'}")
            assert window.page.locator("h1").count() == 1


def test_the_verifier_agrees_with_the_bundle_of_the_service(chromium: Any, published: Site) -> None:
    with opened(chromium) as window:
        with window.page.expect_download() as bundle:
            window.page.goto(f"{published.url}/gelombang/{PROGRAMME}/1")
            window.page.click("a.button[download]")
        window.page.goto(f"{published.url}/periksa/pemeriksa.html")
        window.page.set_input_files("#file", bundle.value.path())
        window.page.wait_for_selector("#verdict:visible")
        assert window.page.get_attribute("#verdict", "class") == "verdict"
        assert window.complaints == []
