"""A published experiment as a record, read from a TOML file:

    paper, citation, tables, measure   what is repeated, and what it is scored by; each table and figure by name
    variant_of                         optional: the recipe whose numbers are shown beside, but do not count here
    [corpora.NAME]                     each corpus, with options of `scan`; its name is the one in the registry, or any
                                       where `plugin` says what scans it or `format` what reads it (`import_`);
                                       `spoken`: only what is in this language; `folder`: where in that of --data it is
    obtain                             optional: how to get what `format` reads
    [probe] or [adapt]                 settings of `probe`, or of `recipes.adapt_study`, that its studies share; or
    [listening]                        those of listening tests, see `recipes.listening_tests`, and their [[rules]]
    [[study]]                          its studies: settings of its own, and a name where there are several studies
    [[figures]]                        optional, for [adapt]: figures that are drawn from the scores: see
                                       `recipes.figures`
    [[study.rows]], [[not_run]], [outputs]   where published numbers and figures stand: see `recipes.rows`
    layer_sets                         optional: whether the layers of each pair are compared, see `recipes.layers`
    [stars]                            optional: marks of significance, see `recipes.stars`
    sample                             optional, for [adapt]: utterances of each emotion to draw from each corpus
    items                              optional, for [adapt]: utterances of each emotion and corpus that are kept apart,
                                       as those of a listening test, see `settings.Data.items`
    [[counts]]                         optional: `corpora`, and how many utterances of each emotion they have together,
                                       or `utterances` in all, or `classes`, or `train`, `validation` and `test` of a
                                       predefined split; only of the study's labels, or those with its attributes
    [ours]                             each choice that the paper leaves open or makes otherwise, in a sentence

Corpora and encoders are given by name; `recipes.replication` puts manifests and weights in their place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from emobridge import registry
from emobridge.corpora import describe
from emobridge.data.labels import EMOTIONS
from emobridge.data.manifest import SPLITS
from emobridge.errors import UserError, unknown
from emobridge.languages import language_tag
from emobridge.listening.making import RulesFile
from emobridge.probe.settings import ProbeSettings
from emobridge.recipes.adapt_study import AdaptStudy, expand_pairs, read_adapt_study
from emobridge.recipes.figures import DrawnFigure, read_figures
from emobridge.recipes.listening_tests import ListeningTest, read_listening_test, read_recipe_rules
from emobridge.recipes.rows import (
    FROM_SCRATCH,
    NotRun,
    PaperOutput,
    RowsEntry,
    Scope,
    read_not_run,
    read_outputs,
    read_rows,
)
from emobridge.recipes.stars import StarRule, read_stars
from emobridge.settings import Budget, from_mapping, options_of_record, read_mapping

Scalar = str | int | float | bool
KEYS = ("paper", "citation", "tables", "measure", "corpora", "study", "ours")
OPTIONAL_KEYS = (
    "counts",
    "sample",
    "items",
    "layer_sets",
    "obtain",
    "not_run",
    "outputs",
    "figures",
    "stars",
    "variant_of",
    "rules",
)
CORPUS_KEYS = ("plugin", "format", "spoken", "folder")  # of a corpus, beside the options of its reader
TOTALS = ("utterances", "classes")  # that counts may have beside emotions
_BASELINE = "source-only"  # as `methods.base` has it, which is not imported because it imports torch
RECIPE_KINDS = ("probe", "adapt", "listening")  # a recipe has exactly one of these tables
STUDY_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # it becomes a folder


@dataclass(frozen=True, slots=True)
class RecipeCorpus:
    """One corpus of a recipe."""

    corpus: str
    options: tuple[tuple[str, Scalar], ...] = ()  # of `scan`, or of `import_`
    plugin: str = ""  # what scans it, where that has another name
    format: str = ""  # what imports it; "" where a corpus scans it
    spoken: str = ""  # BCP 47: only what is in this language; "" is all
    folder: str = ""  # in the folder of all data; "" is the corpus's name
    obtain: str = ""  # how to get it

    @property
    def subfolder(self) -> str:
        """Where it is in the folder of all data."""
        return self.folder or self.corpus


@dataclass(frozen=True, slots=True)
class CorpusCounts:
    """How many utterances of each emotion some corpora have together, and how many in all; 0 is not told."""

    corpora: tuple[str, ...]
    emotions: tuple[tuple[str, int], ...]
    utterances: int = 0
    classes: int = 0  # different emotions
    splits: tuple[tuple[str, int], ...] = ()  # utterances of each predefined split


@dataclass(frozen=True, slots=True)
class RecipeStudy:
    """One study of a recipe."""

    name: str  # "" where it is the only one
    settings: ProbeSettings | AdaptStudy  # with names of corpora and encoders; `out` and `store` are not used
    rows: tuple[RowsEntry, ...] = ()
    number: int = 0  # of the [[study]] in the file; the pairs of one share it
    unstated: tuple[str, ...] = ()  # settings that the recipe does not state, which have their defaults

    @property
    def encoders(self) -> tuple[str, ...]:
        """The encoders that it uses, pre-trained ones before those that it trains from scratch."""
        settings = self.settings
        return settings.encoders if isinstance(settings, AdaptStudy) else (*settings.encoders, *settings.scratch)

    @property
    def systems(self) -> tuple[str, ...]:
        """What it compares: methods, or heads."""
        return self.settings.methods if isinstance(self.settings, AdaptStudy) else self.settings.heads

    @property
    def scored(self) -> tuple[str, ...]:
        """All that is scored: the systems, and the baseline or the encoders that are trained from scratch."""
        if isinstance(self.settings, AdaptStudy):
            return tuple(dict.fromkeys((_BASELINE, *self.settings.methods)))
        return (*self.settings.heads, *((FROM_SCRATCH,) if self.settings.scratch else ()))


@dataclass(frozen=True, slots=True)
class Recipe:
    """A published experiment, independent of any machine."""

    name: str
    paper: str  # as `literature.published` names it
    citation: str
    tables: tuple[str, ...]  # of the paper
    measure: str
    corpora: tuple[RecipeCorpus, ...]
    studies: tuple[RecipeStudy, ...]
    ours: tuple[tuple[str, str], ...]  # what is chosen, and how
    counts: tuple[CorpusCounts, ...] = ()  # of the corpora as the paper had them
    sample: int = 0  # utterances of each emotion to draw once from each corpus; 0 is all
    items: int = 0  # utterances of each emotion and corpus that are kept apart, drawn before the sample
    layer_sets: bool = False  # whether the layers of each pair of corpora and encoder are compared
    not_run: tuple[NotRun, ...] = ()
    outputs: tuple[PaperOutput, ...] = ()
    variant_of: str = ""  # a recipe of the same paper
    figures: tuple[DrawnFigure, ...] = ()  # of the paper, that are drawn from the scores of its studies
    stars: StarRule | None = None
    listening: tuple[ListeningTest, ...] = ()  # of people, in place of studies of models
    rules: RulesFile | None = None  # who takes part in them

    @property
    def accounted(self) -> tuple[RecipeStudy | ListeningTest, ...]:
        """All that published numbers stand beside."""
        return (*self.studies, *self.listening)

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures of its summary: UA, and those that it is scored by."""
        return measures_of(self.measure)

    @property
    def adapts(self) -> bool:
        """Whether its studies are grids of label budgets; otherwise they are layer-wise."""
        return any(isinstance(study.settings, AdaptStudy) for study in self.studies)

    @property
    def encoders(self) -> tuple[str, ...]:
        """The encoders of all studies, those trained from scratch too."""
        return tuple(dict.fromkeys(encoder for study in self.studies for encoder in study.encoders))

    @property
    def systems(self) -> tuple[str, ...]:
        """The methods, or heads, of all studies."""
        return tuple(dict.fromkeys(system for study in self.studies for system in study.systems))

    def scope(self, study: RecipeStudy | ListeningTest) -> Scope:
        """What a study scores, by what published numbers are compared by."""
        if isinstance(study, ListeningTest):
            return study.scope(self.measures)
        settings = study.settings
        if isinstance(settings, AdaptStudy):
            return Scope(
                study=study.name,
                encoders=dict.fromkeys(study.scored, settings.encoders),
                source=settings.source,
                targets=settings.targets,
                labels=settings.labels or settings.request.data.attributes,
                budgets=settings.request.amounts,
                measures=self.measures,
            )
        encoders = dict.fromkeys(settings.heads, settings.encoders) | {FROM_SCRATCH: settings.scratch}
        return Scope(study.name, encoders, (), settings.corpora, settings.labels, ("all",), self.measures)

    @property
    def budgets(self) -> tuple[str, ...]:
        """The numbers of target labels of all its grids."""
        grids = [study.settings.request for study in self.studies if isinstance(study.settings, AdaptStudy)]
        return tuple(dict.fromkeys(amount for request in grids for amount in request.budgets))


