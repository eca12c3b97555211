"""Settings: TOML there and back, the command line there and back, and one line for each mistake."""

from __future__ import annotations

import shlex
from dataclasses import MISSING, asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import settings as quick
from hypothesis import strategies as st

from emobridge.cli.adapt import adapt as adapt_command
from emobridge.cli.adapt import budget as budget_command
from emobridge.cli.options import FILE, PANELS, help_of
from emobridge.errors import UserError
from emobridge.settings import (
    NORMALISATIONS,
    Adapt,
    Budget,
    Data,
    Features,
    Output,
    Split,
    System,
    Training,
    changed_values,
    command_of,
    default_of,
    flag_of,
    flat_values,
    from_mapping,
    options_of_record,
    read_mapping,
    write_settings,
)
from emobridge.types import ATTRIBUTES

KINDS = (Adapt, Budget)
PLAIN = {"source": ["en.jsonl"], "target": "xx.jsonl", "labels": ["anger", "sadness"]}
NOT_OFFERED = {"from_bundle", "method", "target_labels", "normalise", "bundle", "harm_sign", "clips"}  # by `budget`

text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=8)
words = st.lists(text, max_size=3).map(tuple)
# What can stand between commas, or after a flag: not empty, no comma, no white space around it, and no dash before it.
plain_word = st.text(st.characters(categories=("L", "N"), codec="utf-8"), min_size=1, max_size=8)
amounts = st.one_of(st.just("all"), st.integers(0, 10**6).map(str))


def value_of(name: str, item, word) -> st.SearchStrategy:
    """Values of one option that its field allows."""
    facts, kind = item.metadata, str(item.type)
    special = {
        "source": st.lists(word, min_size=1, max_size=3).map(tuple),
        "target": word.filter(bool),
        "labels": st.none() | st.lists(word, min_size=2, max_size=4, unique=True).map(tuple),
        "attributes": st.lists(st.sampled_from(ATTRIBUTES), unique=True).map(tuple),
        "target_labels": amounts,
        "folds": st.integers(0, 20).filter(lambda folds: folds != 1),
        "methods": st.lists(word, min_size=1, max_size=3, unique=True).map(tuple),
        "budgets": st.lists(amounts, min_size=1, max_size=3, unique=True).map(tuple),
        "normalisations": st.lists(st.sampled_from(NORMALISATIONS), min_size=1, unique=True).map(tuple),
        "groups": st.none() | st.lists(word, max_size=3).map(tuple),
        "age_groups": st.lists(st.floats(1, 100), min_size=1, max_size=3, unique=True).map(sorted).map(tuple),
        "subsets": st.integers(0, 20).filter(lambda subsets: subsets != 1),
    }
    if name in special:
        return special[name]
    if facts["choices"]:
        return st.sampled_from(facts["choices"])
    if kind == "bool":
        return st.booleans()
    if kind == "int":
        return st.integers(int(facts["least"] or 0), 10**9)
    if kind == "float":
        above = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
        return above if facts["above"] is not None else st.just(0.0) | above
    return st.lists(word, max_size=3).map(tuple) if kind.startswith("tuple") else word


@st.composite
def requests(draw, kind, word=text, without=frozenset()):
    """A request whose options, but for those in `without`, have any value that goes together with the others."""
    items = {name: item for name, (_, item) in options_of_record(kind).items()}
    values = {name: draw(value_of(name, item, word)) for name, item in items.items() if name not in without}
    if values["train"] != "frozen":
        values |= {"align": "none", "layer": "0", "by_corpus": ()}
        if values.get("normalise") == "speaker+text":
            values["normalise"] = "speaker"
    if values.get("from_bundle"):
        values["source"] = ()
    if not values["patience"]:
        values["validate"] = "source"
    values["serab"] &= not values["predefined"]
    if values["predefined"] or values["serab"]:
        values |= {"folds": 0, "transductive": False, "share_speakers": False, "by_utterance": (), "halved": False}
    if not values["folds"] or values["transductive"]:
        values["halved"] = False
    return kind.of(**values)


