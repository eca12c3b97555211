"""A bundle gives back what was saved, to the last bit, or says in one line why it cannot."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from emobridge import bundle as room
from emobridge.bundle import Recognizer, Spec, columns, made_head
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.features.familiarity import Familiarity
from emobridge.features.normalisation import Domain, normalise_features
from emobridge.files import file_digest

SPEC = Spec(
    labels=("anger", "sadness", "neutral"),
    encoder="logmel",
    encoder_options=(),
    digest="",
    trained="frozen",
    layer="0",
    statistics=("std",),
    normalise="speaker",
    by_corpus=("ravdess",),
    texts=((), (), ("one", "two")),
    align="coral",
    target_labels="25",
    head="nonlinear",
    head_options=("hidden=8",),
    method="pseudo-labels",
    domains=(("emodb", "de"), ("ravdess", "en"), ("emovo", "it")),
    synthetic=False,
)


def recognizer(**changes) -> Recognizer:
    torch.manual_seed(0)
    encoder = load_encoder(changes.get("encoder", "logmel"))
    spec = replace(SPEC, **{"digest": encoder.digest, **changes})
    width = encoder.width * len(spec.statistics)
    domains = [Domain(*names, torch.randn(width), torch.rand(width) + 0.5) for names in spec.domains]
    domains[1] = replace(domains[1], by_speaker=False)
    domains[2] = replace(domains[2], texts=spec.texts[2], offsets=torch.randn(2, width))
    head = made_head(spec.head, spec.head_options, width, len(spec.labels))
    return Recognizer(spec, encoder, domains, head)


@pytest.fixture
def saved(tmp_path):
    return recognizer().save(tmp_path / "bundle", "# card\n")


def pooled(one: Recognizer, count: int = 6) -> torch.Tensor:
    return torch.randn(
        count, one.encoder.width * len(one.encoder.statistics), generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("normalise", ["none", "corpus", "speaker"])
@pytest.mark.parametrize("statistics", [("mean",), ("std",), ("mean", "std"), ("std", "mean")])
def test_what_is_loaded_gives_the_same_probabilities_to_the_last_bit(tmp_path, normalise, statistics):
    one = recognizer(normalise=normalise, statistics=statistics)
    two = Recognizer.load(one.save(tmp_path, "card"))
    assert two.spec == one.spec and two.labels == one.labels
    x, speakers = pooled(one), ["a", "a", "b", None, "b", "c"]
    for place in range(3):
        said = one.probabilities(x, one.domains[place], speakers)
        assert torch.equal(said, two.probabilities(x, two.domains[place], speakers))
        torch.testing.assert_close(said.sum(1), torch.ones(6))
    assert two.domains[1].corpus == "ravdess" and torch.equal(two.domains[1].mean, one.domains[1].mean)


def test_an_encoder_that_was_trained_comes_along(tmp_path):
    options = {
        "encoder": "emotion-cnn",
        "trained": "end-to-end",
        "statistics": ("mean",),
        "head": "single",
        "head_options": (),
    }
    one = recognizer(**options)
    with torch.no_grad():
        for tensor in one.encoder.state_dict().values():
            tensor += 1 if tensor.dtype == torch.int64 else 0.01 * torch.randn(tensor.shape)
    two = Recognizer.load(one.save(tmp_path, "card"))
    state = two.encoder.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in one.encoder.state_dict().items())
    fresh = load_encoder("emotion-cnn")
    assert two.encoder.digest != fresh.digest, "else the feature store would take one's features for the other's"
    wave, mask = torch.randn(2, 9000), torch.ones(2, 9000, dtype=torch.bool)
    with torch.no_grad():
        assert torch.equal(one.encoder(wave, mask).hidden, two.encoder(wave, mask).hidden)


def test_nothing_is_pickled(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "bundle.json", "model.safetensors"]
    for path in saved.iterdir():
        start = path.read_bytes()[:2]
        assert start != b"PK" and start[:1] != b"\x80", "neither a zip of torch.save nor a pickle"
    assert (saved / "README.md").read_text() == "# card\n"
    about = json.loads((saved / "bundle.json").read_text())
    assert about["format"] == room.FORMAT and about["labels"] == list(SPEC.labels)


def test_the_models_are_in_evaluation_mode(saved):
    one = Recognizer.load(saved)
    assert not one.head.training and not one.encoder.training


def test_probabilities_by_hand():
    one = recognizer(statistics=("std",), head="single", head_options=())
    x = pooled(one)
    domain = one.domains[0]
    z = normalise_features(x[:, one.encoder.width :], domain, ["a", "a", "a", "b", "b", "b"])
    expected = (z @ one.head.output.weight.T + one.head.output.bias).softmax(1)
    torch.testing.assert_close(one.probabilities(x, domain, ["a", "a", "a", "b", "b", "b"]), expected)
    assert not one.probabilities(x, domain, None).requires_grad


def test_speakers_matter_to_speaker_normalisation_only():
    x, speakers = pooled(recognizer()), ["a", "a", "b", "b", "b", "b"]
    for normalise in ("none", "corpus", "speaker"):
        one = recognizer(normalise=normalise)
        same = torch.equal(one.probabilities(x, one.domains[0], speakers), one.probabilities(x, one.domains[0], None))
        assert same == (normalise != "speaker")


def test_the_columns_of_the_statistics_that_were_chosen():
    encoder = load_encoder("logmel")
    x = torch.arange(128)
    assert torch.equal(x[columns(encoder, ("mean", "std"))], x)
    assert torch.equal(x[columns(encoder, ("mean",))], x[:64])
    assert torch.equal(x[columns(encoder, ("std", "mean"))], torch.cat([x[64:], x[:64]]))


def test_the_domain_of_a_corpus_or_of_a_language_or_else_the_targets():
    one = recognizer()
    assert one.domain("ravdess", "it").corpus == "ravdess"
    assert one.domain("elsewhere", "de").corpus == "emodb"
    assert one.domain("elsewhere", "fr").corpus == "emovo"
    assert one.domain().corpus == "emovo"
    for language in ("deu", "de_AT", "DE"):
        assert one.domain("elsewhere", language).corpus == "emodb", "any spelling of German"
    regions = recognizer(domains=(("a", "zh-TW"), ("b", "cmn"), ("c", "en")))
    assert [regions.domain(None, tag).corpus for tag in ("zh-TW", "cmn", "zh_TW", "zh")] == ["a", "b", "b", "b"]
    twice = recognizer(domains=(("esd", "en"), ("esd", "zh"), ("esd", "zh")))
    assert twice.domain("esd") is twice.domains[2], "the target's before a source's of the same name"


def test_a_bundle_cut_short_is_no_bundle(tmp_path, monkeypatch):
    """The description is written last."""
    one = recognizer()
    monkeypatch.setattr(json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        one.save(tmp_path / "bundle", "card")
    monkeypatch.undo()
    assert (tmp_path / "bundle" / "model.safetensors").exists()
    with pytest.raises(UserError, match="is no bundle"):
        Recognizer.load(tmp_path / "bundle")


def changed(saved, **values) -> None:
    """Change fields of the description and take its own digest out, as if an older emobridge had written it."""
    about = json.loads((saved / "bundle.json").read_text())
    about = {key: value for key, value in {**about, "sha256": ..., **values}.items() if value is not ...}
    (saved / "bundle.json").write_text(json.dumps(about))


BROKEN = {
    "newer format": (
        lambda saved: changed(saved, format=room.FORMAT + 1),
        f"a bundle of format {room.FORMAT + 1} .* update emobridge",
    ),
    "format is a word": (lambda saved: changed(saved, format="one"), "is no description of a bundle"),
    "missing key": (
        lambda saved: changed(saved, head=...),
        "no description of a bundle .the field 'head' is missing",
    ),
    "bad domains": (lambda saved: changed(saved, domains=[["a", "b", "c"]]), "is no description of a bundle"),
    "no domains": (lambda saved: changed(saved, domains=[]), "domains: expected one pair or more"),
    "not JSON": (lambda saved: (saved / "bundle.json").write_text("{"), "is no description of a bundle"),
    "a JSON list": (lambda saved: (saved / "bundle.json").write_text("[]"), "is no description of a bundle"),
    "no description": (lambda saved: (saved / "bundle.json").unlink(), "is no bundle"),
    "no folder": (lambda saved: shutil.rmtree(saved), "is no bundle"),
    "no weights": (lambda saved: (saved / "model.safetensors").unlink(), "model.safetensors: cannot be read"),
    "empty weights": (lambda saved: (saved / "model.safetensors").write_bytes(b""), "does not fit bundle.json"),
    "truncated": (
        lambda saved: (saved / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes()[:-9]),
        "model.safetensors: does not fit bundle.json",
    ),
    "another head": (lambda saved: changed(saved, head_options=["hidden=9"]), "does not fit bundle.json"),
    "more labels": (lambda saved: changed(saved, labels=["a", "b", "c", "d"]), "does not fit bundle.json"),
    "more domains": (
        lambda saved: changed(saved, domains=[["a", "b"]] * 4, texts=[[]] * 4),
        "does not fit bundle.json",
    ),
    "fewer texts": (lambda saved: changed(saved, texts=[]), "texts: expected 3 lists, one a domain, got 0"),
    "unknown head": (lambda saved: changed(saved, head="linaer"), "did you mean 'linear'"),
    "unknown encoder": (lambda saved: changed(saved, encoder="logmal"), "did you mean 'logmel'"),
    "other weights": (lambda saved: changed(saved, digest="0" * 64), "made with an encoder of other weights"),
    "other encoder": (lambda saved: changed(saved, encoder="emotion-cnn"), "made with an encoder of other weights"),
    "trained": (lambda saved: changed(saved, trained="end-to-end", encoder="emotion-cnn"), "does not fit bundle.json"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_bundle_is_one_line(saved, name):
    harm, message = BROKEN[name]
    harm(saved)
    with pytest.raises(UserError, match=message) as caught:
        Recognizer.load(saved)
    assert len(str(caught.value).splitlines()) == 1


def test_another_user_reads_a_bundle_or_is_told_who_can_allow_it(saved, open_folder, other_user):
    bundle = open_folder / "bundle"
    shutil.copytree(saved, bundle)
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in saved.rglob("*") if path.is_file())
    assert other_user(lambda: Recognizer.load(bundle).labels) == SPEC.labels
    for name in ("bundle.json", "model.safetensors"):
        os.chmod(bundle / name, 0o600)
        said = other_user(lambda: Recognizer.load(bundle))
        assert said.startswith(f"{bundle / name}: cannot be read (Permission denied); it belongs to ")
        os.chmod(bundle / name, 0o644)


def test_an_encoder_that_has_moved_can_be_told(saved):
    changed(saved, encoder="/nowhere/wavlm")
    with pytest.raises(UserError, match=r"the encoder 'wavlm' is not at /nowhere/wavlm, .*--encoder"):
        Recognizer.load(saved)
    assert Recognizer.load(saved, encoder="logmel").labels == SPEC.labels
    with pytest.raises(UserError, match="other weights than emotion-cnn has"):
        Recognizer.load(saved, encoder="emotion-cnn")


def test_normalisation_in_a_word():
    assert SPEC.normalisation == "speaker+coral" and replace(SPEC, align="none").normalisation == "speaker"


def test_log_mels_of_an_earlier_version_are_other_features():
    with pytest.raises(UserError, match=r"other weights than logmel has.* train it again"):
        room.Recognizer.load(Path(__file__).with_name("format2"))


FAMILIARITY = {"centres": (4, 64), "deviation": (64,), "distances": (5,)}  # of the recogniser above


def familiar() -> Recognizer:
    """The recogniser above, with a familiarity."""
    plain = recognizer()
    parts = {name: torch.rand(shape).sort(0).values + 0.1 for name, shape in FAMILIARITY.items()}
    return Recognizer(plain.spec, plain.encoder, plain.domains, plain.head, familiarity=Familiarity(**parts))


def test_familiarity_comes_back_to_the_last_bit(tmp_path):
    one = familiar()
    two = Recognizer.load(one.save(tmp_path, "card"))
    x = one.normalised(pooled(one), one.domains[-1], None)
    assert torch.equal(one.last.unfamiliarity(x), two.last.unfamiliarity(x))
    assert one.last.unfamiliarity(x).shape == (6,)
    assert Recognizer.load(two.save(tmp_path / "again", "card")).last.familiarity is not None


def test_a_bundle_without_familiarity_says_so(saved):
    loaded = Recognizer.load(saved)
    assert loaded.last.unfamiliarity(torch.zeros(2, 64)) is None


def rewritten(folder: Path, change) -> None:
    """The tensors of a bundle through `change`, and the description fitted to them: as who made it might have erred."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    changed(folder, tensors=file_digest(folder / "model.safetensors").hex())


@pytest.mark.parametrize("name", FAMILIARITY)
@pytest.mark.parametrize("value", [None, torch.zeros(3), torch.full((4, 32), torch.nan)])
def test_familiarity_that_does_not_fit_is_one_line(tmp_path, name, value):
    folder = familiar().save(tmp_path, "card")

    def change(tensors) -> None:
        del tensors[f"familiarity.{name}"]
        if value is not None:
            tensors[f"familiarity.{name}"] = value

    rewritten(folder, change)
    with pytest.raises(UserError, match=r"does not fit bundle\.json") as caught:
        Recognizer.load(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_familiarity_of_features_of_another_width_is_one_line(tmp_path):
    folder = familiar().save(tmp_path, "card")

    def change(tensors) -> None:
        for name in ("centres", "deviation"):
            tensors[f"familiarity.{name}"] = tensors[f"familiarity.{name}"][..., :1].contiguous()

    rewritten(folder, change)
    with pytest.raises(UserError, match=r"does not fit bundle.json .*expected 1 features"):
        Recognizer.load(folder)
