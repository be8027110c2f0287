"""What can be said of the demo app's screens without Android: everybody can read, reach, hear and understand them.

Layouts cannot be inflated here, since no framework runs; aapt2 links them, and what they say is held against rules.
"""

import re
import subprocess
from collections import Counter

import pytest

app = pytest.importorskip("tests.android.app_resources", reason="the wheel has no sources of Android")

from scripts.android import apk, java, layout, resources  # noqa: E402
from scripts.android.process import BuildError  # noqa: E402
from tests.android import java_virtual_machines as machines  # noqa: E402

pytestmark = pytest.mark.checkout

WORDS = ("text", "contentDescription", "hint", "label", "title")
TOUCHED = ("Button", "RadioButton", "CheckBox", "Switch", "Spinner", "EditText", "ImageButton", "SeekBar")
QUANTITIES = {"": {"one", "other"}, "ar": {"zero", "one", "two", "few", "many", "other"}}
# Colours of words and what lies behind them; then of what is drawn.
READ = [
    *((words, behind) for words in ("text", "text_secondary", "rise", "fall", "problem") for behind in ("background", "surface")),
    ("on_accent", "accent"),
    ("on_badge", "badge"),
]
SEEN = [(drawn, "surface") for drawn in ("bits_8", "bits_4", "bits_2", "bits_off")] + [("accent", "background")]


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> resources.Linked:
    """The manifest and resources as aapt2 links them with Android's own."""
    found = apk.App.of(layout.APP)
    return resources.link(machines.debian(), found.manifest, found.resources, found.namespace, tmp_path_factory.mktemp("linked"))


def symbols(linked: resources.Linked) -> set[tuple[str, str]]:
    return {tuple(line.split()[1:3]) for line in linked.symbols.read_text().splitlines()}  # type: ignore[misc]


def dp(size: str) -> float:
    assert size.endswith("dp"), size
    return float(size[:-2])


def has_words(view: "app.View") -> bool:
    """In the layout, or from Java. What holds a value has a label: words of its own would be read in place of the value."""
    if view.kind in ("Spinner", "EditText"):
        labels = {each.get("labelFor").rpartition("/")[2] for each in row_of(view.layout)}
        return view.id in labels and not view.get("contentDescription")
    if view.get("text") or view.get("contentDescription"):
        return True
    return bool(view.id) and any(re.search(rf"\(R\.id\.{view.id}\)\s*\.setText\(", text) for text in app.java().values())


def test_there_is_something_to_look_at() -> None:
    kinds = Counter(view.kind for view in app.views())
    assert kinds["TextView"] > 20 and kinds["Button"] == 6 and kinds["Spinner"] == 1 and kinds["StripView"] == 2
    assert len(app.layouts()) == 9


def test_all_words_are_in_the_resources() -> None:
    written = [f"{view} {name}" for view in app.views() for name in WORDS if (text := view.get(name)) and not text.startswith("@string/")]
    assert written == []
    said = re.compile(r"\.(?:setText|setContentDescription|setTitle|setHint|append)\(\s*\"|makeText\(")
    assert [name for name, text in app.java().items() if said.search(text)] == []


def test_nothing_is_left_or_right() -> None:
    sided = [
        f"{view} {name.removeprefix(app.ANDROID)}={value}"
        for view in app.views()
        for name, value in view.element.attrib.items()
        if re.search("Left|Right", name) or re.fullmatch(r"(.*\|)?(left|right)(\|.*)?", value)
    ]
    items = [item for style in app.values("style").values() for item in style.iter("item")]
    sided += [item.get("name", "") for item in items if re.search("Left|Right", item.get("name", "")) or item.text in ("left", "right")]
    sided += [
        name
        for name, text in app.java().items()
        if re.search(r"Gravity\.(LEFT|RIGHT)|setPadding\(|setMargins\(|\.(left|right)Margin", text)
    ]
    assert sided == []


def test_everything_that_is_touched_is_large_enough_and_says_what_it_is() -> None:
    touched = [view for view in app.views() if view.kind in TOUCHED or view.get("clickable") == "true" or view.get("onClick")]
    assert len(touched) >= 8
    for view in touched:
        assert dp(app.dimension(view.get("minHeight"))) >= 48, f"{view} is too low"
        assert view.get("layout_width") == "match_parent" or dp(app.dimension(view.get("minWidth"))) >= 48, f"{view} is too narrow"
        assert has_words(view), f"{view} has no words for TalkBack"


