"""The model card of a recogniser of several languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from emobridge.bundle import DESCRIPTION, LANGUAGES_FOLDER, MODEL_CARD, Branch, Recognizer, read_description
from emobridge.corpora import licence_of
from emobridge.report.blocks import stamp_of
from emobridge.report.card_head import card_head, results_in
from emobridge.report.data import LIMITS
from emobridge.report.model_card import USE, portable
from emobridge.report.write import escaped


def joined_card(recognizer: Recognizer, folders: Sequence[str], cards: Mapping[str, str]) -> str:
    """Markdown with a YAML head: the languages, the parts of each, and where its scores stand.

    folders: the bundles that were joined. cards: those of the languages, by their name.
    """
    languages, spec = recognizer.languages, recognizer.spec
    title = f"Emotions in {', '.join(branch.language for branch in recognizer.branches)}"
    last = recognizer.branches[-1].language
    router = "learnt without emotion labels" if recognizer.router else "none"
    facts = [
        *([f"Labels, in this order: {', '.join(recognizer.labels)}"] if recognizer.labels else []),
        *([f"Attributes: {', '.join(recognizer.attributes)}, on {recognizer.scale}"] if recognizer.attributes else []),
        f"Encoder: {Path(spec.encoder).name}, layer {spec.layer}; "
        + ("trained, and in the bundle" if "end-to-end" in spec.trained_parts else "not trained, not in the bundle"),
        f"Where the language is not known {last} answers, unless --untold is averaged, confident or routed",
        f"Temperature of the confidence: {', '.join(_temperature(branch) for branch in recognizer.branches)}",
        f"Router: {router}",
        f"Joined from: {', '.join(folders)}",
    ]
    rows = "\n".join(_row(branch, branch.language in cards) for branch in recognizer.branches)
    stamp = f"*{stamp_of(recognizer.synthetic, recognizer.constructed)}One row a language.*"
    parts = [
        card_head(languages, title, [result for card in cards.values() for result in results_in(card)]),
        f"# {escaped(title)}",
        "## What it is",
        "\n".join(f"- {escaped(fact)}" for fact in facts),
        "## Languages",
        f"{stamp}\n\n| language | trained on | method | target labels | parts of its own | scores |\n"
        f"| --- | --- | --- | --- | --- | --- |\n{rows}",
        "## Intended use",
        USE,
        "## Limits and responsible use",
        *LIMITS,
        "## Licences of the corpora",
        "Weights trained on a corpus may fall under its terms.",
        "\n".join(f"- {escaped(f'{name}: {licence_of(name)}')}" for name in recognizer.corpora),
    ]
    return portable("\n\n".join(parts)) + "\n"


def card_of(bundle: str | Path) -> dict[str, str]:
    """The cards in a bundle by their language; of a joined bundle, those of its languages.

    Errors: UserError for a folder that is no bundle.
    """
    bundle = Path(bundle)
    description = read_description(bundle / DESCRIPTION, "bundle")
    language = description.spec.domains[-1][1]
    paths = {language: bundle / MODEL_CARD}
    if description.languages:
        paths = {name: bundle / LANGUAGES_FOLDER / name / MODEL_CARD for name in (*description.languages, language)}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items() if path.is_file()}


def _temperature(branch: Branch) -> str:
    return f"{branch.spec.temperature:.2f} of {branch.language}"


def _row(branch: Branch, has_card: bool) -> str:
    spec, parts = branch.spec, "head" if branch.adapters is None else f"head, {branch.adapters.names}"
    card = f"[card]({LANGUAGES_FOLDER}/{branch.language}/{MODEL_CARD})" if has_card else "none"
    corpora = ", ".join(f"{corpus} ({language})" for corpus, language in spec.domains)
    cells = [escaped(text) for text in (branch.language, corpora, spec.method, spec.target_labels, parts)]
    return f"| {' | '.join(cells)} | {card} |"
