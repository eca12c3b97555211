import pytest

from emobridge.data.labels import EMOTIONS, SYNONYMS, to_emotion
from emobridge.errors import UserError


def test_every_emotion_means_itself_and_every_synonym_one_emotion():
    assert [to_emotion(emotion) for emotion in EMOTIONS] == list(EMOTIONS)
    assert set(SYNONYMS.values()) == set(EMOTIONS)
    assert not set(SYNONYMS) & set(EMOTIONS)


@pytest.mark.parametrize(
    ("raw", "emotion"),
    [
        ("joy", "happiness"),
        ("Angry", "anger"),
        (" SAD ", "sadness"),
        ("Pleasant Surprise", "surprise"),
        ("pleasant-surprise", "surprise"),
        ("U\u0308berraschung", "surprise"),  # decomposed umlaut, as some file systems give it
        ("gioia", "happiness"),
        ("Langeweile", "boredom"),
        ("", None),
        ("  ", None),
        (None, None),
        ("NaN", None),
        ("unlabelled", None),
    ],
)
def test_synonyms(raw, emotion):
    assert to_emotion(raw) == emotion


def test_mapping_goes_first_and_may_use_synonyms():
    mapping = {"W": "anger", "exc": "joy", "sad": "boredom", "xxx": ""}
    assert [to_emotion(raw, mapping) for raw in ("W", "exc", "sad", "xxx", "fear")] == [
        "anger",
        "happiness",
        "boredom",
        None,
        "fear",
    ]


def test_unknown_label_is_named_with_the_nearest():
    with pytest.raises(UserError, match=r"unknown emotion label 'hapiness': did you mean 'happiness'\?") as error:
        to_emotion("hapiness")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"did you mean 'zapped'\?"):
        to_emotion("zaped", {"zapped": "other"})
    with pytest.raises(UserError, match="unknown emotion label 'excited'"):  # merging is the experimenter's choice
        to_emotion("excited")
