"""The page in a real browser: what people see and do there."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from nst_batch.planning.planned import write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.report.page import write_report
from tests.browser.chromium import PHONE, Watched
from tests.report.made import STYLES, Made, make_run

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore")]

Windows = Callable[..., Watched]


def tiles(page: Any) -> list[str]:
    """What is said of each picture, in the order of the page."""
    found: list[str] = page.eval_on_selector_all(".pic", "all => all.map(each => each.getAttribute('aria-label'))")
    return found


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.id"))


def pixels(image: bytes | Path, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
        return np.asarray(opened.convert("RGB").resize(size, Image.Resampling.BILINEAR)).astype(np.float64)


def loaded(page: Any, selector: str) -> None:
    """Wait until the files themselves are there, and not only their thumbnails."""
    page.wait_for_function(
        "selector => [...document.querySelectorAll(selector)].every(each => each.complete && each.naturalWidth"
        " && !each.src.startsWith('data:'))",
        arg=selector,
    )


def output_in(made: Made, state: str, ending: str = ".png") -> str:
    """A picture's plain name."""
    return next(name for name, each in made.states.items() if each == state and name.endswith(ending))


def of(made: Made, output: str) -> Any:
    return next(task for task in made.tasks if task.output == output)


def open_at(window: Windows, made: Made, output: str, **options: Any) -> Any:
    page = window(**options).open(made.paths.report, f"#{quote(output, safe='')}")
    page.wait_for_selector("#large[open]")
    return page


# --- the grid ---------------------------------------------------------------------------------------------------------


def test_every_pair_has_its_cell_and_every_picture_is_there(page: Any, made: Made) -> None:
    contents, columns = 8, len(STYLES) + 1
    assert page.locator("tbody tr").count() == contents
    assert page.locator("tbody td").count() == contents * columns
    assert set(
        page.eval_on_selector_all("tbody td", "all => all.map(each => each.querySelectorAll('.pic').length)")
    ) == {4}
    assert [page.locator(f"#states .{state}").inner_text() for state in ("done", "failed", "todo")] == [
        f"{made.count('done')} done", f"{made.count('failed')} failed", f"{made.count('todo')} to do",
    ]  # fmt: skip
    assert page.locator(".pic .hollow.failed").count() == made.count("failed")
    assert page.locator(".pic .hollow.todo").count() == made.count("todo")
    heads = page.locator("thead th").all_inner_texts()
    assert heads[:3] == ["monet/water", "hokusai/water", "the_scream"] and heads[-1] == "woodcut + starry night"
    facts = page.locator("#facts").inner_text()
    assert facts.startswith("8 contents × 7 styles") and "on 1 device" in facts


def test_pictures_are_loaded_when_they_come_near(page: Any) -> None:
    wait_for_some = "() => document.querySelectorAll('#main img[src]').length > 20"
    page.wait_for_function(wait_for_some)
    everything, at_first = page.locator("#main img").count(), page.locator("#main img[src]").count()
    assert at_first < everything
    page.evaluate("document.getElementById('main').scrollTo(1e6, 1e6)")
    page.wait_for_function(f"() => document.querySelectorAll('#main img[src]').length > {at_first}")
    assert page.locator("#main img").last.evaluate("async each => { await each.decode(); return each.naturalWidth }")


def test_heads_stay_in_sight(page: Any) -> None:
    page.evaluate("document.getElementById('main').scrollTo(400, 700)")
    head, row = page.locator("thead th").last.bounding_box(), page.locator("tbody th").nth(3).bounding_box()
    top = page.locator("#main").bounding_box()
    assert head["y"] == pytest.approx(top["y"], abs=1) and row["x"] == pytest.approx(top["x"], abs=1)


def test_axes_choose_what_is_shown(page: Any) -> None:
    page.get_by_label("strength", exact=False).first.select_option("0.7")
    assert {"strength 0.7" in each for each in tiles(page)} == {True} and len(tiles(page)) == 112
    page.locator("#axes label", has_text="style_scale").locator("select").select_option("0.5")
    assert len(tiles(page)) == 56 and page.locator("#count").inner_text() == "56 of 224"


