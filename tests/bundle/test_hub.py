"""Bundles on the hub, by way of a small server on this machine that answers as the hub does."""

from __future__ import annotations

import json

import huggingface_hub
import pytest
from huggingface_hub import ModelCard

import emobridge
from emobridge.bundle import Recognizer
from emobridge.bundle.hub import check_card
from emobridge.errors import UserError

CARD = "---\nlicense: other\n---\n# Made of ravdess, emodb, of de and of it\n"


@pytest.fixture
def recognizer(finished):
    return emobridge.load(finished / "bundle")


def test_there_and_back(hub, recognizer, recorded, finished, cli):
    address = recognizer.push_to_hub("user/calls-xh")
    assert address == f"{hub.address}/user/calls-xh" and hub.private["user/calls-xh"] in (True, "private")
    files = hub.models["user/calls-xh"]
    assert set(files) == {"bundle.json", "model.safetensors", "README.md", ".gitattributes", "keep.txt"}
    assert files["README.md"].decode() == (finished / "bundle" / "README.md").read_text()
    (clip,) = (path for path in recorded.glob("xx-a-anger-0.wav"))
    answers = recognizer(clip)
    for again in (Recognizer.from_pretrained("user/calls-xh"), emobridge.load("user/calls-xh", revision="main")):
        assert again(clip) == answers and again.card == recognizer.card
    hub.models["user/calls-xh"]["pytorch_model.bin"] = b"\x80"
    hub.requests.clear()
    done = cli("predict", "user/calls-xh@main", clip)
    assert done.code == 0 and json.loads(done.out)["label"] == answers[0].label
    assert not any("keep.txt" in request or ".bin" in request for request in hub.requests if "resolve" in request)


def test_adapters_and_languages_go_along_and_files_of_before_are_removed(hub, made, source, tmp_path):
    recognizer = made("de").join(made("it", 1, adapters=None))
    recognizer.save(tmp_path / "both", CARD, {"de": "# de"})
    (tmp_path / "both" / "notes.txt").write_text("private")
    loaded = Recognizer.load(tmp_path / "both")
    hub.private["user/both"] = True
    hub.models["user/both"] = {"adapters/old.safetensors": b"", "languages/fr/language.json": b"{}", "mine.txt": b""}
    loaded.push_to_hub("user/both", token="secret")
    files = hub.models["user/both"]
    assert {"languages/de/adapters/adapter_model.safetensors", "languages/de/README.md", "mine.txt"} <= set(files)
    assert not {"adapters/old.safetensors", "languages/fr/language.json", "notes.txt"} & set(files)
    assert not any(str(tmp_path.parent).encode() in text for text in files.values())
    again = emobridge.load("user/both", encoder=source("whisper"))
    assert again.languages == loaded.languages and again.cards == {"de": "# de"}


def test_refusals_are_one_line(hub, recognizer, made, cli, tmp_path):
    hub.models["user/other"] = {"README.md": b"", "config.json": b"{}"}
    for source, message in {
        "user/none": "user/none: no such folder, and not to be had from the model hub",
        "user/other": "user/other: the model on the hub is no bundle",
    }.items():
        done = cli("predict", source, "a.wav")
        assert done.code == 2 and message in done.complaints[-1], done.err
    for revision in ("v9/../../x", "-v", "a b"):
        with pytest.raises(UserError, match="expected a branch, a tag or a commit of the hub"):
            emobridge.load("user/other", revision=revision)
    with pytest.raises(UserError, match=r"revision 'v1': goes with a model of the hub, and .* is a folder"):
        emobridge.load(tmp_path, revision="v1")
    with pytest.raises(UserError, match=r"tells its revision; leave out revision='v1'"):
        emobridge.load("user/other@v1", revision="v1")
    for model in ("calls", "/home/me/calls", "user/calls@v1", "a/b/c", ""):
        with pytest.raises(UserError, match="expected the id of a model on the hub, such as user/name"):
            recognizer.push_to_hub(model)
    with pytest.raises(UserError, match=r"user/calls: cannot be put on the model hub \(.*401") as caught:
        recognizer.push_to_hub("user/calls", token="wrong")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UserError, match="has no model card"):
        made("de").push_to_hub("user/calls")


def test_the_hub_is_not_asked_for_what_can_only_be_a_folder(hub, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name in ("run/bundel", "calls/bundle"):
        with pytest.raises(UserError, match=rf"^{name}: no such folder; expected that of a bundle"):
            emobridge.load(name)
    assert hub.requests == []


def test_a_hub_that_is_not_there_is_one_line(hub, recognizer, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"^user/calls: no such folder, and not to be had from the model hub \("):
        emobridge.load("user/calls")
    with pytest.raises(UserError, match=r"^user/calls: cannot be put on the model hub \("):
        recognizer.push_to_hub("user/calls")


def test_a_branch_of_its_own(hub, recognizer, recorded):
    recognizer.push_to_hub("user/calls-xh")
    hub.models["user/calls-xh"]["bundle.json"] = b"{}"  # main is broken, the branch is not
    recognizer.push_to_hub("user/calls-xh", branch="trial")
    clip = recorded / "xx-a-anger-0.wav"
    assert emobridge.load("user/calls-xh@trial")(clip) == recognizer(clip)
    with pytest.raises(UserError, match="user/calls-xh@v9: no such folder, and not to be had"):
        emobridge.load("user/calls-xh@v9")
    with pytest.raises(UserError, match="expected a branch"):
        recognizer.push_to_hub("user/calls-xh", branch="../main")


def test_what_everyone_can_see_is_never_filled_by_default(hub, recognizer):
    hub.models["user/open"], hub.private["user/open"] = {}, False
    with pytest.raises(UserError, match=r"^user/open: everyone can see this model of the hub"):
        recognizer.push_to_hub("user/open")
    assert hub.models["user/open"] == {}
    recognizer.push_to_hub("user/open", private=False)
    assert "bundle.json" in hub.models["user/open"]


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("# ravdess", "has no license in its head"),
        ("---\nlicense: [\n---\n", "the hub cannot read the head of the model card"),
        ("---\nlicense: other\nmodel-index: 3\n---\n# ravdess", "the hub cannot read the head of the model card"),
        ("---\nlicense: other\n---\n# emodb", "does not name 'ravdess', which the model was trained on"),
    ],
)
def test_a_card_without_licence_or_sources_is_refused(card, message):
    with pytest.raises(UserError, match=rf"^README.md: .*{message}"):
        check_card(card, ["ravdess"])


def test_names_of_corpora_are_matched_as_a_card_spells_them():
    check_card("---\nlicense: other\n---\n- my\\|calls &lt;b>", ["my|calls <b>"])


def test_the_card_has_what_the_hub_reads(finished):
    about = huggingface_hub.metadata_load(finished / "bundle" / "README.md")
    assert about["library_name"] == "emobridge" and about["pipeline_tag"] == "audio-classification"
    assert about["license"] == "other" and about["language"] == ["en", "xh"]
    assert {"speech-emotion-recognition", "emobridge"} <= set(about["tags"])
    (result,) = ModelCard.load(finished / "bundle" / "README.md").data.eval_results[:1]
    scores = json.loads((finished / "scores.json").read_text())
    rows = [row for row in scores if (row["side"], row["measure"], row["seed"]) == ("target", "UA", "all")]
    assert result.metric_value in [round(row["value"], 4) for row in rows]
    assert result.dataset_name == "xx" and result.metric_type == "recall" and "95 % interval" in result.metric_name