def test_what_is_drawn_has_words_or_leaves_them_to_its_row() -> None:
    for view in app.views():
        if view.kind in ("ImageView", "ProgressBar", "StripView"):
            row = view.parents[0]
            spoken = any(re.search(rf"R\.layout\.{view.layout}\b[^}}]*setContentDescription\(", text) for text in app.java().values())
            beside = any(each.kind == "TextView" and each.get("importantForAccessibility") != "no" for each in row_of(view.layout))
            silent = view.get("importantForAccessibility") == "no" and row.get("screenReaderFocusable") == "true" and (spoken or beside)
            assert view.get("contentDescription") or silent, f"{view} has no words"


def row_of(name: str) -> list["app.View"]:
    return [view for view in app.views() if view.layout == name]


def test_a_row_that_speaks_as_one_silences_its_parts() -> None:
    for name in ("row_ranked", "row_fact", "row_layer"):
        row, *parts = row_of(name)
        assert row.get("screenReaderFocusable") == "true", name
        assert all(part.get("importantForAccessibility") == "no" for part in parts if not list(part.element)), name
        assert any(re.search(rf"R\.layout\.{name}\b[^}}]*setContentDescription\(", text) for text in app.java().values()), name


def test_sections_are_headings_labels_name_their_fields_and_answers_are_announced() -> None:
    main = row_of("activity_main")
    assert sum(view.get("accessibilityHeading") == "true" for view in main) == 9
    labels = {view.get("labelFor").rpartition("/")[2] for view in main if view.get("labelFor")}
    assert labels == {view.id for view in main if view.kind in ("Spinner", "EditText")}
    said = {name for text in app.java().values() for name in re.findall(r"\bsay\(R\.id\.(\w+)", text)} | {
        "lists_summary",
        "benchmark_status",
    }
    live = {view.id for view in app.views() if view.get("accessibilityLiveRegion") in ("polite", "assertive")}
    assert live == said and len(live) == 6


def test_words_can_be_twice_as_large() -> None:
    for view in app.views():
        if view.kind in ("TextView", "Button", "RadioButton"):
            assert app.dimension(view.get("textSize")).endswith("sp"), f"{view} has words of a size that does not grow"
            for name in ("maxLines", "lines", "singleLine", "ellipsize", "maxHeight", "maxWidth"):
                assert not view.get(name), f"{view} cuts its words off ({name})"
            for outer in (view, *view.parents):
                assert outer.get("layout_height") in ("wrap_content", "match_parent"), f"{outer} has a height of its own"
        if view.layout.startswith("activity") and view.kind in ("TextView", "Button"):
            assert any(outer.kind == "ScrollView" for outer in view.parents), f"{view} cannot be scrolled to"


@pytest.mark.parametrize("night", [False, True], ids=["light", "dark"])
def test_colours_can_be_told_apart(night: bool) -> None:
    color = app.colors(night)
    low = [
        f"{one} on {other}: {app.contrast(color[one], color[other]):.2f}"
        for one, other in READ
        if app.contrast(color[one], color[other]) < 4.5
    ]
    low += [
        f"{one} on {other}: {app.contrast(color[one], color[other]):.2f}"
        for one, other in SEEN
        if app.contrast(color[one], color[other]) < 3
    ]
    assert low == []
    # Without colours: each width of a strip is clearly lighter or darker than the next. Off is a line at the bottom.
    for one, other in (("bits_8", "bits_4"), ("bits_4", "bits_2")):
        assert app.contrast(color[one], color[other]) >= 1.5, (one, other)


def test_contrast_is_that_of_wcag() -> None:
    assert app.contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert app.contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)


def test_every_colour_that_is_used_was_looked_at_in_both_themes() -> None:
    assert app.colors(night=False).keys() == app.colors(night=True).keys()
    used = {name for kind, name in app.java_references() | app.xml_references() if kind == "color"}
    looked_at = {name for pair in READ + SEEN for name in pair}
    assert used - looked_at == {"icon_background"} and looked_at <= used
    words = {view.get("textColor").removeprefix("@color/") for view in app.views() if view.get("textColor")}
    assert words <= {one for one, _ in READ} | {"rise", "fall"}
    drawn = [path.name for path in app.RES.rglob("*.xml") if re.search('#[0-9A-Fa-f]{3,8}"', path.read_text())]
    assert drawn == ["ic_launcher_foreground.xml"]


