"""Approvals as people live them: real kubectl and MCP clients wait, people decide in a browser, and that runs.

One gateway, one console, one certified identity provider and one Chromium for all of it.
"""

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.fakes.approving_world import ApprovingWorld
from tests.fakes.browser_people import PATIENCE, PersonAtBrowser
from tests.fakes.chromium import chromium

pytestmark = pytest.mark.e2e
expect.set_options(timeout=PATIENCE)

type Meet = Callable[[str], PersonAtBrowser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApprovingWorld]:
    with ApprovingWorld(tmp_path_factory.mktemp("approving")) as world:
        yield world


@pytest.fixture(scope="module")
def meet(browser: Browser, place: ApprovingWorld) -> Iterator[Meet]:
    """Somebody by name: the same browser at every meeting."""
    known: dict[str, PersonAtBrowser] = {}

    def met(name: str) -> PersonAtBrowser:
        return known.setdefault(name, PersonAtBrowser(browser, place.pages, name))

    yield met
    for person in known.values():
        person.context.close()


@pytest.fixture
def world(place: ApprovingWorld) -> Iterator[ApprovingWorld]:
    """The shop is whole, nothing waits."""
    place.restock()
    yield place
    place.hang_up()


def arrives(page: Page, text: str) -> None:
    """Wait until a request stands on an open list, by itself, and open it."""
    item = page.locator(".item", has_text=text)
    expect(item).to_have_count(1)
    item.click()
    expect(page.locator("#decision")).to_be_visible()


def test_a_deletion_arrives_is_read_and_approved_and_the_object_is_gone(
    world: ApprovingWorld, meet: Meet, browser: Browser
) -> None:
    rita = PersonAtBrowser(browser, world.pages, "rita")
    page = rita.open()
    assert rita.forms == 1, "the provider asks who it is"
    expect(page.locator("h1")).to_have_text("Pending")
    kubectl = world.run("delete", "deployment", "web", "--wait=false")
    arrives(page, "delete deployments shop/web")
    tried = page.locator("#tried")
    expect(tried).to_have_attribute("data-state", "ready")
    expect(tried.locator(".object")).to_contain_text("registry.local/web:1")
    hangs = tried.locator(".hangs")
    for text in ("2 Pods: web-", "PodDisruptionBudget web-budget: 0 disruptions allowed now", "Service front"):
        expect(hangs).to_contain_text(text)
    expect(page.locator("main")).to_contain_text("what is deleted does not come back")
    expect(page.locator("#h-who ~ .facts")).to_contain_text("claude")
    page.fill("#comment", "the shop moves today, as agreed")
    page.click("#approve")
    expect(page.locator("#live .state")).to_have_text("approved")
    assert kubectl.wait() == 0, kubectl.output
    assert 'deployment.apps "web" deleted' in kubectl.output
    assert "approved by rita@corp.example" in kubectl.output
    assert "rita@corp.example wrote: the shop moves today, as agreed" in kubectl.output
    assert "web" not in world.kubectl("-n", "shop", "get", "deployments", config=world.direct).out
    page.goto(world.pages + "/history")
    row = page.locator("tbody tr", has_text="delete deployments shop/web")
    expect(row).to_contain_text("approved")
    expect(row).to_contain_text("Rita Reviewer")
    alice = meet("alice").open("/history?mine=1")
    alice.click("tbody a")
    expect(alice.locator(".votes")).to_contain_text("the shop moves today, as agreed")
    alice.close()
    rita.context.close()


def approve(page: Page, comment: str = "") -> None:
    """Approve the open request: the comment and the button."""
    if comment:
        page.fill("#comment", comment)
    page.click("#approve")
    expect(page.locator("#live .state")).to_have_text("approved")


IMAGE = json.dumps(
    {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "registry.local/web:2"}]}}}}
)