def test_an_axis_can_be_the_columns(page: Any) -> None:
    page.locator("#across").select_option("strength")
    assert page.locator("thead th").all_inner_texts() == ["strength 0.4", "strength 0.7"]
    assert page.locator("tbody tr").count() == 56 and len(tiles(page)) == 224
    assert page.locator("#axes label", has_text="strength").is_hidden(), "it is in the columns already"
    assert {"0.7" in label for label in page.eval_on_selector_all(
        "tbody td:nth-of-type(2) .pic", "all => all.map(each => each.title)")} == {True}  # fmt: skip


# --- finding ----------------------------------------------------------------------------------------------------------


def test_words_are_found_in_names_settings_and_messages(page: Any) -> None:
    page.keyboard.press("/")
    assert focused(page) == "Find"
    page.keyboard.type("LAKE scream 0.7")
    assert len(tiles(page)) == 2 and all(each.startswith("dusk lake × the_scream") for each in tiles(page))
    page.locator("#search").fill("truncated")
    assert tiles(page) and {each.endswith(": failed") for each in tiles(page)} == {True}
    page.locator("#search").fill("there is no such thing")
    assert tiles(page) == [] and page.locator("#nothing").is_visible()
    page.locator("#clear").click()
    assert len(tiles(page)) == 224 and page.locator("#search").input_value() == ""


def test_escape_clears_the_search_and_then_leaves_it(page: Any) -> None:
    page.keyboard.press("/")
    page.keyboard.type("lake")
    page.keyboard.press("Escape")
    assert (page.locator("#search").input_value(), focused(page), len(tiles(page))) == ("", "Find", 224)
    page.keyboard.press("Escape")
    assert focused(page) != "Find"


def test_states_can_be_hidden(page: Any, made: Made) -> None:
    for state in ("done", "todo"):
        page.locator(f"#states .{state}").click()
    assert len(tiles(page)) == made.count("failed")
    assert page.locator("#states .done").get_attribute("aria-pressed") == "false"
    page.locator("#states .done").click()
    assert len(tiles(page)) == made.count("failed") + made.count("done")


def test_pictures_are_put_in_order(page: Any) -> None:
    page.keyboard.press("l")
    losses: dict[str, list[float]] = {}
    for order in ("least", "most"):
        page.locator("#sort").select_option(order)
        said = page.locator(".caption span:last-child").all_inner_texts()
        losses[order] = [float(each.rpartition("loss ")[2]) for each in said if "loss " in each]
    assert losses["least"] == sorted(losses["least"]) and losses["most"] == sorted(losses["most"], reverse=True)
    assert len(losses["least"]) == len(losses["most"]) > 190
    page.locator("#sort").select_option("slow")
    assert "19 s" in page.locator(".caption span:last-child").first.inner_text()
    page.locator("#sort").select_option("name")
    assert tiles(page)[0].startswith("<img src=x") or tiles(page)[0] < tiles(page)[-1]
    page.locator("#sort").select_option("plan")
    assert tiles(page)[0].startswith("dusk lake × monet/water, style_scale 1, strength 0.4")


def test_size_is_chosen(page: Any) -> None:
    before = page.locator(".pic").first.bounding_box()["width"]
    page.locator("#zoom").evaluate("each => { each.value = 300; each.dispatchEvent(new Event('input')) }")
    assert page.locator(".pic").first.bounding_box()["width"] == 300 > before


# --- the large view ---------------------------------------------------------------------------------------------------


def test_it_opens_and_closes_and_goes_on(page: Any) -> None:
    names = tiles(page)
    page.locator(".pic").first.click()
    assert page.locator("#large-name").inner_text().startswith("dusk lake × monet/water")
    assert page.locator("#large-place").inner_text() == "1 of 224" and page.locator("#previous").is_disabled()
    page.locator("#next").click()
    page.keyboard.press("ArrowRight")
    assert page.locator("#large-place").inner_text() == "3 of 224"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert page.locator("#large").is_hidden() and focused(page) == names[1], "back at the picture that was seen last"
    page.keyboard.press("Enter")
    assert page.locator("#large-place").inner_text() == "2 of 224"
    page.locator("#close").click()
    assert page.locator("#large").is_hidden() and "#" not in page.url