def test_every_language_has_every_word_with_its_places_for_numbers() -> None:
    assert app.languages() == ["ar"]
    for language in app.languages():
        for kind in ("string", "plurals", "string-array"):
            own, theirs = app.values(kind), app.values(kind, language)
            assert own.keys() == theirs.keys()
            for name, element in own.items():
                if kind == "string-array":
                    assert len(list(element)) == len(list(theirs[name])), name
                    continue
                wanted = app.placeholders("".join(element.itertext()).splitlines()[0] if kind == "string" else element[-1].text or "")
                texts = [theirs[name].text or ""] if kind == "string" else [item.text or "" for item in [*element, *theirs[name]]]
                for text in texts:
                    assert app.placeholders(text) == wanted, f"{language}: {name}: {text}"
    for language, quantities in QUANTITIES.items():
        for name, element in app.values("plurals", language).items():
            assert {item.get("quantity") for item in element} == quantities, f"{language}: {name}"


def test_places_for_numbers_are_numbered_and_filled() -> None:
    for language in ("", *app.languages()):
        elements = [*app.values("string", language).values(), *(item for each in app.values("plurals", language).values() for item in each)]
        for element in elements:
            found = sorted(app.placeholders(element.text or ""))
            assert found == [f"%{index}$s" for index in range(1, len(found) + 1)], element.text
            assert (element.text or "").strip(), element.get("name")


def test_what_is_translated_is_in_its_own_letters() -> None:
    for name, element in app.values("string", "ar").items():
        english = app.values("string")[name].text or ""
        letters = re.sub(r"%\d\$s|p\d\d|µs|ms|API|Android", "", english)
        assert not re.search("[A-Za-z]", letters) or re.search("[\u0600-\u06ff]", element.text or ""), name


def test_the_languages_are_those_that_the_system_offers() -> None:
    offered = [locale.get(f"{app.ANDROID}name") for locale in app.parse(app.RES / "xml" / "locales_config.xml")]
    assert offered == ["en", *app.languages()]
    assert app.parse(layout.APP / "AndroidManifest.xml").find("application").get(f"{app.ANDROID}supportsRtl") == "true"  # type: ignore[union-attr]


def test_every_form_of_a_layout_has_the_same_views() -> None:
    forms = {name: sorted(view.id for view in row_of(name) if view.id) for name in ("candidates_one", "candidates_two")}
    assert forms["candidates_one"] == forms["candidates_two"] and len(forms["candidates_one"]) == 7
    chosen = {}
    for qualifier in ("", "sw600dp", "land"):
        (item,) = [item for name, item in app.values("item", qualifier).items() if item.get("type") == "layout" and name == "candidates"]
        chosen[qualifier] = (item.text, app.values("bool", qualifier)["side_by_side"].text)
    wide = ("@layout/candidates_two", "true")
    assert chosen == {"": ("@layout/candidates_one", "false"), "sw600dp": wide, "land": wide}
    names = [path.name for path in app.layouts()]
    assert len(set(names)) == len(names), "a layout has forms of its own: hold their ids against each other"


def test_nothing_is_named_that_is_not_there_and_nothing_is_there_for_nobody(linked: resources.Linked) -> None:
    there = {(kind, name) for kind, name in symbols(linked) if kind != "styleable"}
    used = {(kind, name.replace(".", "_")) for kind, name in app.java_references() | app.xml_references()}
    assert used - there - {("id", "person")} == set()
    ids = {("id", view.id) for view in app.views() if view.id}
    assert ids <= there
    # Themes are their own parents, and a bar between two columns is for nobody but the layout.
    forgotten = {(kind, name) for kind, name in there - used if kind not in ("style", "dimen", "id")}
    assert forgotten == set()
    assert {name for _, name in ids} - {name for kind, name in app.java_references() if kind == "id"} == {"which_personal"}