def measures_of(text: str) -> tuple[str, ...]:
    """The measures in a text such as "UA, WA"; UA always is among them.

    >>> measures_of("WA")
    ('UA', 'WA')
    """
    return tuple(dict.fromkeys(["UA", *(name.strip() for name in text.split(","))]))


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with emobridge."""
    files = (Path(str(file)) for file in resources.files("emobridge.recipes").iterdir())
    return tuple(sorted(path.stem for path in files if path.suffix == ".toml"))


def read_recipe(name: str | Path) -> Recipe:
    """A recipe that comes with emobridge by its name, or another one by the path of its file, which ends in .toml.

    Errors: UserError for an unknown name; naming the file, for a key that is misspelt or missing, an invalid value, or
    a corpus that the registry does not know.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if str(name) not in recipe_names():
            raise unknown("recipe", str(name), recipe_names())
        path = Path(str(resources.files("emobridge.recipes").joinpath(f"{name}.toml")))
    values = read_mapping(path)
    keys = (*KEYS, *RECIPE_KINDS, *OPTIONAL_KEYS)
    for key in values:
        if key not in keys:
            raise UserError(f"{path}: {unknown('key', key, keys)}")
    for key in KEYS:
        if key not in values:
            raise UserError(f"{path}: the key {key!r} is missing")
    kinds = [kind for kind in RECIPE_KINDS if kind in values]
    if len(kinds) != 1:
        raise UserError(
            f"{path}: expected one of [probe], [adapt] and [listening], got {' and '.join(kinds) or 'none of them'}"
        )
    sizes = {key: values.get(key, 0) for key in ("sample", "items")}
    for key, size in sizes.items():
        if type(size) is not int or size < 0 or (size and kinds != ["adapt"]):
            why = "with [adapt] ([probe] has its own)" if key == "sample" else "with [adapt]"
            raise UserError(f"{path}: {key}: expected a number, {why}, got {size!r}")
    layer_sets = values.get("layer_sets", False)
    if type(layer_sets) is not bool or (layer_sets and kinds != ["adapt"]):
        raise UserError(f"{path}: layer_sets: expected true or false, with [adapt], got {layer_sets!r}")
    obtain = _read_text(path, "obtain", values.get("obtain", ""))
    tables = _read_table(path, "corpora", values["corpora"])
    corpora = tuple(_read_corpus(path, name, table, obtain) for name, table in tables.items())
    names = tuple(item.corpus for item in corpora)
    paper = _read_text(path, "paper", values["paper"])
    hears = kinds == ["listening"]
    if "rules" in values and not hears:
        raise UserError(f"{path}: rules: goes with [listening]")
    studies = () if hears else _read_studies(path, kinds[0], values, names, paper)
    tests = _read_listening(path, values, names, paper) if hears else ()
    ours = _read_table(path, "ours", values["ours"])
    return Recipe(
        name=path.stem,
        paper=paper,
        citation=_read_text(path, "citation", values["citation"]),
        tables=_read_list(path, "tables", values["tables"]),
        measure=_read_text(path, "measure", values["measure"]),
        corpora=corpora,
        studies=studies,
        listening=tests,
        rules=read_recipe_rules(values.get("rules"), str(path)) if hears else None,
        ours=tuple((key, _read_text(path, f"ours.{key}", text)) for key, text in ours.items()),
        counts=_read_counts(path, values.get("counts", []), studies, names),
        **sizes,
        layer_sets=layer_sets,
        not_run=read_not_run(str(path), values.get("not_run", []), paper),
        figures=read_figures(
            str(path),
            values.get("figures", []),
            [*(study.name for study in studies), *(test.name for test in tests)],
            measures_of(_read_text(path, "measure", values["measure"])),
        ),
        outputs=read_outputs(str(path), values.get("outputs", {})),
        stars=read_stars(str(path), values.get("stars"), paper),
        variant_of=_read_variant(path, values.get("variant_of", "")),
    )