@pytest.mark.parametrize("kind", KINDS)
@quick(max_examples=15, deadline=None)
@given(data=st.data())
def test_toml_there_and_back(tmp_path_factory, kind, data):
    request = data.draw(requests(kind))
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    write_settings(path, request)
    assert from_mapping(read_mapping(path), str(path), kind) == request


def test_a_file_may_be_flat_or_in_tables(tmp_path):
    flat, tables = tmp_path / "flat.toml", tmp_path / "tables.toml"
    flat.write_text('source = ["en.jsonl"]\ntarget = "xx.jsonl"\nseeds = 2\nlearning_rate = 1\n')
    tables.write_text(
        '[data]\nsource = ["en.jsonl"]\ntarget = "xx.jsonl"\n[split]\nseeds = 2\n[training]\nlearning_rate = 1\n'
    )
    read = [from_mapping(read_mapping(path), str(path), Adapt) for path in (flat, tables)]
    assert read[0] == read[1] == Adapt.of(source=["en.jsonl"], target="xx.jsonl", seeds=2, learning_rate=1.0)
    assert type(read[0].training.learning_rate) is float
    with pytest.raises(UserError, match=r"x: seeds stands twice"):
        from_mapping({**PLAIN, "seeds": 2, "split": {"seeds": 3}}, "x", Adapt)


def test_what_toml_does_not_say_is_the_default(tmp_path):
    request = from_mapping(PLAIN, "x", Adapt)
    assert request == Adapt(data=Data(source=("en.jsonl",), target="xx.jsonl", labels=("anger", "sadness")))
    assert (request.features, request.system, request.split) == (Features(), System(), Split())
    assert (request.training, request.output) == (Training(), Output())
    assert from_mapping(PLAIN, "x", Budget).output.out == "budget"