def test_an_approval_is_void_once_the_object_changed_and_the_next_one_counts(world: ApprovingWorld, meet: Meet) -> None:
    patch = ("patch", "deployment", "web", "-p", IMAGE)
    page = meet("rita").open()
    kubectl = world.run(*patch)
    arrives(page, "patch deployments shop/web")
    row = page.locator(".diff tbody tr", has_text="containers[name=main].image")
    expect(row.locator(".before")).to_contain_text("registry.local/web:1")
    expect(row.locator(".after")).to_contain_text("registry.local/web:2")
    world.change("apps", "deployments", "web", replicas=3)
    approve(page)
    assert kubectl.wait() == 1
    assert "(Conflict): holdpoint: the object changed since this was approved; ask again" in kubectl.output
    page.goto(world.pages)
    again = world.run(*patch)
    arrives(page, "patch deployments shop/web")
    expect(page.locator("#tried .hangs")).to_contain_text("replicas")
    approve(page)
    assert again.wait() == 0, again.output
    live = world.live("apps", "deployments", "web")["spec"]
    assert (live["replicas"], live["template"]["spec"]["containers"][0]["image"]) == (3, "registry.local/web:2")
    page.close()


def confirm(world: ApprovingWorld, person: PersonAtBrowser, page: Page) -> None:
    """Approve, and say at the provider that it is oneself who does."""
    page.click("#approve")
    page.wait_for_url(f"{world.provider}/**")
    before = person.forms
    person.pass_login(page)
    assert person.forms == before + 1


def test_two_people_confirm_at_their_login_and_the_record_proves_it(world: ApprovingWorld, meet: Meet) -> None:
    rita, sam = meet("rita"), meet("sam")
    page = rita.open()
    client = world.write_note("runbook", "restart the shop at night only")
    arrives(page, "write_note")
    expect(page.locator("main")).to_contain_text("restart the shop at night only")
    expect(page.locator(".quorum")).to_contain_text("0 of 2 approved, 2 missing")
    page.click("#approve")
    page.wait_for_url(f"{world.provider}/**")
    page.click("text=Cancel")
    expect(page.locator("h1")).to_have_text("Nothing was sent")
    page.click("main a")
    expect(page.locator(".quorum")).to_contain_text("0 of 2 approved")
    confirm(world, rita, page)
    expect(page.locator(".quorum")).to_contain_text("1 of 2 approved, 1 missing")
    expect(page.locator(".places .filled")).to_have_text("Rita Reviewer")
    request_id = page.url.rpartition("/")[2]
    other = sam.open(f"/requests/{request_id}")
    expect(other.locator(".places .filled")).to_have_text("Rita Reviewer")
    assert client.process.poll() is None
    confirm(world, sam, other)
    expect(other.locator("#live .state")).to_have_text("approved")
    expect(page.locator("#live .state")).to_have_text("approved")
    assert client.wait() == 0, client.output
    assert "wrote runbook" in client.output
    status, said = world.verify(request_id)
    assert status == 0, said
    assert "rita@corp.example, sam@corp.example" in said
    other.close()
    page.close()


def put(discount: int) -> tuple[str, ...]:
    return ("patch", "configmap", "prices", "-p", json.dumps({"data": {"discount": str(discount)}}))


def test_a_requester_gives_the_reason_that_the_rule_wants(world: ApprovingWorld, meet: Meet) -> None:
    page, own = meet("rita").open(), meet("alice").open()
    kubectl = world.run(*put(10))
    arrives(page, "patch configmaps shop/prices")
    expect(page.locator("#live")).to_contain_text("Nobody can approve it now")
    arrives(own, "patch configmaps shop/prices")
    expect(own.locator("#decide")).to_contain_text("This was asked for you")
    own.fill("#reason", "the summer sale begins at noon")
    own.click("#why button")
    expect(own.locator(".quote")).to_contain_text("the summer sale begins at noon")
    expect(page.locator(".quote")).to_contain_text("the summer sale begins at noon")
    expect(page.locator("#approve")).to_be_enabled()
    approve(page)
    assert kubectl.wait() == 0, kubectl.output
    own.close()
    page.close()