def _read_corpus(path: Path, name: str, table: Any, obtain: str) -> RecipeCorpus:
    where = f"corpora.{name}"
    options = dict(_read_table(path, where, table))
    for key, value in options.items():
        if not isinstance(value, Scalar):
            raise UserError(f"{path}: {where}.{key}: expected a word, a number or a truth value, got {value!r}")
    texts = {key: _read_text(path, f"{where}.{key}", options.pop(key, "")) for key in CORPUS_KEYS}
    plugin, reader = texts["plugin"], texts["format"]
    if reader and reader not in registry.names("formats"):
        raise UserError(f"{path}: {where}: {unknown('format', reader, registry.names('formats'))}")
    if not reader and (plugin or name) not in registry.names("corpora"):
        raise UserError(f"{path}: {unknown('corpus', plugin or name, registry.names('corpora'))}")
    if texts["spoken"]:
        texts["spoken"] = language_tag(texts["spoken"])
    how = obtain if reader else describe(plugin or name).obtain
    return RecipeCorpus(name, tuple(options.items()), obtain=how, **texts)


def _read_counts(
    path: Path, tables: Any, studies: tuple[RecipeStudy, ...], corpora: tuple[str, ...]
) -> tuple[CorpusCounts, ...]:
    """The counts to check; emotions are those that any study tells apart, or all where a study names none."""
    named = [study.settings.labels for study in studies]
    labels = set(EMOTIONS) if () in named else {label for names in named for label in names}
    if not isinstance(tables, list):
        raise UserError(f"{path}: counts: expected [[counts]], got {tables!r}")
    counts = []
    for table in tables:
        values = dict(_read_table(path, "counts", table))
        names = _read_list(path, "counts: corpora", values.pop("corpora", None))
        for name in names:
            if name not in corpora:
                raise UserError(f"{path}: counts: {unknown('corpus', name, corpora)}")
        for emotion, count in values.items():
            if emotion not in (*labels, *TOTALS, *SPLITS):
                keys = (*labels, *TOTALS, *SPLITS)
                raise UserError(f"{path}: counts of {', '.join(names)}: {unknown('emotion', emotion, keys)}")
            if type(count) is not int:
                raise UserError(f"{path}: counts of {', '.join(names)}: {emotion}: expected a number, got {count!r}")
        totals = {key: values.pop(key, 0) for key in TOTALS}
        splits = tuple((key, values.pop(key)) for key in SPLITS if key in values)
        counts.append(CorpusCounts(names, tuple(values.items()), **totals, splits=splits))
    return tuple(counts)


