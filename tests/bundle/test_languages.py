"""Several languages in one recogniser: each answers as it does alone, whichever way they came together."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from emobridge.adapters import Adapters, use_adapters
from emobridge.bundle import Recognizer, Spec
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.inference.features import encode

WAVES = [np.random.default_rng(0).standard_normal(size).astype(np.float32) for size in (4000, 2500)]
KINDS = {
    "lora": ({}, {"words": ("r=3",)}),
    "bottleneck": ({}, {"adapters": "bottleneck", "words": ("reduction=4",)}),
    "bare": ({}, {"adapters": None}),
    "bare first": ({"adapters": None}, {}),
    "no adapters": ({"adapters": None}, {"adapters": None}),
}


def says(one: Recognizer, language: str | None = None) -> torch.Tensor:
    """(2, C): probabilities of two clips by the branch of a language, or the last."""
    branch = one.branch_of(language) if language else one.branches[-1]
    pooled = torch.stack(encode(one, WAVES, [branch.adapters] * len(WAVES)))
    return branch.probabilities(pooled, branch.domains[-1], None)


def close(one: torch.Tensor, two: torch.Tensor) -> None:
    torch.testing.assert_close(one, two, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_language_answers_as_alone_before_and_after_saving(made, tmp_path, kind):
    first, second = KINDS[kind]
    de, it = made("de", 1, **first), made("it", 2, **second)
    wanted = {"de": says(de), "it": says(it)}
    assert (wanted["de"] - wanted["it"]).abs().max() > 1e-3
    joined = de.join(it)
    loaded = Recognizer.load(joined.save(tmp_path, "card"))
    for one in (joined, loaded):
        assert [branch.language for branch in one.branches] == ["de", "it"] and one.languages == ("de", "it", "en")
        for language, expected in wanted.items():
            close(says(one, language), expected)
        close(says(one), wanted["it"])
        assert one.encoder.active_adapters is one.branches[-1].adapters
    close(says(de), wanted["de"])
    for old, new in zip(joined.branches, loaded.branches):
        assert new.spec == old.spec and torch.equal(new.domains[1].mean, old.domains[1].mean)


def test_three_come_together_from_their_folders(made, tmp_path):
    names = ("de", "it", "fr")
    wanted = {}
    for seed, name in enumerate(names):
        one = made(name, seed)
        wanted[name] = says(one)
        one.save(tmp_path / name, name)
    joined = Recognizer.joined([tmp_path / name for name in names])
    saved = joined.save(tmp_path / "all", "card", {"de": "of de"})
    assert sorted(path.name for path in (saved / "languages").iterdir()) == ["de", "it"]
    assert (saved / "languages" / "de" / "README.md").read_text() == "of de"
    assert (saved / "languages" / "de" / "adapters" / "adapter_config.json").is_file()
    assert not (saved / "languages" / "de" / "bundle.json").exists(), "a language is no bundle of its own"
    loaded = Recognizer.load(saved)
    for name in names:
        close(says(loaded, name), wanted[name])
    assert len(loaded.encoder.inactive_adapters) == 2


def test_a_fine_tuned_base_with_a_head_of_its_own_and_adapters_on_it(made, source, tmp_path):
    """FT+LoRA: language one goes by the trained encoder as it is, language two by adapters on it."""
    encoder = load_encoder(source("whisper"))
    digest = encoder.digest
    with torch.no_grad():
        for weight in encoder.parameters():
            weight += 0.05 * torch.randn(weight.shape)
    en = made("en", 1, adapters=None, encoder=encoder, digest=digest, trained="end-to-end", domains=(("a", "en"),) * 2)
    alone = says(en)
    de = made("de", 2, encoder=encoder, digest=digest, trained="end-to-end+adapters")
    close(says(en), alone)
    wanted = says(de)
    joined = en.join(de)
    loaded = Recognizer.load(joined.save(tmp_path / "both", "card"))
    for one in (joined, loaded):
        close(says(one, "en"), alone)
        close(says(one, "de"), wanted)
    also = Recognizer(de.spec, encoder, de.domains, de.head, earlier=en.branches)
    close(says(also, "en"), alone)
    close(says(Recognizer.load(de.save(tmp_path / "one", "card"))), wanted)
    late = Recognizer(en.spec, encoder, en.domains, en.head)  # made while the adapters are at work
    late = late.join(Recognizer(de.spec, encoder, de.domains, de.head))
    close(says(late, "en"), alone)
    close(says(late), wanted)
    assert loaded.base == joined.base == en.base != digest
    with pytest.raises(UserError, match="made on another base model"):
        made("fr", 3).join(loaded)


def test_a_bundle_of_the_first_format_is_read(made, tmp_path):
    one = made("de")
    one.save(tmp_path, "card")
    about = json.loads((tmp_path / "bundle.json").read_text())
    del about["languages"], about["adapters"], about["sha256"]
    (tmp_path / "bundle.json").write_text(json.dumps(about | {"format": 1}))
    close(says(Recognizer.load(tmp_path)), says(one))


def test_the_branch_of_a_language(made):
    de, pt = made("de", domains=(("ravdess", "en"), ("emodb", "de"))), made("pt-BR")
    one = de.join(pt)
    of = {branch.language: branch for branch in one.branches}
    assert one.branch("de") is one.branch("de-AT") is of["de"]
    assert one.branch("pt") is one.branch("pt-PT") is of["pt-BR"]
    assert one.branch("en") is of["pt-BR"], "both have heard it: the later one"
    assert one.branch("und", "emodb") is one.branch(None, "emodb") is of["de"]
    assert one.branch("fr") is one.branch("und") is one.branch() is None
    with pytest.raises(UserError, match=r"language 'fr': not one of this recogniser's \(de, pt-BR, en\)"):
        one.branch_of("fr")


def test_what_is_merged_is_as_it_was_and_comes_out_again(made):
    one = made("de", 1).join(made("it", 2))
    state = {name: tensor.clone() for name, tensor in one.encoder.state_dict().items()}
    wanted, other = says(one, "de"), says(one, "it")
    with one.merged("de") as merged:
        torch.testing.assert_close(says(merged, "de"), wanted, atol=1e-4, rtol=0)
        assert any(not torch.equal(tensor, state[name]) for name, tensor in one.encoder.state_dict().items())
        with pytest.raises(UserError, match="are merged into the encoder's weights"):
            says(one, "it")
        with pytest.raises(UserError, match="are merged into the encoder's weights"):
            encode(one, WAVES, [branch.adapters for branch in one.branches])
    for name, tensor in one.encoder.state_dict().items():
        torch.testing.assert_close(tensor, state[name], atol=1e-6, rtol=0)
    close(says(one, "it"), other)
    assert one.encoder.active_adapters is one.branches[-1].adapters
    with pytest.raises(UserError, match="language 'fr': not one"), one.merged("fr"):
        pass


REFUSED = {
    "another base": ({"name": "wav2vec2-base"}, "it.* cannot join de.*: made on another base model .hf-ssl"),
    "another option": ({"encoder_options": ("padding=full",)}, "another base model"),
    "other labels": (
        {"labels": ("anger", "joy", "neutral")},
        r"other labels \(anger, joy, neutral, not anger",
    ),
    "other order": ({"labels": ("sadness", "anger", "neutral")}, r"other labels \(sadness, anger"),
    "other layer": ({"layer": "1"}, r"other layer \(1, not 1\+2\)"),
    "other statistics": ({"statistics": ("mean", "std")}, r"other statistics \(mean, std, not mean\)"),
    "no language": ({"language": "und"}, "language 'und': a recogniser joins others under a name"),
    "no name": ({"language": "../de"}, "language '../de': a recogniser joins others under a name"),
    "twice": ({"language": "de"}, "language 'de': is in both; leave one out, or --replace"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_a_line_and_changes_nothing(made, source, case):
    changes, message = REFUSED[case]
    changes = {"language": "it", **changes}
    if "encoder_options" in changes:
        changes["encoder"] = load_encoder(source("whisper"), padding="full")
    de, other = made("de", 1), made(changes.pop("language"), 2, **changes)
    wanted, inside = says(de), len(de.encoder.state_dict())
    with pytest.raises(UserError, match=message) as caught:
        de.join(other)
    assert len(str(caught.value).splitlines()) == 1
    assert len(de.encoder.state_dict()) == inside
    close(says(de), wanted)


def test_the_later_takes_a_language_over_where_it_is_asked_for(made):
    de, it, again = made("de", 1), made("it", 2), made("de", 3)
    joined = de.join(it).join(again, replace=True)
    assert [branch.language for branch in joined.branches] == ["it", "de"]
    close(says(joined, "de"), says(again))


HARM = {
    "description": ("languages/de/language.json", "language.json: does not fit bundle.json"),
    "weights": ("languages/de/model.safetensors", "model.safetensors: (does not fit language.json|cannot be read)"),
    "adapters": ("languages/de/adapters/adapter_model.safetensors", "adapters: does not fit language.json"),
    "last adapters": ("adapters/adapter_model.safetensors", "adapters: does not fit bundle.json"),
}


@pytest.mark.parametrize("case", HARM)
def test_what_was_changed_is_refused(made, tmp_path, case):
    place, message = HARM[case]
    made("de", 1).join(made("it", 2)).save(tmp_path, "card")
    with (tmp_path / place).open("ab") as file:
        file.write(b" ")
    with pytest.raises(UserError, match=message):
        Recognizer.load(tmp_path)
    (tmp_path / place).unlink()
    with pytest.raises(UserError, match=r"is no language of a bundle|cannot be read|does not fit"):
        Recognizer.load(tmp_path)


def test_a_folder_outside_the_bundle_is_not_opened(made, tmp_path):
    made("de").save(tmp_path, "card")
    about = json.loads((tmp_path / "bundle.json").read_text())
    for told in ({"../de": "0"}, ["de"], {"": "0"}):
        (tmp_path / "bundle.json").write_text(json.dumps(about | {"languages": told}))
        with pytest.raises(UserError, match=r"is no description of a bundle \(languages"):
            Recognizer.load(tmp_path)


def test_adapters_are_asked_for_where_there_are_none(made):
    one = made("de", adapters=None)
    with pytest.raises(ValueError, match="has adapters, and there are none"):
        Recognizer(
            Spec(**{key: getattr(one.spec, key) for key in Spec.__slots__} | {"trained": "adapters"}),
            one.encoder,
            one.domains,
            one.head,
        )


def test_the_store_tells_a_trained_recogniser_from_its_base(made, source):
    """Before it is saved, too: else it would be given the base's features."""
    plain = load_encoder(source("whisper")).digest
    one = made("de")
    assert one.encoder.digest != plain and one.base == plain
    with use_adapters(one.encoder, None):
        assert one.encoder.digest == plain
    assert isinstance(one.encoder.active_adapters, Adapters) and len(pad(WAVES)) == 2


def test_a_bundle_of_before_names_the_weights_alone_and_a_new_one_the_configuration_too(made, tmp_path, source):
    """Whoever changes the number of heads in config.json gets other features of the same weights."""
    recognizer = made("de", 1)
    recognizer.save(tmp_path / "bundle", "card")
    path, about = tmp_path / "bundle" / "bundle.json", tmp_path / "bundle" / "adapters" / "adapters.json"
    shutil.copytree(source("whisper"), tmp_path / "encoder")
    config = tmp_path / "encoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"encoder_attention_heads": 1}))
    with pytest.raises(UserError, match=r"of other weights than .* has, or another config\.json"):
        Recognizer.load(tmp_path / "bundle", encoder=str(tmp_path / "encoder"))
    plain = load_encoder(source("whisper"))
    for file in (path, about):
        content = json.loads(file.read_text().replace(plain.digest, plain.weights_digest))
        file.write_text(json.dumps({key: value for key, value in content.items() if key != "sha256"}))
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in content.items() if key != "adapters"}))
    close(says(Recognizer.load(tmp_path / "bundle")), says(recognizer))