def test_the_app_asks_for_nothing_and_offers_no_more_than_it_must(linked: resources.Linked) -> None:
    manifest = app.parse(layout.APP / "AndroidManifest.xml")
    assert [child.tag for child in manifest] == ["application"]
    application = manifest[0]
    exported = {
        each.get(f"{app.ANDROID}name"): each.get(f"{app.ANDROID}permission")
        for each in application
        if each.get(f"{app.ANDROID}exported") == "true"
    }
    assert exported == {".MainActivity": None, ".BenchmarkActivity": "android.permission.DUMP"}
    assert len(list(application)) == 2
    said = machines.debian().run("aapt2", ["dump", "permissions", linked.package], "reading permissions")
    assert said.strip() == "package: io.chordkit.demo"


def test_no_backup_brings_counters_back() -> None:
    application = app.parse(layout.APP / "AndroidManifest.xml")[0]
    assert application.get(f"{app.ANDROID}allowBackup") == "false"
    everything = {"root", "file", "database", "sharedpref", "external"}
    rules = [app.parse(app.RES / "xml" / "backup_rules.xml"), *app.parse(app.RES / "xml" / "data_extraction_rules.xml")]
    assert [rule.tag for rule in rules] == ["full-backup-content", "cloud-backup", "device-transfer"]
    for rule in rules:
        assert {each.tag for each in rule} == {"exclude"}
        assert {each.get("domain") for each in rule} == everything and {each.get("path") for each in rule} == {"."}
    assert "getNoBackupFilesDir()" in app.java()["DemoAssets.java"]


def test_screens_keep_clear_of_the_systems_bars() -> None:
    for path in app.layouts():
        if path.stem.startswith("activity"):
            root = app.parse(path)
            assert root.get(f"{app.ANDROID}fitsSystemWindows") == "true", path.name
            # It takes the insets as its padding, so that it can have none of its own.
            assert not [name for name in root.attrib if "padding" in name], path.name


def test_the_app_looks_for_what_the_build_puts_in() -> None:
    text = app.java()["DemoAssets.java"]
    assert dict(re.findall(r'String (BUNDLE|KEYS|PEOPLE) = "(.*)"', text)) == {"BUNDLE": apk.BUNDLE, "KEYS": apk.KEYS, "PEOPLE": apk.PEOPLE}


def test_arrays_have_a_word_for_each_value() -> None:
    words = app.values("string-array")
    widths = re.search(r"WIDTHS = \{(.*)\}", (app.JAVA / "io/chordkit/demo/logic/StrategyPicture.java").read_text())
    assert widths is not None and len(list(words["widths"])) == len(widths[1].split(","))
    # PowerManager.THERMAL_STATUS_NONE = 0 ... THERMAL_STATUS_SHUTDOWN = 6
    assert len(list(words["thermal_statuses"])) == 7


def test_later_android_is_asked_for_before_it_is_called() -> None:
    """What Android has since API 27 or later, of what the app's own code calls."""
    later = {"getCurrentThermalStatus": 29}
    for name, text in app.java().items():
        for call, level in later.items():
            if call in text:
                assert f"Build.VERSION.SDK_INT < {level}" in text[: text.index(call)], name
    declared = {path.relative_to(layout.STUBS).as_posix() for path in layout.STUBS.rglob("android/**/*.java")}
    assert declared <= {"android/os/PowerManager.java", "android/system/Os.java", "android/system/OsConstants.java"}


def test_aapt2_refuses_a_view_that_is_named_and_not_there(tmp_path, linked: resources.Linked) -> None:
    folder = tmp_path / "res"
    subprocess.run(["cp", "-r", app.RES, folder], check=True)
    broken = folder / "layout" / "row_fact.xml"
    broken.write_text(broken.read_text().replace("@style/Body", "@style/Nobody"))
    with pytest.raises(BuildError, match="Nobody"):
        resources.link(machines.debian(), layout.APP / "AndroidManifest.xml", folder, "io.chordkit.demo", tmp_path / "linked")


def test_the_whole_app_compiles_without_a_warning_and_dx_takes_it(linked: resources.Linked, tmp_path) -> None:
    found = machines.debian()
    sources = java.sources(java.CORE, app.JAVA, linked.java)
    classes = java.compile_for_android(found, sources, tmp_path / "classes")
    assert (classes / "io/chordkit/demo/MainActivity.class").is_file() and (classes / "io/chordkit/demo/BenchmarkActivity.class").is_file()
    data = java.dex(found, classes, tmp_path / "classes.dex").read_bytes()
    assert java.linked_when_called(data) == [] and len(data) < 300_000