def test_the_defaults_are_those_of_methods_e():
    request = from_mapping(PLAIN, "x", Adapt)
    training, system = request.training, request.system
    assert (training.epochs, training.batch_size, training.learning_rate, training.decay) == (100, 100, 1e-3, 0.95)
    assert (system.method, system.head, request.data.target_labels) == ("blend", "auto", "0")
    assert (request.split.seeds, training.crop) == (3, 2.0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_described_in_its_field(kind):
    """Names are unique over the parts; help, panel and default stand in the field alone."""
    for name, (part, item) in options_of_record(kind).items():
        facts = item.metadata
        assert facts["help"].endswith(".") and facts["help"][0].isupper(), name
        assert facts["panel"] in PANELS, name
        assert item.default is not MISSING or part, name
        help_text = help_of(kind, name, item)
        for choice in facts["choices"]:
            assert choice in help_text
    first = [name for name, (_, item) in options_of_record(kind).items() if item.metadata["first"]]
    assert 8 <= len(set(first) - (NOT_OFFERED if kind is Budget else set())) <= 14, "what a newcomer needs"


@pytest.mark.parametrize(("kind", "command"), [(Adapt, adapt_command), (Budget, budget_command)])
def test_the_command_line_offers_every_option(kind, command):
    offered = set(command.__signature__.parameters) - {FILE, "strict"}
    assert offered == set(options_of_record(kind)) - (NOT_OFFERED if kind is Budget else set())
    flags = [flag_of(name, item) for name, (_, item) in options_of_record(kind).items() if name in offered]
    assert len(set(flags)) == len(flags), "no flag means two options"


@pytest.fixture(scope="module")
def parse():
    """A function from the words of a command line to the request and the names that the command gets from them."""
    import typer

    from emobridge.cli.options import command_from

    requests: list = []
    application = typer.Typer(callback=lambda: None)
    for kind, name, without in ((Adapt, "adapt", ()), (Budget, "budget", tuple(NOT_OFFERED))):
        command = command_from(
            kind,
            name,
            lambda request, strict, names: requests.append((request, names)),
            without=without,
            file_flag="--settings",
        )
        application.command(name=name)(command)
    parser = typer.main.get_command(application)  # built once: it has some sixty options

    def run(name, arguments):
        parser.main([name, *arguments], prog_name="emobridge", standalone_mode=False)
        return requests.pop()

    return run


@pytest.mark.parametrize(("kind", "name"), [(Adapt, "adapt"), (Budget, "budget")])
@quick(max_examples=12, deadline=None)
@given(data=st.data())
def test_the_command_line_there_and_back(parse, kind, name, data):
    """The words of `command_of`, parsed, are the same request, and name the options that differ from the defaults."""
    without = NOT_OFFERED if kind is Budget else frozenset()
    request = data.draw(requests(kind, plain_word, without))
    program, command, *arguments = shlex.split(command_of(request, name))
    assert (program, command) == ("emobridge", name)
    parsed, names = parse(name, arguments)
    assert parsed == request
    assert set(names) == set(changed_values(request))


def test_the_words_of_a_command(parse):
    request = Adapt.of(**PLAIN, method="dann", method_options=["strength=0.5"], guard=False, decay=0.9)
    command = command_of(request, "adapt")
    assert command == (
        "emobridge adapt --source en.jsonl --target xx.jsonl --labels anger,sadness --no-guard --method dann "
        "--method-option strength=0.5 --decay 0.9"
    )
    none = Adapt.of(**{**PLAIN, "labels": [], "attributes": ["arousal"], "method": "dann"})
    assert "--labels none" in command_of(none, "adapt")
    parsed, names = parse("adapt", ["--source", "a", "--target", "b", "--adapters", "lora"])
    assert parsed.system.adapters == default_of(Adapt, "adapters") and "adapters" in names, "spelled out is asked for"


def test_options_win_over_the_file_whichever_way_it_is_written(parse, tmp_path):
    for content in ("seeds = 2\nepochs = 7\n", "[split]\nseeds = 2\n[training]\nepochs = 7\n"):
        path = tmp_path / "s.toml"
        path.write_text(content)
        words = ["--settings", str(path), "--source", "a", "--source", "b", "--target", "c", "--seeds", "4"]
        request, names = parse("adapt", words)
        assert (request.split.seeds, request.training.epochs, request.data.source) == (4, 7, ("a", "b"))
        assert set(names) == {"source", "target", "seeds"}
    path.write_text('source = ["x"]\nencoder_options = ["seed=1"]\n')
    request, _ = parse("adapt", ["--settings", str(path), "--target", "c"])
    assert request.data.source == ("x",) and request.features.encoder_options == ("seed=1",)


def test_choices_fold_case():
    request = Adapt.of(**PLAIN, normalise="Speaker", align="CORAL", train="Frozen", pool="OPEN", precision="BF16")
    assert request.features.normalise == "speaker" and request.features.align == "coral"
    assert request.system.train == "frozen" and request.data.pool == "open" and request.training.precision == "bf16"
    assert Adapt.of(**PLAIN, validate_by="UA", patience=1).training.validate_by == "ua"
    assert request == Adapt.of(**PLAIN, normalise="speaker", align="coral", train="frozen", precision="bf16")
    assert Budget.of(**PLAIN, normalisations=("Speaker", "NONE")).normalisations == ("speaker", "none")


def test_amounts_in_ascending_order():
    request = Budget.of(**PLAIN, budgets=("all", "5000", "0", "1000", "020"))
    assert request.amounts == ("0", "20", "1000", "5000", "all")


ALONE = {"labels": [], "attributes": ["arousal"], "method": "source-only"}
BAD = [
    ({"sorce": ["a"]}, "unknown key 'sorce': did you mean 'source'?"),
    ({"learning-rate": 1.0}, "did you mean 'learning_rate'?"),
    ({"training": {"learning_rat": 1.0}}, "unknown key 'learning_rat': did you mean 'learning_rate'?"),
    ({"trainin": {"epochs": 1}}, "unknown key 'trainin'"),
    ({"training": 3}, "unknown key 'training'"),
    ({"source": "en.jsonl"}, "source: expected a list of words, got 'en.jsonl'"),
    ({"source": 5}, "source: expected a list of words, got 5"),
    ({"source": {"a": "b"}}, "source: expected a list of words"),
    ({"source": ["a", 1]}, "source: expected a list of words"),
    ({"source": []}, "source: expected at least one manifest"),
    ({"target": ["a"]}, "target: expected str, got ['a']"),
    ({"target": ""}, "target: expected a manifest"),
    ({"labels": ["anger"]}, "labels: expected two or more different emotions, got anger"),
    ({"labels": []}, "labels: expected two or more different emotions, got none"),
    ({"labels": ["anger", "anger"]}, "labels: expected different emotions, got anger,anger"),
    ({"attributes": ["arousel"]}, "unknown attribute 'arousel': did you mean 'arousal'?"),
    ({"attributes": ["valence", "valence"]}, "attributes: valence,valence names an attribute twice"),
    ({**ALONE, "method": "auto"}, "method: goes by emotions, and labels are none: name one"),
    ({**ALONE, "layer": "auto"}, "layer: goes by emotions, and labels are none: name one, or middle"),
    ({**ALONE, "validate_by": "ua"}, "validate_by: goes by emotions, and labels are none: give loss"),
    ({**ALONE, "labels": ["anger"]}, "labels: expected two or more different emotions, got anger"),
    ({**ALONE, "labelled": "list.csv"}, "labelled: a list of `suggest` holds emotions, and labels are none"),
    ({"target_labels": 25}, "target_labels: expected str, got 25"),
    ({"target_labels": "-1"}, "target_labels: expected a number or 'all', got '-1'"),
    ({"target_labels": "1.5"}, "target_labels: expected a number or 'all'"),
    ({"target_labels": ""}, "target_labels: expected a number or 'all'"),
    ({"normalise": "speakers"}, "unknown normalise 'speakers': did you mean 'speaker'?"),
    ({"align": "coral2"}, "unknown align 'coral2': did you mean 'coral'?"),
    ({"train": "end"}, "unknown train 'end'"),
    ({"pool": "opened"}, "did you mean 'open'?"),
    ({"frames": "speach"}, "unknown frames 'speach': did you mean 'speech'?"),
    ({"engine": "onxx-int8"}, "unknown engine 'onxx-int8': did you mean 'onnx-int8'?"),
    ({"seeds": 0}, "seeds: expected 1 or more, got 0"),
    ({"seeds": True}, "seeds: expected int, got True"),
    ({"seeds": 1.0}, "seeds: expected int, got 1.0"),
    ({"epochs": -1}, "epochs: expected 1 or more"),
    ({"batch_size": 0}, "batch_size: expected 1 or more"),
    ({"folds": 1}, "folds: expected 2 or more, or 0"),
    ({"folds": -5}, "folds: expected 0 or more, got -5"),
    ({"patience": -1}, "patience: expected 0 or more, got -1"),
    ({"jobs": 0}, "jobs: expected 1 or more, got 0"),
    ({"validate": "target", "patience": 1}, "unknown validate 'target'"),
    ({"validate_by": "UAR"}, "unknown validate_by 'UAR' (one of loss, ua)"),
    ({"validate": "both"}, "validate: 'both' chooses the epoch by held-out speakers: give patience above 0 too"),
    ({"learning_rate": 0.0}, "learning_rate: expected a number above 0"),
    ({"learning_rate": float("nan")}, "learning_rate: expected a number above 0"),
    ({"learning_rate": float("inf")}, "learning_rate: expected a number above 0"),
    ({"learning_rate": True}, "learning_rate: expected float, got True"),
    ({"learning_rate": 10**400}, "learning_rate: the number is too large"),
    ({"decay": -0.5}, "decay: expected a number above 0"),
    ({"weight_decay": -1e-5}, "weight_decay: expected 0 or more"),
    ({"crop": 0}, "crop: expected a number above 0"),
    ({"encoder_rate": -1e-5}, "encoder_rate: expected 0 or more"),
    ({"accumulate": 0}, "accumulate: expected 1 or more"),
    ({"bundle": "adaptd"}, "unknown bundle 'adaptd': did you mean 'adapted'"),
    ({"harm_sign": "alway"}, "unknown harm_sign 'alway': did you mean 'always'"),
    ({"precision": "fp16"}, "unknown precision 'fp16'"),
    ({"share_speakers": 1}, "share_speakers: expected bool, got 1"),
    ({"class_weights": "yes"}, "class_weights: expected bool, got 'yes'"),
    ({"predefined": True}, "predefined: is a split of its own: give folds 0"),
    ({"serab": True}, "serab: is a split of its own: give folds 0"),
    ({"serab": True, "folds": 0, "share_speakers": True}, "serab: is a split of its own: give folds 0"),
    ({"serab": True, "predefined": True, "folds": 0}, "serab: and predefined are two splits"),
    ({"train": "end-to-end", "layer": "0", "align": "coral"}, "align: 'coral' works on frozen features"),
    ({"train": "end-to-end", "layer": "auto", "align": "none"}, "layer: 'auto' works on frozen features"),
    ({"train": "end-to-end", "layer": "0", "align": "none", "normalise": "speaker+text"}, "work on frozen features"),
    ({"train": "head", "layer": "0", "align": "none", "by_corpus": ["xx"]}, "by_corpus work on frozen features"),
]  # fmt: skip
BAD_BUDGETS = [
    ({"methods": []}, "methods: expected at least one"),
    ({"budgets": []}, "budgets: expected at least one"),
    ({"normalisations": []}, "normalise: expected at least one"),
    ({"budgets": ["some"]}, "budgets: expected numbers or 'all', with commas, got 'some'"),
    ({"budgets": ["25", "025"]}, "budgets: 25 stands twice"),
    ({"methods": ["dann", "dann"]}, "methods: dann stands twice"),
    ({"normalisations": ["speaker", "Speaker"]}, "normalise: speaker stands twice"),
    ({"normalisations": ["speakr"]}, "unknown normalise 'speakr': did you mean 'speaker'?"),
    ({"subsets": 1}, "subsets: expected 2 or more, or 0 for no test, got 1"),
    ({"subsets": -1}, "subsets: expected 0 or more, got -1"),
]


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [(Adapt, *pair) for pair in BAD] + [(Budget, *pair) for pair in BAD_BUDGETS],
)
def test_each_bad_value_is_one_line(kind, change, message):
    with pytest.raises(UserError) as caught:
        from_mapping({**PLAIN, **change}, "run.toml", kind)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_option_with_a_bound_refuses_something():
    """An option that is a number, or a choice, and has no bad value in the table above is one that nobody looks at."""
    bounded = {
        name
        for name, (_, item) in options_of_record(Budget).items()
        if item.type in ("int", "float") or item.metadata["choices"]
    }
    assert bounded <= {name for change, _ in (*BAD, *BAD_BUDGETS) for name in change}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["source", "target"])
