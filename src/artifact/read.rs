//! Opening an artifact: everything is checked, nothing but the shared tables is copied.

use std::{path::Path, sync::Arc};

use super::{
    Automaton, Error, Header, LiteralPlace, Literals, Tables, Target, Template, Tokenization, Tokens, fault,
    programs::{Numbering, Programs},
    wire::{Layout, Section},
};
use crate::primitives::{StateId, TokenId};

/// Flags of the header.
pub(super) const HAS_EOS: u32 = 1;
pub(super) const ANY_TOKENIZATION: u32 = 2;

/// An edge's token is FREE.
pub(super) const FREE: u32 = 1 << 31;
/// A number may end in a state.
pub(super) const ENDS_NUMBER: u32 = 1 << 31;

/// An open artifact over bytes in memory or in a mapped file.
///
/// Immutable; share it between threads and make a [`Matcher`](crate::matcher::Matcher) for each request.
#[derive(Clone, Debug)]
pub struct Artifact<D = memmap2::Mmap> {
    bytes: D,
    layout: Layout,
    tables: Arc<Tables>,
    molecules: usize,
}

/// Bytes wherever they are, in a mapped file or in memory; all clones share them.
#[derive(Clone)]
pub struct SharedBytes(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl std::fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SharedBytes").field(&self.as_ref().len()).finish()
    }
}

impl Artifact<memmap2::Mmap> {
    /// Maps a file into memory and checks it whole.
    ///
    /// The file must not be changed while it is open: another process that truncates it ends this one. `tplc` itself
    /// only ever replaces files.
    ///
    /// # Errors
    /// [`Error`] if the file cannot be read or is no undamaged artifact of this version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let read = |source| Error::Read { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(read)?;
        // SAFETY: the documentation tells the caller to leave the file alone; all accesses are bounds-checked.
        #[allow(unsafe_code, reason = "mapping a file is")]
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(read)?;
        Self::from_bytes(bytes)
    }
}

impl<D: AsRef<[u8]> + Send + Sync + 'static> Artifact<D> {
    /// The same artifact as one type for files and memory.
    #[must_use]
    pub fn shared(self) -> Artifact<SharedBytes> {
        let Self { bytes, layout, tables, molecules } = self;
        Artifact { bytes: SharedBytes(Arc::new(bytes)), layout, tables, molecules }
    }
}

impl<D: AsRef<[u8]>> Artifact<D> {
    /// Opens an artifact that is in memory. This never panics, whatever the bytes are.
    ///
    /// # Errors
    /// [`Error`] if the bytes are no undamaged artifact of this version.
    pub fn from_bytes(bytes: D) -> Result<Self, Error> {
        let file = bytes.as_ref();
        let layout = Layout::read(file)?;
        let (tables, molecules) = tables(file, &layout)?;
        tables.validate()?;
        let artifact = Self { layout, tables: Arc::new(tables), molecules, bytes };
        artifact.programs().validate()?;
        Ok(artifact)
    }

    /// What all molecules share.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// The number of molecules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.molecules
    }

    /// Whether there is no molecule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.molecules == 0
    }

    /// The number of bytes of each section, in the order of the file.
    pub fn section_sizes(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let bytes = self.bytes.as_ref();
        Section::ALL.into_iter().map(|section| (section.name(), self.layout.section(bytes, section).len()))
    }

    /// The bytes of the whole file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// The literals of molecule `index`, in the order of its text.
    ///
    /// # Errors
    /// [`Error::NoMolecule`] beyond the last.
    pub fn literals(&self, index: usize) -> Result<impl Iterator<Item = &str>, Error> {
        let numbers = self.row(index)?;
        Ok(numbers.filter_map(|number| {
            let (place, index) = self.place(number);
            self.tables.literals[place as usize].text(index)
        }))
    }

    /// The template of molecule `index`.
    ///
    /// # Errors
    /// [`Error::NoMolecule`] beyond the last.
    pub fn molecule(&self, index: usize) -> Result<Template, Error> {
        let roots = self.row(index)?.filter_map(|number| {
            let (place, index) = self.place(number);
            self.tables.literals[place as usize].root(index)
        });
        Ok(Template::new(Arc::clone(&self.tables), roots))
    }

    /// All molecules in order, each as its literals by place and index there.
    pub fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = (LiteralPlace, usize)>> {
        self.programs().all().map(|row| row.map(|number| self.place(number)))
    }

    /// The number of a molecule by its literals.
    pub fn find<'l>(&self, literals: impl ExactSizeIterator<Item = &'l str>) -> Option<usize> {
        let atoms = literals.len().checked_sub(1)?;
        let numbers: Option<Vec<u32>> = literals
            .enumerate()
            .map(|(index, literal)| {
                let place = LiteralPlace::of(index, atoms);
                let index = self.tables.literals[place as usize].find(literal)? as u32;
                let Numbering { inner, last, .. } = self.numbering();
                Some([0, inner, last][place as usize] + index)
            })
            .collect();
        self.programs().find(&numbers?)
    }

    fn row(&self, index: usize) -> Result<impl Iterator<Item = u32>, Error> {
        self.programs().row(index).ok_or(Error::NoMolecule { index, len: self.molecules })
    }

    /// The place of a literal number, and its index there.
    fn place(&self, number: u32) -> (LiteralPlace, usize) {
        let Numbering { inner, last, .. } = self.numbering();
        match number {
            first if first < inner => (LiteralPlace::First, first as usize),
            middle if middle < last => (LiteralPlace::Inner, (middle - inner) as usize),
            number => (LiteralPlace::Last, (number - last) as usize),
        }
    }

    fn numbering(&self) -> Numbering {
        Numbering::of([0, 1, 2].map(|place: usize| self.tables.literals[place].len()))
    }

    fn programs(&self) -> Programs<'_> {
        let bytes = self.bytes.as_ref();
        Programs {
            index: self.layout.section(bytes, Section::ProgramIndex),
            rows: self.layout.section(bytes, Section::Programs),
            numbering: self.numbering(),
            len: self.molecules,
        }
    }
}

