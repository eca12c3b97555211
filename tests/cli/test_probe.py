"""`emobridge probe` at the command line: what it writes, and what it says to mistakes."""

from __future__ import annotations

import json

import pytest

from emobridge.errors import UserError
from emobridge.probe.settings import ProbeSettings
from emobridge.scores.files import read_scores
from emobridge.settings import from_mapping


@pytest.fixture
def words(recorded, tiny_encoder, tmp_path):
    """The words of a quick study, and more behind them."""

    def make(*more, encoder=None, corpora=("en",)):
        given = [
            "probe",
            "--encoder",
            encoder or f"wb={tiny_encoder}",
            "--heads",
            "single",
            "--folds",
            "2",
            "--seeds",
            "1",
        ]
        for corpus in corpora:
            given += ["--corpus", recorded / f"{corpus}.jsonl"]
        return [*given, "--epochs", "2", "--no-floors", "--out", tmp_path / "study", "--store", tmp_path / "f", *more]

    return make


def test_a_study_and_the_same_again(cli, words, tmp_path):
    first = cli(*words())
    assert first.code == 0 and not first.complaints
    assert first.out.splitlines()[-1] == f"report: {tmp_path / 'study' / 'probe.html'}"
    table = (tmp_path / "study" / "scores.json").read_bytes()
    assert cli(*words()).code == 0
    assert (tmp_path / "study" / "scores.json").read_bytes() == table


def test_a_settings_file_and_options_over_it(cli, words, recorded, tiny_encoder, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        f'corpora = ["{recorded / "en.jsonl"}"]\nencoders = ["wb={tiny_encoder}"]\nheads = ["single"]\nfolds = 2\n'
        f'epochs = 2\nfloors = false\nlearning_rates = [1e-3]\nout = "{tmp_path / "a"}"\nstore = "{tmp_path / "f"}"\n'
    )
    assert cli("probe", "--settings-file", path, "--seeds", "1").code == 0
    assert {row.seed for row in read_scores(tmp_path / "a" / "scores.json")} == {"0", "all"}


@pytest.mark.slow
def test_two_jobs_give_the_same_scores(cli, words, tmp_path):
    assert cli(*words("--heads", "single,linear")).code == 0
    single = (tmp_path / "study" / "scores.json").read_text()
    assert cli(*words("--heads", "single,linear", "--jobs", "2", "--out", tmp_path / "double")).code == 0
    assert (tmp_path / "double" / "scores.json").read_text().replace('"double"', '"study"') == single
    ran = cli(*words("--jobs", "0"))
    assert ran.code == 2 and "jobs: expected 1 or more, got 0" in ran.complaints[0]


def test_a_lone_probe_of_two_layers_is_trained(cli, words, tmp_path):
    """One fold, one seed, one layer: the two emotions of the recordings are told apart, by the floors too."""
    more = ("--heads", "single,linear", "--split", "80/10/10", "--folds", "1", "--epochs", "60", "--floors")
    assert cli(*words(*more, "--learning-rates", "0.02", encoder="logmel")).code == 0
    rows = read_scores(tmp_path / "study" / "scores.json")
    values = {row.head: row.value for row in rows if (row.measure, row.seed, row.method) == ("UA", "all", "probe")}
    assert values == {"single": 1.0, "linear": 1.0}


def test_a_dry_run_computes_nothing(cli, words, tmp_path):
    ran = cli(*words("--dry-run"))
    assert ran.code == 0 and "h of audio" in ran.out and "scores" in ran.out
    assert not (tmp_path / "study").exists() and not (tmp_path / "f").exists()


