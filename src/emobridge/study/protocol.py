"""Plain sentences on the protocol of a run: what each method saw, how the scored were held out, what to beware of."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.data.speech import Speech, folds_of
from emobridge.settings import Settings
from emobridge.study.guard import THRESHOLD
from emobridge.study.run import made_method


def saw(settings: Settings) -> tuple[str, ...]:
    """What the method was trained with, and what normalisation and alignment used: sentences without a full stop."""
    method = made_method(settings.method, settings)
    seen = method.needs | method.takes
    whose = "all target speakers, the scored too" if settings.transductive else "the target's training speakers"
    lines = []
    if "source_labels" in seen:
        lines.append("the labelled utterances of the source's training speakers")
    if "target_audio" in seen:
        lines.append(f"the unlabelled audio of {whose}")
    if "target_labels" in seen and settings.target_labels != "0":
        lines.append(f"the labels of {settings.target_labels} utterances of the target's training speakers")
    elif settings.validate == "source":
        lines.append("no label of the target")
    if settings.attributes:
        names = ", ".join(settings.attributes)
        lines.append(f"{names} of the utterances whose labels it saw, where they are known, and of no others")
    if settings.validate == "both":
        whose_labels = (
            "THE TARGET'S VALIDATION SPLIT" if settings.predefined else "A FIFTH OF THE TARGET'S TRAINING SPEAKERS"
        )
        lines.append(f"LABELS OF {whose_labels} chose the epoch, for the baseline as well")
    lines.append(
        {
            "none": "normalisation used the source's training utterances only",
            "corpus": f"normalisation used the unlabelled audio of the source's training speakers and of {whose}",
            "speaker": "speaker normalisation used each speaker's own unlabelled utterances, "
            "those of the scored target speakers too",
            "speaker+text": "speaker normalisation used each speaker's own unlabelled utterances, those of the scored "
            f"target speakers too, and text normalisation the transcripts of the source and of {whose}",
        }[settings.normalise]
    )
    if settings.by_corpus:
        lines.append(f"speakers of {', '.join(settings.by_corpus)} were normalised by their corpus, not by their own")
    if settings.align == "coral":
        lines.append(f"CORAL alignment used the unlabelled audio of {whose}, for the baseline as well")
    if settings.pool == "closed" and settings.labels:
        lines.append(
            f"of the target, only utterances of {', '.join(settings.labels)} (chosen by label) or unlabelled ones"
        )
    return tuple(lines)


def folds(speech: Speech, settings: Settings) -> int:
    """The number of folds: as many as the settings ask for, or as there are speakers for; 0 is one split."""
    return len(folds_of(speech, settings, 0)) if settings.folds else 0


def held_out(settings: Settings, folds: int, scored: bool, bundle: bool = True) -> str:
    """How the scored utterances were held out, in sentences.

    scored: whether the target has labels to score. bundle: whether a recogniser was then trained on everything.
    """
    how = f"{folds} folds" if folds else "one split, a fifth held out"
    if settings.predefined:
        how, meaning = "the split that the corpora come with", "(it was not checked whether it shares speakers)"
    elif settings.share_speakers:
        meaning = "by utterance, so that SPEAKERS ARE SHARED between training and test"
    elif settings.transductive:
        meaning = "by speaker: no scored speaker's label was seen, but the target's were adapted to (transductive)"
    else:
        meaning = "by speaker on both sides: no scored speaker was trained on or adapted to"
    unscored = "" if scored else " The target has no labels to score."
    last = " The bundle was then trained once more, on everything." if bundle else ""
    return f"Scores are from {how} {meaning}.{last}{unscored}"


def split_of(speech: Speech, settings: Settings) -> str:
    """The split in a few words, as scores name it."""
    if settings.predefined:
        return "of the corpora"
    if settings.share_speakers:
        return "by utterance"
    how = f"{folds(speech, settings)} folds by speaker" if settings.folds else "one split by speaker"
    return f"{how}, transductive" if settings.transductive else how


def speech_warnings(
    settings: Settings, speech: Speech, left_out: int, skipped: int, speakers_tell: Sequence[tuple[str, float]] = ()
) -> tuple[str, ...]:
    """What a reader must know of the speech and its split before quoting a number."""
    lines = []
    if settings.share_speakers:
        lines.append("speakers are shared between training and test: nothing speaker-independent can be claimed")
    if left_out:
        lines.append(f"{left_out} target utterances of other emotions were left out, by their labels")
    if skipped:
        lines.append(f"{skipped} utterances could not be read and were left out")
    if folds(speech, settings) < settings.folds:
        lines.append(f"{settings.folds} folds were asked for, and there are speakers for {folds(speech, settings)}")
    labelled = set(speech.label[speech.is_target].tolist())
    missing = [name for index, name in enumerate(settings.labels) if index not in labelled]
    if 0 < len(missing) < len(settings.labels):
        lines.append(f"no target utterance is labelled {', '.join(missing)}: UA is over the other labels")
    for corpus, nats in speakers_tell:
        if corpus in settings.by_corpus:
            lines.append(
                f"speakers of {corpus} mostly show one emotion each (knowing the speaker tells {nats:.2f} nats of the "
                f"emotion; above {THRESHOLD} speaker normalisation harms): they are normalised by corpus instead"
            )
    nameless = [utterance for utterance in speech.utterances if utterance.speaker is None]
    if settings.normalise.startswith("speaker") and nameless:
        lines.append(f"{len(nameless)} utterances have no speaker: they are normalised by their corpus instead")
    return tuple(lines)