def test_a_missing_manifest_is_named(kind, key):
    values = {name: value for name, value in PLAIN.items() if name != key}
    with pytest.raises(UserError, match=f"{key}: expected "):
        from_mapping(values, "run.toml", kind)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"source = [", "is not TOML"),
        (b"epochs = 3\nepochs = 4\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"epochs = " + b"[" * 3000, "is not TOML"),
        (b"epoch = 3\n", "unknown key 'epoch': did you mean 'epochs'?"),
        (b"[training]\nepoch = 3\n", "unknown key 'epoch': did you mean 'epochs'?"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        from_mapping(read_mapping(path), str(path), Adapt)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"none.toml: cannot be read \(No such file"):
        read_mapping(tmp_path / "none.toml")
    with pytest.raises(UserError, match="cannot be read"):
        read_mapping(tmp_path)


def test_settings_are_checked_however_they_are_made():
    request = from_mapping(PLAIN, "x", Adapt)
    with pytest.raises(UserError, match="folds"):
        replace(request.split, folds=1)
    with pytest.raises(UserError, match="coral"):
        replace(request, system=replace(request.system, train="head"))
    assert from_mapping(asdict(request), "x", Adapt) == request
    assert Adapt.of(**flat_values(request)) == request


def test_an_option_is_read_in_its_part_alone():
    """Every part's fields are options of the request, and none stands in two parts."""
    parts = {item.name: type(getattr(from_mapping(PLAIN, "x", Adapt), item.name)) for item in fields(Adapt)}
    names = [field.name for part in parts.values() for field in fields(part)]
    assert len(names) == len(set(names)) and set(names) == set(options_of_record(Adapt))