def test_the_slider_shows_the_content_left_and_the_result_right(window: Windows, made: Made) -> None:
    output = output_in(made, "done")
    page = open_at(window, made, output)
    loaded(page, ".slider img")
    content, result = Path(of(made, output).content.path), made.paths.output(output)

    def fifths() -> list[str]:
        """What each fifth of the width shows; away from the handle and the words at the foot."""
        shot = page.locator(".slider").screenshot()
        size = Image.open(io.BytesIO(shot)).size
        there = [np.abs(pixels(shot, size) - pixels(file, size))[: size[1] // 3] for file in (content, result)]
        means = [[part.mean() for part in np.array_split(each, 5, axis=1)] for each in there]
        return [
            "content"
            if a < 5 and b > 15
            else "result"
            if b < 5 and a > 15
            else f"{a:.1f} from the one, {b:.1f} from the other"
            for a, b in zip(*means, strict=True)
        ]

    assert fifths()[:2] + fifths()[3:] == ["content"] * 2 + ["result"] * 2
    for _ in range(4):
        page.keyboard.press("[")
    assert fifths()[1:] == ["result"] * 4
    for _ in range(8):
        page.keyboard.press("]")
    assert fifths()[:4] == ["content"] * 4
    box = page.locator(".slider").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50, steps=4)
    page.mouse.up()
    assert float(page.locator(".slider input").input_value()) == pytest.approx(30, abs=2)
    page.keyboard.press("ArrowRight")
    assert page.locator("#large-place").inner_text() == "6 of 224", "arrows go on to the next picture"


def test_three_ways_to_look(window: Windows, made: Made) -> None:
    page = open_at(window, made, output_in(made, "done"))
    page.keyboard.press("2")
    loaded(page, "#look img")
    assert page.locator("#look figcaption").all_inner_texts() == [
        "Content: dusk lake",
        "Style: hokusai/water",
        "Result",
    ]
    boxes = [page.locator(f"#look .{kind} img").bounding_box() for kind in ("content", "style", "result")]
    assert boxes[2]["height"] > boxes[0]["height"] and boxes[2]["x"] > boxes[0]["x"] + boxes[0]["width"]
    assert boxes[0]["width"] / boxes[0]["height"] == pytest.approx(96 / 128, rel=0.02), "as it is, not stretched"
    page.keyboard.press("3")
    assert page.locator("#look img").count() == 1
    fitting = page.locator("#look img").bounding_box()
    page.keyboard.press("z")
    assert page.locator("#look img").bounding_box()["width"] == 96 != fitting["width"]
    page.get_by_role("button", name="Slider").click()
    assert page.locator("#look .slider").is_visible()


def test_what_is_known_of_a_picture_is_said(window: Windows, made: Made) -> None:
    page = open_at(window, made, output_in(made, "done"))
    said = page.locator("#about").inner_text()
    assert "[object" not in said and "undefined" not in said and "NaN" not in said
    for part in (
        "Variants",
        "Loss",
        "Rendering",
        "96 × 128",
        "310: 120 at 48 × 64, 190 at 96 × 128",
        "812 MB",
        "cpu on studio",
    ):
        assert part in said, part
    assert page.locator("#about .variants button").count() == 4
    page.locator("#about .variants button").nth(2).click()
    assert page.locator("#about .variants button").nth(2).get_attribute("aria-current") == "true"
    href = page.locator("#about dd a").first.get_attribute("href")
    assert href and page.evaluate("href => fetch ? new URL(href, location).protocol : ''", href) == "file:"


def test_losses_are_drawn_by_term(window: Windows, made: Made) -> None:
    page = open_at(window, made, output_in(made, "done"))
    drawn = "all => all.map(each => [each.dataset.line, each.getAttribute('d').match(/[ML]/g).length])"
    assert page.eval_on_selector_all("#about path", drawn) == [["total", 32], ["content", 32], ["style", 32]]
    page.locator("#about summary", has_text="by layer").click()
    assert page.locator("#about details .legend button").count() == 12
    page.locator("#about .legend button", has_text="style conv2_1/4").click()
    page.locator("#about .legend button", has_text="total").click()
    assert [name for name, _ in page.eval_on_selector_all("#about path", drawn)] == [
        "content",
        "style",
        "style conv2_1/4",
    ]
    page.locator("#about .legend button", has_text="style conv1_1/4").click()
    assert ["style conv1_1/4", 20] in page.eval_on_selector_all("#about path", drawn), "not where there is none"
    assert all("NaN" not in each and "Infinity" not in each for each in page.eval_on_selector_all(
        "#about path", "all => all.map(each => each.getAttribute('d'))"))  # fmt: skip
    page.locator("#about .legend button", has_text="style conv1_1/4").click()
    assert page.locator("#about svg text").count() >= 5 and page.locator("#about svg .scale").count() == 1
    page.keyboard.press("ArrowLeft")
    assert [name for name, _ in page.eval_on_selector_all("#about path", drawn)][-1] == "style conv2_1/4", "kept"


def test_failures_say_why_and_what_to_do(window: Windows, made: Made) -> None:
    failures = [name for name, state in made.states.items() if state == "failed"]
    reasons = []
    for output in failures[:3]:
        page = open_at(window, made, output)
        reasons.append(page.locator("#about .reason").inner_text())
        assert page.get_by_role("button", name="Slider").is_disabled()
        assert page.locator("#look .result .hollow").is_visible() and page.locator("#look .content img").is_visible()
    assert any("use transfer.size=3400" in each for each in reasons)
    assert any("second line" in each and "<img src=x" in each for each in reasons)


def test_what_browsers_cannot_show_is_shown_by_its_thumbnail(window: Windows, made: Made) -> None:
    page = open_at(window, made, output_in(made, "done", ".tif"))
    page.keyboard.press("3")
    page.wait_for_function("document.querySelector('#look img').naturalWidth > 0")
    assert page.locator("#look img").get_attribute("src").startswith("data:image/webp")
    assert page.locator("#about dd a").first.get_attribute("href").endswith(".tif")


def test_an_address_names_a_picture(window: Windows, made: Made) -> None:
    for output in (output_in(made, "todo"), next(name for name in made.states if "😀" in name)):
        page = open_at(window, made, output)
        assert output in page.locator("#about").inner_text()
    page = window().open(made.paths.report, "#%E0%A4%A")
    assert page.locator("#large").is_hidden()


# --- names ------------------------------------------------------------------------------------------------------------


def test_hostile_names_are_text_and_nothing_is_carried_out(page: Any, made: Made) -> None:
    rows = page.locator("tbody th").all_inner_texts()
    assert '<img src=x onerror="window.hacked=1">' in rows and r"caf\xe9" in rows
    assert r"two\nlines" in rows and r"\u202egnp.exe" in rows and "naïve 😀 \"quotes\" & 'more'" in rows
    for place in range(0, 224, 9):
        page.locator(f'.pic[data-place="{place}"]').evaluate("each => each.click()")
        page.keyboard.press(str(1 + place % 3))
        page.keyboard.press("Escape")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[onerror], [src='x']").count() == 0
    assert page.evaluate("document.scripts.length") == 2


def test_pictures_with_hostile_names_are_found_by_their_links(window: Windows, made: Made) -> None:
    output = next(n for n, s in made.states.items() if s == "done" and n.startswith("caf\udce9"))
    page = window().open(made.paths.report)
    page.locator(".pic", has=page.locator(f'img[alt^="{output[:3]}"]')).first.evaluate("each => each.click()")
    page.keyboard.press("2")
    loaded(page, "#look img")


# --- keys, focus, looks -----------------------------------------------------------------------------------------------


def test_arrows_walk_through_the_grid(page: Any) -> None:
    names = tiles(page)
    page.keyboard.press("ArrowDown")
    assert focused(page) == names[0]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused(page) == names[2]
    page.keyboard.press("ArrowUp")
    assert focused(page) == names[0], "the one above, in the same cell"
    page.keyboard.press("ArrowUp")
    assert focused(page) == names[0]
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    box, main = page.locator(":focus").bounding_box(), page.locator("#main").bounding_box()
    assert main["y"] < box["y"] and box["y"] + box["height"] <= main["y"] + main["height"] + 1, "scrolled into sight"
    assert page.locator(":focus").evaluate("each => each.closest('td').cellIndex") == 1, "in the same column"
    page.locator("tbody tr").nth(1).locator("td").nth(4).locator(".pic").last.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.locator(":focus").evaluate("each => each.closest('td').cellIndex") == 5, "in the same column"
    page.keyboard.press("End")
    assert focused(page) == names[-1]
    assert page.locator('.pic[tabindex="0"]').count() == 1, "one stop for Tab, wherever one is"


def test_keys_are_explained_and_choose_views(page: Any) -> None:
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("l")
    assert page.locator("table").count() == 1, "no keys but its own while it is open"
    page.keyboard.press("Escape")
    assert page.locator("#keys").is_hidden()
    page.keyboard.press("l")
    assert page.locator(".list .pic").count() == 224
    page.keyboard.press("g")
    assert page.locator("table").count() == 1


def test_light_and_dark(window: Windows, made: Made) -> None:
    back = "getComputedStyle(document.documentElement).backgroundColor"
    light, dark = window().open(made.paths.report), window(color_scheme="dark").open(made.paths.report)
    by_system = light.evaluate(back), dark.evaluate(back)
    assert by_system == ("rgb(246, 244, 240)", "rgb(20, 19, 18)")
    light.locator("#theme").click()
    assert light.evaluate(back) == by_system[1]
    light.keyboard.press("t")
    assert light.evaluate(back) == by_system[0]
    dark.keyboard.press("t")
    dark.reload()
    assert dark.evaluate(back) == by_system[0], "remembered"


CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const back = (node) => {
    const color = rgba(getComputedStyle(node).backgroundColor);
    return color[3] === 255 ? color : node.parentElement ? back(node.parentElement) : [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest(":disabled, svg, .tag, script, option, noscript")) continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color)), light(back(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    let opacity = 1;
    for (let up = node; up; up = up.parentElement) opacity *= getComputedStyle(up).opacity;
    found.push([ratio * (opacity < 1 ? 0 : 1), node.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(window: Windows, made: Made, scheme: str) -> None:
    page = window(color_scheme=scheme).open(made.paths.report)
    page.locator("#states .todo").click()  # switched off, it is still to be read
    texts = page.evaluate(CONTRASTS)
    page.keyboard.press("?")
    texts += page.evaluate(CONTRASTS)
    for state in ("done", "failed"):
        texts += open_at(window, made, output_in(made, state), color_scheme=scheme).evaluate(CONTRASTS)
    assert len(texts) > 300
    assert [each for each in texts if each[0] < 4.5] == []


def test_everything_has_a_name_and_shows_its_focus(page: Any) -> None:
    nameless = """all => all.filter(each => !(each.textContent.trim() || each.getAttribute('aria-label')
      || each.labels?.length)).map(each => each.outerHTML)"""
    assert page.eval_on_selector_all("button, input, select, a", nameless) == []
    assert page.eval_on_selector_all("#main img", "all => all.filter(each => !each.hasAttribute('alt')).length") == 0
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        seen.append(focused(page))
        assert outline == "solid" or seen[-1] in ("main", "null"), seen[-1]
    assert {"search", "Find"} & set(seen) and tiles(page)[0] in seen
    page.locator(".pic").first.focus()
    page.keyboard.press("Enter")
    inside = set()
    for _ in range(8):
        page.keyboard.press("Tab")
        inside.add(
            page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
        )
    assert inside == {True}, "the focus stays in the large view"


# --- telephones, paper ------------------------------------------------------------------------------------------------


def test_a_telephone_shows_it_without_scrolling_sideways(window: Windows, made: Made) -> None:
    page = window(viewport=PHONE, has_touch=True, is_mobile=True).open(made.paths.report)
    wide = "[document.documentElement.scrollWidth, document.body.scrollWidth]"
    reach = """all => all.filter(each => each.checkVisibility()).map(each => each.getBoundingClientRect())
      .filter(box => box.left < 0 || box.right > innerWidth || box.height < 24 || box.width < 24).length"""
    assert page.locator(".list").is_visible(), "a list at first"
    assert page.evaluate(wide) == [390, 390]
    assert page.evaluate("document.getElementById('main').scrollWidth") == 390
    assert page.locator("#search").is_hidden()
    page.locator("#more").tap()
    assert page.locator("#search").is_visible() and page.locator("#more").get_attribute("aria-expanded") == "true"
    assert page.eval_on_selector_all("#top button, #top select, #top input", reach) == 0
    page.locator("#as-grid").tap()
    assert page.evaluate(wide) == [390, 390], "the grid is scrolled, not the page"
    page.locator(".pic").first.tap()
    for kind in ("Slider", "Side by side", "Result"):
        page.get_by_role("button", name=kind).tap()
        assert page.evaluate(wide) == [390, 390]
        assert page.evaluate("document.querySelector('.stage').scrollWidth") == 390
        assert page.eval_on_selector_all("#large .bar button", reach) == 0
        assert page.locator("#look .result img, #look .slider").first.bounding_box()["width"] > 340
    page.locator("#about").scroll_into_view_if_needed()
    page.locator("#close").tap()
    assert page.locator("#large").is_hidden()


def test_paper_has_all_pictures_and_no_tools(page: Any) -> None:
    document = page.pdf(format="A3", landscape=True)
    assert document.startswith(b"%PDF")
    assert page.locator("#main img:not([src])").count() == 0
    page.emulate_media(media="print")
    assert page.locator("#tools").is_hidden() and page.locator("#help").is_hidden()
    assert page.evaluate("getComputedStyle(document.getElementById('main')).overflowY") == "visible"


# --- runs that go on, and odd ones ------------------------------------------------------------------------------------


def test_the_page_of_a_run_that_goes_on_loads_itself_and_finds_back(window: Windows, tmp_path: Path) -> None:
    half = make_run(tmp_path / "half", state_of=lambda place: "done" if place < 100 else "todo", side=48)
    write_report(half.paths, live=True)
    waiting = next(name for name, state in half.states.items() if state == "todo" and "naïve" not in name)
    page = window().page
    page.clock.install()
    page.goto(half.paths.report.as_uri())
    assert "running" in page.locator("#facts").inner_text() and page.locator("#progress").is_visible()
    page.locator("#search").fill("strength 0.7")
    page.locator("#search").blur()
    page.locator("#zoom").evaluate("each => { each.value = 200; each.dispatchEvent(new Event('input')) }")
    page.evaluate("document.getElementById('main').scrollTo(120, 900)")
    page.evaluate("name => { location.hash = encodeURIComponent(name) }", waiting)
    page.wait_for_selector("#large[open]")
    page.evaluate("window.before = true")
    later = make_run(tmp_path / "later", state_of=lambda place: "done", side=48)
    for part in later.paths.manifest.iterdir():
        text = part.read_text().replace(str(tmp_path / "later"), str(tmp_path / "half"))
        (half.paths.manifest / f"more-{part.name}").write_text(text)
    for name in later.states:
        later.paths.output(name).replace(half.paths.output(name))
    write_report(half.paths, live=True)
    page.clock.fast_forward(61_000)
    page.wait_for_function("() => !window.before && document.getElementById('large')?.open")
    assert waiting in page.locator("#about").inner_text() and page.locator("#look img").count() > 0, "it is done by now"
    assert page.locator("#search").input_value() == "strength 0.7" and len(tiles(page)) == 112
    assert page.locator("#main").evaluate("each => [each.scrollLeft, each.scrollTop]") == [120, 900]
    assert page.locator("#zoom").input_value() == "200" and page.locator("#states .todo").count() == 0
    page.evaluate("window.before = true")
    page.clock.fast_forward(61_000)
    assert page.evaluate("window.before"), "nobody is disturbed who looks at a finished picture"
    page.keyboard.press("Escape")
    page.clock.fast_forward(21_000)
    page.wait_for_function("() => !window.before")


def test_the_page_of_a_run_that_is_over_stays_as_it_is(window: Windows, made: Made) -> None:
    page = window().page
    page.clock.install()
    page.goto(made.paths.report.as_uri())
    page.evaluate("window.before = true")
    page.clock.fast_forward(600_000)
    assert page.evaluate("window.before")


@pytest.mark.parametrize(
    ("contents", "styles", "state", "view"),
    [
        (("a.png",), ("s.png",), "done", ".list"),
        (("a.png",), ("s.png",), "todo", ".list"),
        (("a.png",), tuple(f"s{place}.png" for place in range(5)), "done", ".list"),
        (tuple(f"a{place}.png" for place in range(5)), ("s.png",), "done", ".list"),
        (("a.png", "b.png"), tuple(f"s{place}.png" for place in range(30)), "done", "table"),
        (("a.png", "b.png"), ("s.png", "t.png"), "todo", "table"),
    ],
)
def test_odd_shapes(
    window: Windows, tmp_path: Path, contents: tuple[str, ...], styles: tuple[str, ...], state: str, view: str
) -> None:
    made = make_run(tmp_path, contents, styles, sweep={}, state_of=lambda _: state, side=48)
    page = window().open(write_report(made.paths))
    assert page.locator(view).is_visible() and len(tiles(page)) == len(made.tasks)
    page.locator(".pic").first.click()
    assert page.locator("#large-place").inner_text() == f"1 of {len(made.tasks)}"
    for key in itertools.chain("123", ["ArrowRight"]):
        page.keyboard.press(key)


# --- runs with more than a page shows, and such as have a few of very many pairs --------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Over 900 pictures, of which 60 are shown: a grid of them would be full of holes."""
    contents, styles = (tuple(f"{kind}{n:02}.png" for n in range(many)) for kind, many in (("c", 30), ("s", 15)))
    made = make_run(tmp_path_factory.mktemp("large"), contents, styles, sweep={"strength": (0.4, 0.7)}, side=32)
    write_report(made.paths, most=60)
    return made


def groups(page: Any) -> dict[str, int]:
    found: dict[str, int] = page.eval_on_selector_all(
        ".group", "all => Object.fromEntries(all.map(each => [each.ariaLabel, each.querySelectorAll('.pic').length]))"
    )
    return found


def test_a_sample_says_so_and_counts_the_whole_run(window: Windows, large: Made) -> None:
    page = window().open(large.paths.report)
    facts = page.locator("#facts").inner_text()
    assert facts.startswith(f"a sample of 60 of {len(large.tasks)} pictures · 30 contents, 16 styles")
    assert page.locator("#states .done").inner_text() == f"{large.count('done')} done"
    assert page.locator("#states .todo").is_disabled() and len(tiles(page)) == 60
    page.locator("#states .done").click()
    failed = len(tiles(page))
    assert 0 < failed <= 15 and page.locator("#count").inner_text() == f"{failed} of 60 in the sample"
    assert "like it" in page.locator(".hollow.failed").first.inner_text()
    page.locator(".pic").first.click()
    assert "of the run failed like this" in page.locator("#about").inner_text()


@pytest.mark.parametrize("phone", [False, True])
def test_pictures_of_one_style_stand_together_where_a_grid_would_be_full_of_holes(
    window: Windows, large: Made, phone: bool
) -> None:
    page = window(**({"viewport": PHONE} if phone else {})).open(large.paths.report)
    assert page.locator(".list").is_visible() and page.locator("#as-list").text_content() == "Wall"
    page.keyboard.press("g")
    assert page.locator("table").count() == 0 and sum(groups(page).values()) == 60
    assert list(groups(page)) == sorted(groups(page)) and len(groups(page)) == 16
    page.locator("#across").evaluate("each => { each.value = 'strength'; each.dispatchEvent(new Event('change')) }")
    assert set(groups(page)) == {"strength 0.4", "strength 0.7"}
    page.locator("#across").evaluate("each => { each.value = 'content'; each.dispatchEvent(new Event('change')) }")
    assert 25 < len(groups(page)) <= 30 and page.locator(".what img").count() == len(groups(page))
    page.locator(".pic").nth(1).click()
    assert page.locator("#large-place").inner_text() == "2 of 60"
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.hash")  # a dialog tells that it is closed a moment after the key
    page.keyboard.press("ArrowRight")
    assert focused(page) == tiles(page)[2]
    width = page.evaluate("document.getElementById('main').scrollWidth - document.getElementById('main').clientWidth")
    assert width <= 0, "nothing is to be looked for at the side"


def test_groups_follow_the_order_that_is_asked_for(window: Windows, large: Made) -> None:
    page = window().open(large.paths.report)
    page.keyboard.press("g")
    page.locator("#sort").select_option("slow")
    said = page.locator(".group .pic:first-of-type .caption > span:last-child").all_inner_texts()
    seconds = [float(each.rpartition("· ")[2].removesuffix(" s")) for each in said if each.endswith(" s")]
    assert len(seconds) > 8 and seconds == sorted(seconds, reverse=True)


def test_a_whole_run_of_few_among_very_many_pairs_has_no_grid_of_nothing(window: Windows, tmp_path: Path) -> None:
    made = make_run(tmp_path, tuple(f"c{n}.png" for n in range(30)), tuple(f"s{n}.png" for n in range(30)), sweep={},
                    state_of=lambda _: "todo", side=16)  # fmt: skip
    some = TaskTable.of(made.tasks).only(np.arange(0, len(made.tasks), 7))
    write_plan(made.paths, some)
    page = window().open(write_report(made.paths))
    page.keyboard.press("g")
    assert page.locator("table").count() == 0 and sum(groups(page).values()) == len(some)
    assert "sample" not in page.locator("#facts").inner_text()
