"""Reports to look at, and a headless Chromium to look with."""

import shutil

import pytest

from ganray.report.site import build_report
from ganray.store.store import Store
from tests.report.site.made_up import fill, fill_hostile, fill_two_sets


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """index.html of an ordinary report."""
    folder = tmp_path_factory.mktemp("report")
    store = Store(folder / "store")
    fill(store)
    return build_report(store, [], folder / "site")


@pytest.fixture(scope="session")
def report_of_two_sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    store = Store(folder / "store")
    fill_two_sets(store)
    return build_report(store, [], folder / "site")


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    store = Store(folder / "store")
    fill_hostile(store)
    return build_report(store, [], folder / "site")


@pytest.fixture(scope="session")
def chromium():
    """A real browser; the tests are skipped, with the reason, where it or its driver is not installed."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium):
    """The same browser with nothing in its log; a test that leaves an error there has failed."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    yield chromium
    assert chromium.get_log("browser") == []
