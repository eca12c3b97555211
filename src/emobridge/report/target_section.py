"""The target in a report: what the recogniser answers there and how surely; first of all where no score judges it."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.report import plots
from emobridge.report.blocks import Figure, PlayableTable, Section, Table, count, figure, percent
from emobridge.report.record import StudyRecord
from emobridge.report.target import ClassAnswers, Clip, TargetFindings

LOW_CONFIDENCE = 0.5  # confidences below it are counted: the other labels together are likelier
NOT_JUDGED = "Nobody has labelled held-out recordings of it, so that how often these answers are right is not known."
CONFIDENCE = (
    "A confidence is the probability that the recogniser gives its own answer. It was learnt on the source, and says "
    "how sure the recogniser is, not how often it is right on the target."
)
PERSONAL = (
    "Excerpts of recordings are part of this file, the loudest {seconds:g} s of each at most. A voice is personal "
    "data: ask the speakers before you pass the page on, or make it without (emobridge adapt ... --no-clips)."
)
TO_LABEL_NEXT = (
    "On these recordings the two likeliest labels are nearly as likely. The first command lists recordings that "
    "represent many such ones, for a person to fill in; the second one trains with the filled list."
)


def target_finding(record: StudyRecord) -> str:
    """The headline where the target was not scored: what it is, what is answered, how surely; "" elsewhere."""
    target = record.target
    if record.is_scored or target is None:
        return ""
    return " ".join([_described(target), *_answers(target), NOT_JUDGED])


def lines_of_target(record: StudyRecord) -> list[str]:
    """The same for a terminal, with a line a class; [] where the target was scored."""
    target = record.target
    if record.is_scored or target is None:
        return []
    lines = [_described(target)]
    width = max((len(answers.label) for answers in target.classes), default=0)
    for answers in _by_count(target):
        share = f"{answers.count:>6} {percent(answers.count / target.answered):>5} %"
        lines.append(f"  {answers.label:{width}} {share}  {_mean_text(answers)}".rstrip())
    lines += [_confidence_sentence(target)] if target.classes else []
    lines += [*_attribute_sentences(target), NOT_JUDGED]
    if target.suggest:
        lines.append(f"what to label next: {target.suggest}")
    return lines


def unscored_section(record: StudyRecord) -> Section | None:
    """The target, where it was not scored: the first section."""
    return None if record.is_scored else _section(record)


def scored_section(record: StudyRecord) -> Section | None:
    """The target, where it was scored: after the scores."""
    return _section(record) if record.is_scored else None


def next_section(record: StudyRecord) -> Section | None:
    """What to label next, and the commands for it."""
    target = record.target
    if target is None or not target.to_label:
        return None
    table = _recordings(target.to_label, "The recordings whose labels are worth most; the first one most")
    return Section(
        "What to label next", (TO_LABEL_NEXT,), blocks=(table,), code="\n".join((target.suggest, target.learn))
    )


def _section(record: StudyRecord) -> Section | None:
    target = record.target
    if target is None:
        return None
    blocks: list[Table | Figure | PlayableTable] = []
    if target.classes:
        blocks += [_class_figure(target), _confidence_figure(target)]
    if target.attributes:
        blocks.append(_attribute_table(target))
    for answers in target.classes:
        if answers.surest:
            caption = f"{answers.label}: the surest answers{', then the least sure ones' * bool(answers.least_sure)}"
            blocks.append(_recordings((*answers.surest, *answers.least_sure), caption))
    texts = [_answering(target), *([CONFIDENCE] if target.classes else []), *_about_clips(target)]
    if record.is_scored:
        texts.insert(0, " ".join([_described(target), *_answers(target)]))
    return Section("The target", tuple(texts), blocks=tuple(blocks))


def _described(target: TargetFindings) -> str:
    """How much of it there is."""
    hours = "" if target.hours is None else f"{_length(target.hours)} in "
    speech = "" if target.speech is None else f", {100 * target.speech:.0f} % of the time speech"
    speakers = "speakers not known" if target.speakers is None else count(target.speakers, "speaker")
    labels = count(target.labelled, "label") if target.labelled else "no label"
    return (
        f"The target ({target.corpora}, {target.language}) is {hours}{count(target.recordings, 'recording')} "
        f"({speakers}{speech}); the recogniser learnt {labels} of it."
    )


def _answers(target: TargetFindings) -> list[str]:
    """Sentences on what is answered and how surely."""
    if not target.classes:
        return _attribute_sentences(target)
    shares = [f"{a.label} {percent(a.count / target.answered)} %" for a in _by_count(target) if a.count]
    never = [answers.label for answers in target.classes if not answers.count]
    but = f"; never {', '.join(never)}" if never else ""
    return [
        f"The recogniser answers {', '.join(shares)}{but}.",
        _confidence_sentence(target),
        *_attribute_sentences(target),
    ]


def _confidence_sentence(target: TargetFindings) -> str:
    mean = sum(answers.count * answers.confidence for answers in target.classes if answers.count) / target.answered
    below = sum(n for low, n in target.confidence if low < LOW_CONFIDENCE)
    return (
        f"Its confidence is {mean:.2f} on average, and below {LOW_CONFIDENCE} for {below} of "
        f"{count(target.answered, 'recording')} ({percent(below / target.answered)} %)."
    )


def _attribute_sentences(target: TargetFindings) -> list[str]:
    return [
        f"Predicted {row.name} is {row.median:.2f} in the median, and for four in five recordings from {row.low:.2f} "
        f"to {row.high:.2f}."
        for row in target.attributes
    ]


def _answering(target: TargetFindings) -> str:
    """Which recogniser answered, and how many recordings."""
    text = "The answers are those of the final recogniser, which is in the bundle and may have adapted to them."
    if target.without_speech:
        verb = "is" if target.without_speech == 1 else "are"
        text += (
            f" {count(target.without_speech, 'recording')} without speech {verb} left out of all that follows: an "
            "answer to noise or silence means nothing."
        )
    if target.answered + target.without_speech < target.recordings:
        text += f" {target.answered} recordings, drawn at random, were answered."
    return text


def _about_clips(target: TargetFindings) -> list[str]:
    """What a reader must know of the recordings that are listed."""
    if not target.clips:
        return []
    texts = []
    if any(clip.excerpt for clip in target.clips):
        texts.append(PERSONAL.format(seconds=target.excerpt_seconds))
    if target.left_out:
        texts.append(f"Not every recording can be played here: {target.left_out}.")
    return texts


def _class_figure(target: TargetFindings) -> Figure | Table:
    order = _by_count(target)
    title = f"Answers by label, of {count(target.answered, 'recording')}"
    rows = tuple(
        (a.label, str(a.count), percent(a.count / target.answered), f"{a.confidence:.2f}" if a.count else "")
        for a in order
    )
    svg = plots.bars([answers.label for answers in order], [answers.count for answers in order], title=title)
    return figure(svg, Table(title, ("label", "recordings", "per cent", "mean confidence"), rows))


def _confidence_figure(target: TargetFindings) -> Figure | Table:
    title = "Recordings by confidence of the answer"
    names = [f"{low:.1f} to {low + 0.1:.1f}" for low, _ in target.confidence]
    counts = [n for _, n in target.confidence]
    rows = tuple((name, str(n), percent(n / target.answered)) for name, n in zip(names, counts))
    return figure(plots.bars(names, counts, title=title), Table(title, ("confidence", "recordings", "per cent"), rows))


def _attribute_table(target: TargetFindings) -> Table:
    rows = tuple(
        (row.name, *(f"{value:.2f}" for value in (row.low, row.median, row.high))) for row in target.attributes
    )
    return Table("Predicted attributes", ("attribute", "10th percentile", "median", "90th percentile"), rows)


def _recordings(clips: Sequence[Clip], caption: str) -> PlayableTable:
    """Some recordings as a table; a column that says nothing is left out."""
    columns = {
        "recording": [clip.id for clip in clips],
        "speaker": [clip.speaker for clip in clips],
        "answer": [clip.label for clip in clips],
        "confidence": [f"{clip.confidence:.2f}" for clip in clips],
        "seconds": [f"{clip.seconds:.1f}" for clip in clips],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    table = Table(caption, tuple(shown), tuple(zip(*shown.values())))
    return PlayableTable(table, tuple(clip.excerpt for clip in clips))


def _by_count(target: TargetFindings) -> list[ClassAnswers]:
    return sorted(target.classes, key=lambda answers: -answers.count)


def _mean_text(answers: ClassAnswers) -> str:
    return f"mean confidence {answers.confidence:.2f}" if answers.count else ""


def _length(hours: float) -> str:
    """Hours, or minutes where it is less than one.

    >>> _length(2.5), _length(0.2534), _length(0.0013)
    ('2.5 hours', '15.2 minutes', '4.7 seconds')
    """
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{60 * hours:.1f} minutes" if hours >= 1 / 60 else f"{3600 * hours:.1f} seconds"