def test_a_requester_takes_one_back(world: ApprovingWorld, meet: Meet) -> None:
    own = meet("alice").open()
    kubectl = world.run(*put(20))
    arrives(own, "patch configmaps shop/prices")
    own.click("text=Take it back")
    own.click("#withdraw button")
    expect(own.locator("#live .state")).to_have_text("withdrawn")
    assert kubectl.wait() == 1
    assert "this request was taken back" in kubectl.output
    own.close()


def test_a_requester_breaks_the_glass_and_a_reviewer_looks_at_it_afterwards(world: ApprovingWorld, meet: Meet) -> None:
    own = meet("alice").open()
    kubectl = world.run(*put(30))
    arrives(own, "patch configmaps shop/prices")
    own.click("text=Break the glass")
    own.fill("#emergency", "every order fails and nobody answers the phone")
    own.click("#glass button")
    expect(own.locator("h1")).to_have_text("Break the glass?")
    own.click("button.deny")
    expect(own.locator("#live")).to_contain_text("glass broken, not reviewed")
    assert kubectl.wait() == 0, kubectl.output
    assert "approved by nobody: alice@corp.example broke the glass" in kubectl.output
    page = meet("rita").open("/history")
    page.locator("tbody tr", has_text="glass broken, not reviewed").locator("a").first.click()
    page.fill("#comment", "right, the orders were failing")
    page.click("#review button")
    expect(page.locator("#live")).to_contain_text("glass broken, reviewed")
    expect(own.locator("#live")).to_contain_text("glass broken, reviewed")
    own.close()
    page.close()


def scale(replicas: int) -> tuple[str, ...]:
    return ("scale", "deployment", "web", f"--replicas={replicas}")


def test_a_window_is_used_and_revoked_and_then_it_is_asked_again(world: ApprovingWorld, meet: Meet) -> None:
    page = meet("rita").open()
    kubectl = world.run(*scale(5))
    arrives(page, "deployments/scale")
    expect(page.locator(".opens")).to_contain_text("for 15 minutes")
    expect(page.locator(".diff tbody")).to_contain_text("spec.replicas")
    approve(page)
    assert kubectl.wait() == 0, kubectl.output
    assert world.run(*scale(4)).wait() == 0
    page.goto(world.pages + "/grants?whose=all")
    card = page.locator(".card", has_text="in force")
    expect(card).to_contain_text("used 2 times")
    card.locator("summary").click()
    card.locator("[name=reason]").fill("enough for today")
    card.locator("button.deny").click()
    expect(page.locator(".card", has_text="in force")).to_have_count(0)
    page.goto(world.pages)
    asked = world.run(*scale(6))
    arrives(page, "deployments/scale")
    page.fill("#comment", "tomorrow again")
    page.click("#deny")
    expect(page.locator("#live .state")).to_have_text("denied")
    assert asked.wait() == 1
    assert "tomorrow again" in asked.output
    assert world.live("apps", "deployments", "web")["spec"]["replicas"] == 4
    page.close()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"java_script_enabled": False}, id="scripts off"),
        pytest.param(
            {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"},
            id="a phone in the dark",
        ),
    ],
)
def test_the_same_decision_is_made(
    world: ApprovingWorld, meet: Meet, browser: Browser, options: dict[str, object]
) -> None:
    person = PersonAtBrowser(browser, world.pages, "rita", **options)
    watching = meet("sam").open()
    kubectl = world.run("delete", "configmap", "prices", "--wait=false")
    arrives(watching, "delete configmaps shop/prices")
    expect(watching.locator("#tried .object")).to_contain_text("currency")
    page = person.open()
    page.click(".item")
    expect(page.locator("#tried .object")).to_contain_text("currency")
    wide: list[int] = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    if page.locator(".jump").is_visible():
        page.click(".jump")
    approve(page, "by any means")
    expect(watching.locator("#live .state")).to_have_text("approved")
    watching.close()
    assert kubectl.wait() == 0, kubectl.output
    assert "rita@corp.example wrote: by any means" in kubectl.output
    person.context.close()
