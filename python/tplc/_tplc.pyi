"""Exact templates for language models that write 3D molecules: the compiled part of tplc.

All of it is in `tplc` as well; import from there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, final, type_check_only

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Artifact",
    "ArtifactError",
    "AuditError",
    "CertificateError",
    "CorpusError",
    "DriftError",
    "Error",
    "FormatError",
    "Matcher",
    "MatcherBatch",
    "MatcherError",
    "Tables",
    "Template",
    "TemplateError",
    "TextError",
    "Tokenizer",
    "TokenizerError",
    "UnknownLiteralError",
    "WrongTokenizerError",
    "__version__",
    "analyze",
    "audit",
    "build",
    "compile",
    "merge",
    "parse",
    "render_smiles",
    "tokenizers",
]

__version__: str

_StrPath: TypeAlias = str | PathLike[str]
"""A path."""

@type_check_only
class _FastTokenizer(Protocol):
    """A fast tokenizer of transformers."""

    @property
    def backend_tokenizer(self) -> Any:
        """That of the `tokenizers` library."""

_TokenizerLike: TypeAlias = "Tokenizer | _FastTokenizer | _StrPath"
"""A tokenizer, or what `Tokenizer.load` takes."""

_Label: TypeAlias = Literal["copy", "forced", "decided"]
"""What a token is: COPY text; FREE text without an alternative; FREE text that was chosen among several."""

# Errors

class Error(Exception):
    """Base of all errors that tplc raises; the message says what, where and what to do."""

class TokenizerError(Error):
    """A tokenizer cannot be found, read or used."""

class CorpusError(Error):
    """A corpus cannot be read, or nothing in it can be used."""

class FormatError(Error):
    """A number format, tags or another option cannot be read."""

class TextError(Error):
    """A SMILES, an enriched text or a coordinate is malformed, or cannot be written in the number format."""

class DriftError(Error):
    """Drift cannot be counted."""

class TemplateError(Error):
    """No exact template can be compiled."""

class CertificateError(TemplateError):
    """Something that templates claim does not hold."""

class ArtifactError(Error):
    """A file or bytes are no artifact, are damaged, or cannot be written."""

class WrongTokenizerError(ArtifactError):
    """The artifact was built for another tokenizer."""

class UnknownLiteralError(ArtifactError):
    """A molecule has COPY text that no molecule of the artifact has: give a tokenizer, and it is compiled."""

class MatcherError(Error):
    """A token may not come where it came. The matcher stays where it was."""

    row: int | None
    """The row of a batch; `None` outside of one."""
    token: int
    """The token."""
    position: int
    """Its place among the tokens of the text, from 0."""

class AuditError(Error):
    """Generations cannot be judged."""

# Tokenizers

def tokenizers() -> list[dict[str, Any]]:
    """The tokenizers that are compiled in, as `tplc tokenizers --format json` lists them: `name`, `aliases`, `family`,
    `vocabulary`, `digits`, `licence`, `origin`, `fingerprint`."""

@final
class Tokenizer:
    """A tokenizer as shipped. Immutable, to be shared between threads; pickles as where it came from."""

    @staticmethod
    def load(source: _StrPath | _FastTokenizer, added_tokens: _StrPath | Sequence[_StrPath] = ()) -> Tokenizer:
        """Loads a tokenizer.

        `source` is the name of an embedded one (`tokenizers()` lists them), a `tokenizer.json`, a model folder, or
        `hf:ORG/NAME[@REVISION]`. `added_tokens` are files (RON or JSON) of tokens to lay over it.

        A fast tokenizer of transformers is one, too, wherever a tokenizer is taken: as it is now, with the tokens that were
        added to it and its `eos_token`. It is read each time; load it once where that takes long. The width of the logits is
        known where it came from a model folder.
        """

    @staticmethod
    def from_json(json: str, name: str, eos: str | None = None, logits_width: int | None = None) -> Tokenizer:
        """A tokenizer from the text of a `tokenizer.json`, such as `fast_tokenizer.backend_tokenizer.to_str()`.

        `eos` is the text of the token that ends a sequence, `logits_width` the rows of the model's output layer.
        """

    @property
    def name(self) -> str:
        """What it is called; with `+NAME` for each overlay of added tokens."""

    @property
    def origin(self) -> str:
        """Where it comes from."""

    @property
    def licence(self) -> str | None:
        """The licence of an embedded one."""

    @property
    def fingerprint(self) -> str:
        """The content hash, 64 hexadecimal digits: equal for every form of the same tokenizer."""

    @property
    def vocabulary_size(self) -> int:
        """The number of tokens, added ones included. The largest id can be larger."""

    @property
    def logits_width(self) -> int | None:
        """Rows of the model's output layer, where the source tells it."""

    @property
    def eos(self) -> int | None:
        """The id that ends a sequence, where the source tells it."""

    @property
    def digits(self) -> str:
        """How it cuts numbers into tokens: `one`, `up to 3`, `free`."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text alone: nothing is put before or behind it."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        """For each id of `encode(text)` the bytes of the text that it covers, from and to."""

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """The text of ids. Ids that no token has are skipped."""

    def token(self, id: int) -> str | None:
        """The text of one token for people; `None` for an id that no token has."""

    def added_token(self, text: str) -> int | None:
        """The id of the added token with this text."""

    def is_special(self, id: int) -> bool:
        """Whether decoding may skip this id."""

    def __repr__(self) -> str: ...

# Drift

def analyze(
    tokenizer: _TokenizerLike | Sequence[_TokenizerLike] = ("qwen", "llama"),
    *,
    corpus: _StrPath | Sequence[_StrPath] = "reference:drugs",
    corpus_format: str | None = None,
    fields: Mapping[str, str] | None = None,
    sdf_smiles: str | Sequence[str] = (),
    number_format: str | Sequence[str] | None = None,
    placeholder: str | Sequence[str] = (),
    tags: str = "none",
    verify: float = 0.001,
    exact: bool = False,
    cost: Mapping[str, float] | None = None,
    threads: int = 0,
    skipped: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Measures how far placeholders drift from real coordinates: what `tplc analyze --format json` prints, as a dict.

    `report["tokenizers"]` is a list of flat-topped dicts, one for each tokenizer and number format:
    `pandas.DataFrame(report["tokenizers"])`. `tplc.drift_rows(report)` gives one row for each placeholder too.

    `cost` sets constants of the cost model by name (`pass_ms`, `lost_passes`, …), `fields` names JSONL and Parquet fields
    that differ (`{"smiles": "smi"}`). Rows with a fault are skipped and counted in `report["input"]`; `skipped` is called
    with file, line and reason of each.
    """

