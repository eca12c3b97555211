"""Bundles put together and asked, as a user types it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from emobridge.bundle import Recognizer
from emobridge.data.manifest import read_manifest


@pytest.fixture
def bundles(made, tmp_path):
    """de/ and it/, each with a card."""
    return [
        made(name, seed).save(tmp_path / name, f"# card of {name}\n") for seed, name in enumerate(("de", "it"), start=1)
    ]


@pytest.fixture
def joined(cli, bundles, tmp_path):
    done = cli("join", *bundles, "--out", tmp_path / "both")
    assert (done.code, done.out) == (0, f"{tmp_path / 'both'}: de, it; it answers where the language is not known\n")
    return tmp_path / "both"


def said(done) -> torch.Tensor:
    assert done.code == 0, done.err
    return torch.tensor([list(json.loads(line)["probabilities"].values()) for line in done.out.splitlines()])


def test_each_language_is_answered_as_by_its_own_bundle(cli, bundles, joined, recorded):
    audio = recorded / "en-a-anger-0.wav"
    found = {}
    for name, bundle in zip(("de", "it"), bundles):
        found[name] = said(cli("predict", joined, audio, "--language", name))
        torch.testing.assert_close(
            found[name], said(cli("predict", bundle, audio, "--language", name)), atol=2e-6, rtol=0
        )
    assert (found["de"] - found["it"]).abs().max() > 1e-3
    assert torch.equal(said(cli("predict", joined, audio)), found["it"])
    assert torch.equal(said(cli("predict", joined, audio, "--language", "und")), found["it"])


def test_a_language_that_is_not_there_is_one_line(cli, bundles, joined, recorded):
    audio = recorded / "en-a-anger-0.wav"
    for bundle, names in ((joined, "de, it, en"), (bundles[0], "de, en")):
        done = cli("predict", bundle, audio, "--language", "fr")
        expected = f"emobridge: language 'fr': not one of this recogniser's ({names})"
        assert (done.code, done.out, done.err.splitlines()) == (2, "", [expected])
    done = cli("predict", joined, recorded / "xx.jsonl")
    assert done.code == 2 and done.complaints == ["emobridge: language 'xh': not one of this recogniser's (de, it, en)"]
    done = cli("evaluate", joined, "--on", recorded / "xx.jsonl")
    assert done.code == 2 and len(done.complaints) == 1
    for mode in ("target", "averaged", "confident"):
        assert len(said(cli("predict", joined, audio, "--language", "fr", "--untold", mode))) == 1
    done = cli("evaluate", joined, "--on", recorded / "xx.jsonl", "--untold", "confident", "--out", recorded / "s.json")
    assert done.code == 0 and "UA" in done.out


def test_a_language_is_a_tag_or_a_name_of_the_bundles_own(cli, joined, recorded):
    audio = recorded / "en-a-anger-0.wav"
    for name, tag in (("Italian", "it"), ("italiano", "it"), ("ita", "it"), ("Deutsch", "de"), ("none", "und")):
        named, tagged = (cli("predict", joined, audio, "--language", word) for word in (name, tag))
        assert named.code == tagged.code == 0 and torch.equal(said(named), said(tagged))
    for name in ("Klingon", "xx", "Itallian"):
        for mode in ((), ("--untold", "averaged")):
            done = cli("predict", joined, audio, "--language", name, *mode)
            assert done.code == 2 and len(done.complaints) == 1 and f"language '{name}'" in done.err
    assert "this recogniser has de, it, en" in cli("predict", joined, audio, "--language", "Klingon").err
    assert "did you mean 'it'" in cli("predict", joined, audio, "--language", "Itallian").err


def test_an_unknown_mode_and_a_router_that_is_not_there(cli, joined, recorded):
    audio = recorded / "en-a-anger-0.wav"
    done = cli("predict", joined, audio, "--untold", "averagd")
    assert done.code == 2 and "did you mean 'averaged'" in done.err
    done = cli("predict", joined, audio, "--untold", "routed")
    assert done.code == 2 and "`emobridge join --router MANIFEST` learns one" in done.err


def test_a_router_is_learnt_and_asked(cli, made, recorded, tmp_path):
    for seed, (name, language) in enumerate((("en", "en"), ("xx", "xh")), start=1):
        made(language, seed, domains=((name, language),), texts=((),)).save(tmp_path / name, "card")
    manifests = [word for name in ("en", "xx") for word in ("--router", recorded / f"{name}.jsonl")]
    done = cli("join", tmp_path / "en", tmp_path / "xx", "--out", tmp_path / "both", *manifests, "--router-base")
    assert done.code == 0, done.err
    router = Recognizer.load(tmp_path / "both").router
    assert router.languages == ("en", "xh") and router.hears_base
    audio = [recorded / f"{one}.wav" for one in ("en-a-anger-0", "xx-b-sadness-1")]
    got = said(cli("predict", tmp_path / "both", *audio, "--untold", "routed"))
    assert len(got) == 2
    assert "Router: learnt without emotion labels" in (tmp_path / "both" / "README.md").read_text()


def test_what_cannot_be_joined(cli, bundles, made, tmp_path):
    out = ("--out", tmp_path / "new")
    made("fr", labels=("anger", "joy", "neutral")).save(tmp_path / "labels", "card")
    made("fr", name="hubert-base").save(tmp_path / "base", "card")
    cases = {
        (bundles[0],): "expected two bundles or more",
        (bundles[0], tmp_path / "labels"): f"{tmp_path / 'labels'}: fr+en cannot join de+en: other labels",
        (bundles[0], tmp_path / "base"): f"{tmp_path / 'base'}: fr+en cannot join de+en: made on another base model",
        (bundles[0], bundles[0]): "language 'de': is in both; leave one out, or --replace",
        (bundles[0], tmp_path / "nowhere"): "is no bundle",
        (*bundles, "--router-base"): "--router-base goes with --router",
    }
    for words, message in cases.items():
        done = cli("join", *words, *out)
        assert done.code == 2 and message in done.err and len(done.complaints) == 1
        assert not (tmp_path / "new").exists()
    done = cli("join", bundles[0], bundles[0], "--replace", *out)
    assert done.code == 0 and done.out.startswith(f"{tmp_path / 'new'}: de; de answers where")


def test_the_card_lists_languages_and_keeps_their_cards(cli, made, joined, tmp_path):
    card = (joined / "README.md").read_text()
    assert "language:\n- de\n- en\n- it\n" in card.split("---")[1]
    assert "| de | ravdess (en), of de (de) | source-only | 0 | head, lora | [card](languages/de/README.md) |" in card
    assert (
        "Where the language is not known it answers" in card and "SYNTHETIC" not in card and "- ravdess: CC BY" in card
    )
    for name in ("de", "it"):
        assert (joined / "languages" / name / "README.md").read_text() == f"# card of {name}\n"
    made("fr", adapters=None, synthetic=True).save(tmp_path / "fr", "# card of fr\n")
    done = cli("join", joined, tmp_path / "fr", "--out", tmp_path / "three")
    assert done.out == f"{tmp_path / 'three'}: de, it, fr; fr answers where the language is not known (SYNTHETIC)\n"
    for name in ("de", "it", "fr"):
        assert (tmp_path / "three" / "languages" / name / "README.md").read_text() == f"# card of {name}\n"
    card = (tmp_path / "three" / "README.md").read_text()
    assert "SYNTHETIC" in card and "| fr | ravdess (en), of fr (fr) | source-only | 0 | head |" in card


def test_the_bundles_that_were_joined_may_go(cli, bundles, joined, recorded):
    wanted = said(cli("predict", joined, recorded / "en-a-anger-0.wav", "--language", "de"))
    for bundle in bundles:
        shutil.rmtree(bundle)
    assert torch.equal(said(cli("predict", joined, recorded / "en-a-anger-0.wav", "--language", "de")), wanted)
    assert len(list(read_manifest(recorded / "xx.jsonl"))) == 16
