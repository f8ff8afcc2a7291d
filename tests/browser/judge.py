"""What the verifier's page says of a bundle, in the Chromium that is there.

    python -m tests.browser.judge FILE

Exit code 0: the page agrees, or nobody could look. 1: it does not.
"""

import sys
from importlib import import_module, util
from pathlib import Path
from typing import Final

from tests.browser.conftest import CHROMIUM, opened

PAGE: Final = Path(__file__).parents[2] / "services/selection/pages/verify.html"
MILLISECONDS_MAX: Final = 600_000


def main(file: str) -> int:
    if not util.find_spec("playwright"):
        print("The browser did not look: Playwright is missing in .venv. Get it with: make setup")
        return 0
    if not CHROMIUM.exists():
        print(
            f"The browser did not look: there is no Chromium at {CHROMIUM}. Get it (Debian: apt install chromium), or"
        )
        print(f"say in GELOMBANG_CHROMIUM where it is. Or look yourself: open {PAGE} and give it {file}.")
        return 0
    with import_module("playwright.sync_api").sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        with opened(chromium, language="en") as window:
            page = window.page
            page.goto(PAGE.as_uri())
            page.click("#in-en")
            page.set_input_files("#file", file)
            page.wait_for_selector("#result:not([hidden])", timeout=MILLISECONDS_MAX)
            for said in page.locator("#checks li:visible").all_inner_texts():
                print(" ".join(said.split()))
            print(f"In {chromium.browser_type.name} {chromium.version}:", page.inner_text("#verdict p.lead"))
            agrees = page.get_attribute("#verdict", "class") == "verdict"
        chromium.close()
    return 0 if agrees else 1


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("Give the bundle to look at: python -m tests.browser.judge FILE")
    sys.exit(main(sys.argv[1]))