def _read_studies(
    path: Path, kind: str, values: dict[str, Any], corpora: tuple[str, ...], paper: str
) -> tuple[RecipeStudy, ...]:
    """The studies, each with its own and the shared settings; a study of `probe` that names no corpora takes all."""
    tables = values["study"]
    if not isinstance(tables, list) or not tables:
        raise UserError(f"{path}: study: expected at least one [[study]]")
    shared = ({"corpora": list(corpora)} if kind == "probe" else {}) | _read_table(path, kind, values[kind])
    numbered = [(number, shared | _read_table(path, "study", table)) for number, table in enumerate(tables)]
    if kind == "adapt":
        numbered = [
            (number, expanded)
            for number, table in numbered
            for expanded in expand_pairs(table, f"{path}: study {table.get('name', '')}".rstrip(), corpora)
        ]
    studies = [_read_recipe_study(path, kind, table, number, paper) for number, table in numbered]
    names = [study.name for study in studies]
    for study in studies:
        if len(studies) > 1 and not STUDY_NAME.fullmatch(study.name):
            raise UserError(
                f"{path}: study: expected a name in small letters, such as 'by-speaker', got {study.name!r}"
            )
        if names.count(study.name) > 1:
            raise UserError(f"{path}: study: two have the name {study.name!r}")
        for corpus in study.settings.corpora:
            if corpus not in corpora:
                raise UserError(f"{path}: study {study.name}: {unknown('corpus', corpus, corpora)}")
    return tuple(studies)


