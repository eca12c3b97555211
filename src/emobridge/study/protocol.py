"""Plain sentences on the protocol of a study: what a method saw, how the scored were held out, what to beware of."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.data.prosody import PROSODY
from emobridge.data.speech import Speech, count_folds
from emobridge.scores.variety import low_variety
from emobridge.settings import Data, Split
from emobridge.study.guard import CLEAR_VARIETY, CorpusVariety
from emobridge.training.case import Case


def saw(case: Case, data: Data, split: Split) -> tuple[str, ...]:
    """What a case was trained with, and what normalisation and alignment used: sentences without a full stop."""
    method = case.make_method()
    seen = method.needs | method.takes
    whose = "all target speakers, the scored too" if split.transductive else "the target's training speakers"
    lines = []
    if "source_labels" in seen:
        absent = "the moments by class of all the source speech of the bundle that was adapted"
        lines.append(absent if case.source else "the labelled utterances of the source's training speakers")
    if "target_audio" in seen:
        lines.append(f"the unlabelled audio of {whose}")
    if "target_labels" in seen and case.target_labels != "0":
        lines.append(f"the labels of {case.target_labels} utterances of the target's training speakers")
    elif case.validation != "both":
        lines.append("no label of the target")
    if case.attributes:
        names = ", ".join(case.attributes)
        lines.append(f"{names} of the utterances whose labels it saw, where they are known, and of no others")
    if case.validation == "both":
        whose_labels = (
            "THE TARGET'S VALIDATION SPLIT" if split.is_fixed else "A FIFTH OF THE TARGET'S TRAINING SPEAKERS"
        )
        lines.append(f"LABELS OF {whose_labels} chose the epoch, for the baseline as well")
    if case.prosody:
        lines.append(f"{len(PROSODY)} numbers of each clip's pitch, level, spectrum and tempo beside the encoder's")
    lines.append(
        {
            "none": "normalisation used the source's training utterances only",
            "corpus": f"normalisation used the unlabelled audio of the source's training speakers and of {whose}",
            "speaker": "speaker normalisation used each speaker's own unlabelled utterances, "
            "those of the scored target speakers too",
            "speaker+text": "speaker normalisation used each speaker's own unlabelled utterances, those of the scored "
            f"target speakers too, and text normalisation the transcripts of the source and of {whose}",
        }[case.normalise]
    )
    if case.by_corpus:
        lines.append(f"speakers of {', '.join(case.by_corpus)} were normalised by their corpus, not by their own")
    if case.without_texts:
        lines.append(f"texts of {', '.join(case.without_texts)} were not taken out")
    if case.align == "coral":
        lines.append(f"CORAL alignment used the unlabelled audio of {whose}")
    if data.pool == "closed" and case.labels:
        lines.append(f"of the target, only utterances of {', '.join(case.labels)} (chosen BY LABEL) or unlabelled ones")
    return tuple(lines)


def held_out(split: Split, folds: int, scored: bool, bundle: bool = True) -> str:
    """How the scored utterances were held out, in sentences.

    scored: whether the target has labels to score. bundle: whether a recogniser was then trained on everything.
    """
    how = f"{folds} folds" if folds else "one split, a fifth held out"
    if split.predefined:
        how, meaning = "the split that the corpora come with", "(it was not checked whether it shares speakers)"
    elif split.serab:
        how, meaning = "SERAB's split of the speakers of each corpus, 60/20/20", "(the same for every seed)"
    elif split.share_speakers:
        meaning = "by utterance, so that SPEAKERS ARE SHARED between training and test"
    elif split.transductive:
        meaning = "by speaker: no scored speaker's label was seen, but the target's were adapted to (transductive)"
    else:
        meaning = "by speaker on both sides: no scored speaker was trained on or adapted to"
    if split.by_utterance:
        meaning += f", BUT BY UTTERANCE in {', '.join(split.by_utterance)}, where scored speakers are trained on"
    if split.halved:
        meaning += "; half of each fold validates, the other is scored"
    unscored = "" if scored else " The target has no labels to score."
    last = " The bundle was then trained once more, on everything." if bundle else ""
    return f"Scores are from {how} {meaning}.{last}{unscored}"


def split_text(speech: Speech, split: Split, pool: str) -> str:
    """The split in a few words, as scores name it."""
    if split.predefined:
        how = "of the corpora"
    elif split.serab:
        how = "SERAB's by speaker"
    elif split.share_speakers:
        how = "by utterance"
    else:
        how = f"{count_folds(speech, split)} folds by speaker" if split.folds else "one split by speaker"
    how = f"{how}, {' and '.join(split.by_utterance)} by utterance" if split.by_utterance else how
    how = f"{how}, transductive" if split.transductive else how
    how = f"{how}, halved to validate" if split.halved else how
    return f"{how}, target chosen by label" if pool == "closed" else how


def speech_warnings(
    cases: Sequence[Case], speech: Speech, split: Split, varieties: Sequence[CorpusVariety]
) -> tuple[str, ...]:
    """What a reader must know of the speech, its split and its normalisation before quoting a number."""
    lines = []
    if split.share_speakers:
        lines.append("speakers are shared between training and test: nothing speaker-independent can be claimed")
    for corpus in split.by_utterance:
        lines.append(f"{corpus} is split by utterance: nothing speaker-independent can be claimed of it")
    if count_folds(speech, split) < split.folds:
        lines.append(f"there are speakers for {count_folds(speech, split)} folds, not for {split.folds}")
    labels = cases[0].labels
    present = set(speech.label[speech.is_target].tolist())
    missing = [name for index, name in enumerate(labels) if index not in present]
    if 0 < len(missing) < len(labels):
        lines.append(f"no target utterance is labelled {', '.join(missing)}: UA is over the other labels")
    lines += _guard_lines(cases, varieties)
    nameless = sum(utterance.speaker is None for utterance in speech.utterances)
    if nameless and any(case.normalise.startswith("speaker") for case in cases):
        lines.append(f"{nameless} utterances have no speaker: they are normalised by their corpus instead")
    return tuple(lines)


def _guard_lines(cases: Sequence[Case], varieties: Sequence[CorpusVariety]) -> list[str]:
    """What the guard did, where that is not clear, and where there was too little to judge."""
    normalised = {"speaker": False, "text": False}
    for case in cases:
        normalised["speaker"] |= case.normalise.startswith("speaker")
        normalised["text"] |= case.normalise == "speaker+text"
    lines = []
    for row in varieties:
        line = _guard_line(row) if normalised[row.group] and row.groups else ""
        lines += [line] if line else []
    return lines


def _guard_line(row: CorpusVariety) -> str:
    """One sentence on one corpus; "" where all is well."""
    corpus, groups = row.corpus, f"{row.group}s"
    action = "by corpus, not by speaker" if row.group == "speaker" else "by speaker alone, without its texts"
    if row.variety is None:
        return (
            f"{corpus} has too few utterances of each {row.group} ({row.utterances} of {row.groups}) to tell "
            f"whether its {groups} show several emotions each: it is normalised by {row.group} all the same"
        )
    how = "by their labels" if row.by_labels else "by what a model of the source says of them"
    if row.is_low:
        doubt = "" if row.by_labels else f". If each of its {groups} shows several, give --no-guard"
        return f"the guard normalises {corpus} {action}: {low_variety(row.variety, row.group, how)}{doubt}"
    if row.group == "speaker" and row.variety.value < CLEAR_VARIETY:
        return (
            f"the speakers of {corpus} may show few emotions each (the variety of the emotions inside speakers is "
            f"{row.variety.value:.2f} {how}; the guard acts below {row.variety.least:.2f}): it is normalised by "
            f"speaker, which does better where each shows several; if few do, give --by-corpus {corpus}"
        )
    return ""
