"""Token-exact templates for language models that write 3D molecules.

A template accepts a sequence of ids if and only if it is what the tokenizer gives for the molecule with some number of the
format in every hole: no junk, no lost digit, no token that the model was not trained on.

    >>> import tplc
    >>> artifact = tplc.compile(["CC=O"], "qwen")
    >>> matcher = tplc.Matcher(artifact.template("CC=O"))
    >>> matcher.take_forced_run()
    [43504, 34139]
"""

from tplc._drift import drift_rows
from tplc._render import render
from tplc._tplc import (
    Artifact,
    ArtifactError,
    AuditError,
    CertificateError,
    CorpusError,
    DriftError,
    Error,
    FormatError,
    Matcher,
    MatcherBatch,
    MatcherError,
    Tables,
    Template,
    TemplateError,
    TextError,
    Tokenizer,
    TokenizerError,
    UnknownLiteralError,
    WrongTokenizerError,
    __version__,
    analyze,
    audit,
    build,
    compile,
    merge,
    parse,
    tokenizers,
)

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
    "drift_rows",
    "merge",
    "parse",
    "render",
    "tokenizers",
]