# Building

def build(
    output: _StrPath,
    tokenizer: _TokenizerLike,
    *,
    corpus: _StrPath | Sequence[_StrPath] = "reference:drugs",
    corpus_format: str | None = None,
    fields: Mapping[str, str] | None = None,
    sdf_smiles: str | Sequence[str] = (),
    number_format: str = "fixed4",
    tags: str = "none",
    eos: str | int | None = "auto",
    tokenization: Literal["canonical", "any"] = "canonical",
    certificate: bool = True,
    shard: tuple[int, int] = (1, 1),
    threads: int = 0,
    skipped: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Builds the exact templates of a corpus and writes the artifact `output` (`NAME.tplc`) with its manifest `NAME.ron`
    beside it, both whole or not at all, as `tplc build` does. Returns the manifest.

    `eos` is the token that ends a sequence: its id, its text, `"auto"` (the tokenizer's own, if it tells) or `None`.
    `certificate` proves, before anything is written, every number and every literal against the tokenizer. `shard=(i, n)`
    takes row i, i+n, … of the corpus.

    Ctrl-C is heard, as in all calls that may take long: it raises at once and nothing is written, though what is being
    compiled or proven comes to its end in the background.
    """

def compile(
    smiles: Iterable[str],
    tokenizer: _TokenizerLike,
    *,
    number_format: str = "fixed4",
    tags: str = "none",
    eos: str | int | None = "auto",
    tokenization: Literal["canonical", "any"] = "canonical",
    threads: int = 0,
) -> Artifact:
    """Builds the exact templates of these molecules in memory. `Artifact.certify` proves them, `Artifact.save` writes them.

    Same molecules, same bytes, in any order. Compile once for many molecules, not once for each.
    """

def merge(artifacts: Iterable[Artifact]) -> Artifact:
    """One artifact with the molecules of all; they must be of one tokenizer with one set of options. In memory."""

@final
class Artifact:
    """The exact templates of many molecules, for one tokenizer and number format.

    Immutable, to be shared between threads. One that was opened pickles as its path and its checksum, and opens again where
    it is loaded: an `ArtifactError` if another artifact lies there by then. One in memory pickles as its bytes.
    """

    @staticmethod
    def open(path: _StrPath, tokenizer: _TokenizerLike | None = None) -> Artifact:
        """Maps a file into memory and checks it whole. With a tokenizer, it must be the one that the artifact was built
        for, or `WrongTokenizerError` is raised. The file must not be changed while it is open; tplc only replaces files."""

    @staticmethod
    def from_bytes(data: bytes, tokenizer: _TokenizerLike | None = None) -> Artifact:
        """As `open`, of bytes in memory."""

    def to_bytes(self) -> bytes:
        """The bytes of the file."""

    def save(self, path: _StrPath) -> dict[str, Any]:
        """Writes the artifact (`NAME.tplc`) and a manifest beside it, and returns the manifest."""

    @property
    def path(self) -> str | None:
        """The file it was opened from."""

    @property
    def tokenizer_name(self) -> str:
        """The name of the tokenizer that it was built for."""

    @property
    def fingerprint(self) -> str:
        """The content hash of that tokenizer."""

    @property
    def number_format(self) -> str:
        """The number format."""

    @property
    def tokenization(self) -> Literal["canonical", "any"]:
        """Which spellings of a text in tokens are accepted."""

    @property
    def tags(self) -> tuple[str, str]:
        """The opening and the closing tag of the completion; both empty without tags."""

    @property
    def prompt(self) -> str:
        """A prompt such as stands before a completion, for the molecule `C`; empty without prompt tags."""

    @property
    def eos(self) -> int | None:
        """The id behind the text, forced last."""

    @property
    def logits_width(self) -> int:
        """The width of the logits that it was built for."""

    @property
    def mask_words(self) -> int:
        """int32 words of a bitmask for logits of that width."""

    def __len__(self) -> int:
        """The number of molecules."""

    def __contains__(self, smiles: str, /) -> bool:
        """Whether it has the molecule: others of the same literals have templates, too."""

    def __getitem__(self, index: SupportsIndex, /) -> Template:
        """The template of molecule `index`, in the order of the file."""

    def template(self, smiles: str, tokenizer: _TokenizerLike | None = None) -> Template:
        """The template of a SMILES, or of a skeleton (`[C]<>=[O]<>`), in the corpus or not.

        Where it has COPY text that the artifact lacks, it is compiled if a tokenizer is given (into tables of its own), else
        `UnknownLiteralError` is raised.
        """

    def encode(self, completion: str, tokenizer: _TokenizerLike) -> list[int]:
        """What the tokenizer gives for the text of a completion behind its prompt, the end-of-sequence id included: the
        slow, obvious way to the ids that a template accepts."""

    def check(self, tokenizer: _TokenizerLike) -> None:
        """Raises `WrongTokenizerError` if it was built for another tokenizer."""

    def certify(self, tokenizer: _TokenizerLike, threads: int = 0) -> dict[str, Any]:
        """Tries every number of the format and every literal against the tokenizer; returns what was tried.
        Raises `CertificateError` with the first text that does not hold. Seconds to a minute."""

    def manifest(self) -> dict[str, Any]:
        """What is in it: source, counts, sizes; without what only its build knew (rows, certificate)."""

    @property
    def tables(self) -> Tables:
        """What all its molecules share, as arrays."""

    def __repr__(self) -> str: ...

@final
class Tables:
    """What all templates of an artifact share, as flat arrays to decode with on a device. All arrays are read-only:
    `torch.tensor` copies them to wherever they are needed.

    A *place* is a state and the count of numbers that are complete. A text starts at `(template.roots[0], 0)` and is
    finished in state 0. At `(state, number)`:

    - the state's own edges are `first_edge[state]` up to `first_edge[state + 1]`: token `edge_tokens[e]` leads to
      `(edge_targets[e], number)`;
    - if `ends_number[state]`, so are the edges of what follows the number, and each leads to
      `(edge_targets[e], number + 1)`. What follows is `separator` if `number % 3 < 2`, else
      `template.roots[number // 3 + 1]`. The two lists of tokens have none in common;
    - if only one token is left, it is forced.

    Tables are equal if they are the same ones, so templates can be grouped by them.
    """

    @property
    def logits_width(self) -> int:
        """The width of the logits."""

    @property
    def states(self) -> int:
        """The number of states."""

    @property
    def separator(self) -> int:
        """The root of the separator between two numbers of a hole."""

    @property
    def eos(self) -> int | None:
        """The id that ends a sequence."""

    @property
    def tokens(self) -> NDArray[np.int32]:
        """All ids that any edge has, ascending."""

    @property
    def alphabet(self) -> NDArray[np.int32]:
        """The token alphabet: every id that is one of several somewhere, ascending. No other logits are needed."""

    @property
    def first_edge(self) -> NDArray[np.int32]:
        """The first edge of each state; one entry more than there are states."""

    @property
    def edge_tokens(self) -> NDArray[np.int32]:
        """The token of each edge, ascending within a state."""

    @property
    def edge_targets(self) -> NDArray[np.int32]:
        """The state behind each edge: always smaller than the state before it."""

    @property
    def edge_free(self) -> NDArray[np.bool_]:
        """Whether the token of each edge lies wholly in a hole."""

    @property
    def ends_number(self) -> NDArray[np.bool_]:
        """Whether a number may end in each state."""

    @property
    def mask_row(self) -> NDArray[np.int32]:
        """For each state the row of `mask_rows` that has its own edges: states with the same tokens share one."""

    @property
    def mask_rows(self) -> NDArray[np.int32]:
        """Bitmasks `(rows, ceil(logits_width / 32))`, least significant bit first. What is allowed at a place is
        `mask_rows[mask_row[state]]`, or-ed with that of the root behind the number where one may end."""

    def token_text(self, id: int) -> str:
        """The text of a token for people."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Template:
    """The exact template of one molecule: accepts a sequence of ids if and only if it is what the tokenizer gives for the
    molecule with some number of the format in every hole. Immutable, cheap, pickles with its artifact."""

    @property
    def smiles(self) -> str:
        """The SMILES it was made of, or what its literals spell."""

    @property
    def literals(self) -> list[str]:
        """The COPY text: one literal before each hole and one behind the last."""

    @property
    def atoms(self) -> int:
        """The number of atoms, which is that of holes."""

    @property
    def tokens(self) -> tuple[int, int]:
        """The fewest and the most tokens of a text, its end-of-sequence id included."""

    @property
    def passes(self) -> tuple[int, int]:
        """The fewest and the most of them that have an alternative: forward passes that must sample."""

    @property
    def roots(self) -> NDArray[np.int32]:
        """The state where each literal begins: the first is where the text does. See `Tables`."""

    @property
    def tables(self) -> Tables:
        """What it shares with other templates of its artifact."""

    @property
    def artifact(self) -> Artifact:
        """Where it comes from."""

    def encode(self, text: str) -> list[int] | None:
        """The ids of a completion, found along the automaton, without a tokenizer; `None` if the template does not accept
        the text."""

    def labels(self, ids: Iterable[int]) -> list[_Label]:
        """What each token of an accepted sequence is: the loss mask for training. Raises `MatcherError` at the first id that
        may not come."""

    def trace(self, text: str) -> str | None:
        """The tokens of a completion for people: `‧` stands before one without a choice, `│` before one of as many as the
        small number says."""

    def __repr__(self) -> str: ...

# Matching

@final
class Matcher:
    """Follows one text token by token. `copy.copy` gives another one at the same place.

    For one thread at a time. It does not pickle: send its template and the ids it has taken, for another one to `take`.
    """

    def __new__(cls, template: Template, *, forcing: bool = True) -> Matcher:
        """At the start of a text. Without `forcing`, `forced_run` gives nothing and every token is to be sampled."""

    @property
    def template(self) -> Template:
        """What is followed."""

    @property
    def state(self) -> int:
        """The state it is in."""

    @property
    def number(self) -> int:
        """How many numbers are complete."""

    @property
    def is_finished(self) -> bool:
        """Whether the text is complete, its end-of-sequence id included where there is one."""

    @property
    def tokens_left(self) -> tuple[int, int]:
        """The fewest and the most tokens to the end."""

    @property
    def passes_left(self) -> tuple[int, int]:
        """The fewest and the most passes to the end: with forcing, one for each decision."""

    def __len__(self) -> int:
        """The number of tokens so far."""

    def allowed(self) -> NDArray[np.int32]:
        """The ids that may come next, ascending."""

    def allows(self, id: int) -> bool:
        """Whether this id may come next."""

    def fill_mask(self, bitmask: Any) -> bool:
        """Writes the ids that may come next as bits: bit `id % 32` of word `id // 32`, all others cleared. `bitmask` is a
        writable int32 row: NumPy, a torch tensor on the CPU, or anything that `numpy.asarray` takes without copying.

        Returns `False`, and writes nothing, if the text is finished.
        """

    def forced_run(self) -> list[int]:
        """The ids from here on that have no alternative, up to the next decision or the end. They are not taken."""

    def take_forced_run(self) -> list[int]:
        """As `forced_run`, and takes them."""

    def validate(self, ids: Iterable[int]) -> int:
        """How many of these ids may come next, one after the other."""

    def take(self, ids: Iterable[int]) -> int:
        """Takes as many of these ids as may come next, one after the other, and tells how many: `validate` takes none."""

    def advance(self, id: int) -> _Label:
        """Takes the next token. Raises `MatcherError` if it may not come next."""

    def rollback(self, count: int) -> None:
        """Takes back the last `count` tokens, or all if there are fewer."""

    def reset(self) -> None:
        """Goes back to the start."""

    def copy(self) -> Matcher:
        """Another matcher at the same place."""

    def __copy__(self) -> Matcher: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> Matcher: ...

@final
class MatcherBatch:
    """Many matchers at once, one row a text; one call goes through all rows, to fill masks and to advance without the
    interpreter's lock.

    For one thread at a time: a call that meets another one raises `RuntimeError`. It does not pickle: send the templates and
    the ids that its rows have taken.
    """

    def __new__(cls, templates: Iterable[Template], *, forcing: bool = True) -> MatcherBatch:
        """One row at the start of each text. Templates may repeat, and be of several artifacts."""

    def __len__(self) -> int:
        """The number of rows."""

    def __getitem__(self, row: SupportsIndex, /) -> Matcher:
        """A copy of a row."""

    @property
    def states(self) -> NDArray[np.int32]:
        """The state of each row."""

    @property
    def numbers(self) -> NDArray[np.int32]:
        """How many numbers of each row are complete."""

    @property
    def lengths(self) -> NDArray[np.int32]:
        """How many tokens each row has taken."""

    @property
    def finished(self) -> NDArray[np.bool_]:
        """Whether each row is finished."""

    @property
    def is_finished(self) -> bool:
        """Whether every row is."""

    def fill_masks(self, bitmask: Any) -> int:
        """Fills one mask a row in place, as `Matcher.fill_mask` does; `bitmask` is a writable, C-contiguous int32 array
        `(rows, words)`. The words of finished rows are left as they are. Returns how many rows are unfinished."""

    def advance(self, ids: Iterable[int] | NDArray[np.integer[Any]]) -> None:
        """Takes one token in each row. Finished rows take none, whatever is given for them. Raises `MatcherError` with the
        first row that refuses its token; then no row has taken any."""

    def forced_runs(self) -> list[list[int]]:
        """The forced run of each row. They are not taken."""

    def take_forced_runs(self) -> list[list[int]]:
        """As `forced_runs`, and takes them."""

    def rollback(self, count: int | Sequence[int]) -> None:
        """Takes back the last tokens: as many in each row, or as many as each row is given."""

    def reset(self, rows: Iterable[int] | None = None) -> None:
        """Takes these rows, or all, back to their start."""

    def replace(self, row: int, template: Template) -> None:
        """Makes a row one at the start of another text."""

    def append(self, template: Template) -> None:
        """Adds a row at the start of a text."""

    def select(self, rows: Iterable[int]) -> None:
        """Makes row i what row `rows[i]` was: reorders, repeats and drops rows, as beam search does."""

    def copy(self) -> MatcherBatch:
        """Another batch at the same places."""

    def __copy__(self) -> MatcherBatch: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> MatcherBatch: ...

# Audit

def audit(
    generations: _StrPath | Iterable[Mapping[str, Any]],
    artifact: Artifact | _StrPath | None = None,
    *,
    tokenizer: _TokenizerLike | None = None,
    number_format: str | None = None,
    tags: str = "none",
    eos: str | int | None = "auto",
    molecules: Mapping[str, str] | None = None,
    corpus: _StrPath | Sequence[_StrPath] = (),
    judgements: bool = False,
    threads: int = 0,
    skipped: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Judges generations against an artifact, or against a number format: what `tplc audit --format json` prints.

    `generations` is a file of JSON lines, or dicts: `{"ids": [...]}` or `{"text": "..."}`, with `smiles` or `name` where the
    molecule is not to be told by the text. `molecules` says which SMILES a `name` means, and so does `corpus`. Without an
    artifact, `tokenizer` and `number_format` say what is judged; with one, `number_format`, `tags` and `eos` are its own.

    Rows without ids or text are skipped, and where all are, that is a `CorpusError`.

    With `judgements`, the answer has one of that name for each line as well, as `--format jsonl` prints them.
    """

# Text

def render_smiles(
    smiles: str, coordinates: Any, number_format: str = "fixed4", tags: str = "none"
) -> str:
    """The enriched SMILES of a SMILES: see `tplc.render`, which takes RDKit molecules too."""

def parse(text: str, tags: str = "conformer") -> tuple[str, NDArray[np.float64]]:
    """Reads enriched SMILES: the SMILES that it copies, every atom in brackets, and its positions `(atoms, 3)`.

    A prompt before it, tags around it and what follows the closing tag are left out; text without tags is read too.
    """