/// The shared tables and the number of molecules, as the bytes have them.
fn tables(file: &[u8], layout: &Layout) -> Result<(Tables, usize), Error> {
    let mut reader = layout.reader(file, Section::Header);
    let fingerprint = reader.bytes32()?;
    let (flags, logits_width, eos) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let (number_states, separator, molecules) = (reader.u32()?, StateId(reader.u32()?), reader.u64()?);
    let mut text = || reader.text();
    let header = Header {
        fingerprint,
        logits_width,
        eos: (flags & HAS_EOS != 0).then_some(TokenId(eos)),
        tokenization: if flags & ANY_TOKENIZATION == 0 { Tokenization::Canonical } else { Tokenization::Any },
        tokenizer: text()?,
        number_format: text()?,
        prompt: text()?,
        open: text()?,
        close: text()?,
    };
    reader.end()?;
    if flags & !(HAS_EOS | ANY_TOKENIZATION) != 0 || (flags & HAS_EOS == 0 && eos != 0) {
        return Err(fault("header", "unknown flags"));
    }

    let mut reader = layout.reader(file, Section::TokenIds);
    let ids: Vec<TokenId> = reader.u32s(reader.left(4)?)?.into_iter().map(TokenId).collect();
    reader.end()?;
    if !ids.is_sorted_by(|a, b| a < b) || ids.last().is_some_and(|id| id.0 >= logits_width) {
        return Err(fault("token ids", "they do not ascend below the width of the logits"));
    }
    let mut reader = layout.reader(file, Section::TokenTexts);
    let (text, ends) = reader.texts(ids.len())?;
    reader.end()?;
    let tokens = Tokens { ids, text, ends };

    let automaton = automaton(file, layout, &tokens.ids)?;
    let mut reader = layout.reader(file, Section::Literals);
    let mut literals: [Literals; 3] = Default::default();
    for literals in &mut literals {
        let count = reader.u32()? as usize;
        let roots = reader.u32s(count)?.into_iter().map(StateId).collect();
        let (text, ends) = reader.texts(count)?;
        *literals = Literals::of_parts(text, ends, roots);
        let texts: Vec<&str> = literals.iter().map(|(text, _)| text).collect();
        if !texts.is_sorted_by(|a, b| a < b) {
            return Err(fault("literals", "they do not ascend"));
        }
    }
    reader.end()?;
    let total: usize = literals.iter().map(Literals::len).sum();
    let molecules = usize::try_from(molecules).map_err(|_| fault("header", "too many molecules"))?;
    if u32::try_from(total).is_err() {
        return Err(fault("literals", "too many"));
    }
    Ok((Tables::new(header, tokens, automaton, number_states, separator, literals), molecules))
}

fn automaton(file: &[u8], layout: &Layout, ids: &[TokenId]) -> Result<Automaton, Error> {
    let mut reader = layout.reader(file, Section::States);
    let states = reader.u32s(reader.left(4)?)?;
    reader.end()?;
    let mut reader = layout.reader(file, Section::EdgeTokens);
    let tokens = reader.u16s(reader.left(2)?)?;
    reader.end()?;
    let mut reader = layout.reader(file, Section::EdgeTargets);
    let targets = reader.u32s(tokens.len())?;
    reader.end()?;
    let token = |index: u16| {
        ids.get(usize::from(index)).copied().ok_or_else(|| fault("edge tokens", "no such token"))
    };
    Ok(Automaton {
        edge_ends: states.iter().map(|word| word & !ENDS_NUMBER).collect(),
        ends_number: states.iter().map(|word| word & ENDS_NUMBER != 0).collect(),
        tokens: tokens.into_iter().map(token).collect::<Result<_, _>>()?,
        targets: targets
            .into_iter()
            .map(|word| Target { state: StateId(word & !FREE), free: word & FREE != 0 })
            .collect(),
    })
}