def _read_listening(
    path: Path, values: dict[str, Any], corpora: tuple[str, ...], paper: str
) -> tuple[ListeningTest, ...]:
    """The listening tests, each with its own and the shared settings."""
    tables = values["study"]
    if not isinstance(tables, list) or not tables:
        raise UserError(f"{path}: study: expected at least one [[study]]")
    shared = _read_table(path, "listening", values["listening"])
    tests: list[ListeningTest] = []
    for number, table in enumerate(tables):
        merged = shared | _read_table(path, "study", table)
        name = _read_text(path, "study: name", merged.get("name", ""))
        if not STUDY_NAME.fullmatch(name) or name in [test.name for test in tests]:
            raise UserError(
                f"{path}: study: expected a name of its own in small letters, such as 'words', got {name!r}"
            )
        test = read_listening_test(merged, f"{path}: study {name}", number, paper)
        for corpus in test.corpora:
            if corpus not in corpora:
                raise UserError(f"{path}: study {name}: {unknown('corpus', corpus, corpora)}")
        tests.append(test)
    return tuple(tests)


def _read_recipe_study(path: Path, kind: str, values: dict[str, Any], number: int, paper: str) -> RecipeStudy:
    name = _read_text(path, "study: name", values.pop("name", ""))
    where = f"{path}: study {name}".rstrip()
    rows = values.pop("rows", [])
    for key in ("out", "store"):
        if key in values:
            raise UserError(f"{where}: {key} is an option of the command line, not of a recipe")
    try:
        settings = from_mapping(values, where, ProbeSettings) if kind == "probe" else read_adapt_study(values, where)
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
    options = options_of_record(ProbeSettings if kind == "probe" else Budget)
    unstated = tuple(option for option in options if option not in values)
    study = RecipeStudy(name, settings, number=number, unstated=unstated)
    return replace(study, rows=read_rows(where, rows, paper, study.scored))


def _read_variant(path: Path, name: Any) -> str:
    """The recipe of which this is a variant. Errors: UserError for an unknown one."""
    text = _read_text(path, "variant_of", name)
    if text and text not in recipe_names():
        raise UserError(f"{path}: variant_of: {unknown('recipe', text, recipe_names())}")
    return text


def _read_text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(f"{path}: {key}: expected a text, got {value!r}")
    return value


def _read_list(path: Path, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UserError(f"{path}: {key}: expected a list of words, got {value!r}")
    return tuple(value)


def _read_table(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{path}: {key}: expected a table, got {value!r}")
    return value