BAD = {
    "a layer that does not exist": (("--layers", "1,7"), ("unknown layer of encoder wb '7'", "one of 0, 1, 2")),
    "an unknown head": (("--heads", "linaer"), ("unknown head 'linaer'", "did you mean 'linear'?")),
    "an unknown norm": (("--normalise", "speakers"), ("unknown normalise 'speakers'", "did you mean 'speaker'?")),
    "an unknown setting": (("--settings", "mnoo"), ("unknown settings 'mnoo'", "did you mean 'mono'?")),
    "an unknown split": (("--split", "80/20"), ("unknown split '80/20'",)),
    "an unknown emotion": (("--labels", "anger,sadnes"), ("'sadnes'", "did you mean 'sadness'?")),
    "an option of no head": (("--head-option", "hiden=3"), ("unknown option of head single 'hiden'",)),
    "rates without validation": (("--learning-rates", "0.1,0.2"), ("give patience too",)),
    "a rate that is no number": (
        ("--learning-rates", "fast"),
        ("learning_rates: expected numbers with commas, got 'fast'",),
    ),
    "folds of a split that has its own": (
        ("--split", "serab", "--folds", "3"),
        ("--folds: does nothing here, since --split serab and predefined come with their folds",),
    ),
    "one fold": (("--folds", "1"), ("folds: expected 2 or more",)),
    "more folds than validation leaves": (("--patience", "2"), ("expected 3 or more",)),
    "frames in no known way": (("--heads", "nonlinear", "--frames", "kept"), ("unknown frames 'kept'",)),
    "no epochs": (("--epochs", "0"), ("epochs: expected 1 or more, got 0",)),
    "a segment without frames": (
        ("--segment", "1"),
        ("--segment: does nothing here, since no head of the study needs frames: give --heads nonlinear",),
    ),
    "frames without a head": (("--frames", "stored"), ("--frames: does nothing here",)),
    "epochs of solved heads": (
        ("--heads", "discriminant,ridge", "--epochs", "3"),
        ("--epochs: does nothing here, since every head of the study is solved", "give --heads single"),
    ),
    "a crop without models from scratch": (("--crop", "1"), ("--crop: does nothing here", "give --scratch")),
    "options of no model from scratch": (("--scratch-option", "layers=1"), ("--scratch-option: does nothing here",)),
    "room for frames that are streamed": (
        ("--heads", "nonlinear", "--frames", "streamed", "--disk", "1"),
        ("--disk: does nothing here, since frames are streamed",),
    ),
    "an option of no encoder": (("--encoder-option", "paddin=full"), ("'paddin'", "did you mean 'padding'?")),
    "betas": (("--betas", "0.9"), ("betas: expected two numbers",)),
    "a norm twice": (("--normalise", "none,none"), ("normalise: none stands twice",)),
    "a missing manifest": (("--corpus", "nowhere.jsonl"), ("nowhere.jsonl: cannot be read",)),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_one_line(cli, words, case):
    more, expected = BAD[case]
    ran = cli(*words(*more))
    assert ran.code == 2 and len(ran.complaints) == 1, ran.err
    assert all(part in ran.complaints[0] for part in expected), ran.complaints


def test_nothing_finished_is_lost_by_a_mistake(cli, words, tmp_path):
    assert cli(*words()).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()}
    assert cli(*words("--layers", "9")).code == 2
    assert {path: path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()} == before


def test_an_encoder_without_some_of_its_weights_is_refused(cli, words, tiny_encoder, tmp_path):
    """Never is anything run on weights that were quietly drawn anew."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "lacking"
    folder.mkdir()
    (folder / "config.json").write_text((tiny_encoder / "config.json").read_text())
    tensors = load_file(tiny_encoder / "model.safetensors")
    tensors.pop("model.encoder.layers.1.fc2.weight")
    save_file(tensors, folder / "model.safetensors")
    ran = cli(*words(encoder=str(folder)))
    assert ran.code == 2 and len(ran.complaints) == 1
    assert "blocks.1.fc2.weight" in ran.complaints[0] and str(folder) in ran.complaints[0]
    assert not (tmp_path / "f").exists()


def test_a_fold_of_one_class_is_named_before_anything_long(cli, words, recorded, tmp_path):
    path = recorded / "en.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [row for row in rows if row["emotion"] == "anger" or row["speaker"] == "a"]
    path.write_text("\n".join(map(json.dumps, kept)))
    ran = cli(*words())
    assert ran.code == 2 and "trains on anger alone" in ran.complaints[0]
    assert not (tmp_path / "f").exists()


def test_a_store_cut_short_is_mended(cli, words, tmp_path):
    assert cli(*words()).code == 0
    table = (tmp_path / "study" / "scores.json").read_bytes()
    shards = list((tmp_path / "f").rglob("*.safetensors"))
    shards[0].write_bytes(shards[0].read_bytes()[:100])
    for path in (tmp_path / "study" / "work").iterdir():
        path.unlink()
    with pytest.warns(UserWarning, match="corrupt"):
        ran = cli(*words())
    assert ran.code == 0 and (tmp_path / "study" / "scores.json").read_bytes() == table


def test_a_misspelt_key():
    with pytest.raises(UserError, match=r"study\.toml: unknown key 'encodrs': did you mean 'encoders'\?"):
        from_mapping({"corpora": ["a"], "encodrs": ["x"]}, "study.toml", ProbeSettings)
    with pytest.raises(UserError, match="the key 'corpora' is missing"):
        from_mapping({}, "study.toml", ProbeSettings)


def test_choices_fold_case_and_every_setting_is_an_option(cli, words):
    more = ("--normalise", "None,Speaker", "--settings", "MONO,Trans", "--weight-decay", "0.01", "--betas", "0.8,0.9")
    ran = cli(*words(*more, "--eps", "1e-6", "--no-class-weights", "--dry-run"))
    assert ran.code == 0 and "2 units" in ran.out


def test_a_study_without_a_corpus(cli, tmp_path):
    ran = cli("probe", "--out", tmp_path / "study")
    assert ran.code == 2 and "probe: expected --corpus MANIFEST" in ran.complaints[0]


def test_the_help_begins_with_what_a_newcomer_needs(cli):
    text = cli("probe", "--help").out
    first = text.split("Training")[0]
    assert all(flag in first for flag in ("--corpus", "--encoder", "--heads", "--layers", "--settings", "--out"))
    assert text.index("--corpus") < text.index("--weight-decay") and text.index("--corpus") < text.index("--jobs")
