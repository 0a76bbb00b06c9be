//! The bytes of an artifact, and nothing of what they mean: header, section table, sections, checksum. See FORMAT.md.

use super::{Error, fault};

/// The first bytes of every artifact.
pub(super) const LABEL: &[u8; 16] = b"tplc template\0\0\0";
/// Written little-endian; reads as another number where bytes are swapped.
pub(super) const ENDIAN: u32 = 0x0102_0304;
/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;

/// Sections start at multiples of this.
const ALIGN: usize = 8;
const TABLE: usize = 32;
const ENTRY: usize = 24;

/// The sections, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Section {
    Header,
    TokenIds,
    TokenTexts,
    States,
    EdgeTokens,
    EdgeTargets,
    Literals,
    ProgramIndex,
    Programs,
}

impl Section {
    pub(super) const ALL: [Self; 9] = [
        Self::Header,
        Self::TokenIds,
        Self::TokenTexts,
        Self::States,
        Self::EdgeTokens,
        Self::EdgeTargets,
        Self::Literals,
        Self::ProgramIndex,
        Self::Programs,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::TokenIds => "token ids",
            Self::TokenTexts => "token texts",
            Self::States => "states",
            Self::EdgeTokens => "edge tokens",
            Self::EdgeTargets => "edge targets",
            Self::Literals => "literals",
            Self::ProgramIndex => "program index",
            Self::Programs => "programs",
        }
    }

    /// Its eight bytes in the section table.
    fn tag(self) -> [u8; 8] {
        let name = self.name().as_bytes();
        std::array::from_fn(|index| name.get(index).copied().unwrap_or(b' '))
    }
}

/// Where each section lies in the file.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    ranges: [(usize, usize); Section::ALL.len()],
}

impl Layout {
    /// Reads and checks label, version, section table, padding and checksum.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let section = "section table";
        let mut reader = Reader::new(bytes, section);
        if reader.take(LABEL.len()).ok() != Some(LABEL) {
            return Err(Error::NotAnArtifact);
        }
        if reader.u32()? != ENDIAN {
            return Err(fault(section, "bytes are swapped"));
        }
        let found = reader.u32()?;
        if found != VERSION {
            return Err(Error::Version { found, readable: VERSION });
        }
        if reader.u32()? as usize != Section::ALL.len() || reader.u32()? != 0 {
            return Err(fault(section, "wrong number of sections"));
        }
        let mut ranges = [(0, 0); Section::ALL.len()];
        let mut end = TABLE + ENTRY * Section::ALL.len();
        for (known, range) in Section::ALL.into_iter().zip(&mut ranges) {
            if reader.take(8)? != known.tag() {
                return Err(fault(section, "unknown section"));
            }
            let (start, length) = (reader.u64()?, reader.u64()?);
            let length = usize::try_from(length).map_err(|_| fault(section, "too long"))?;
            if start != aligned(end) as u64 {
                return Err(fault(section, "a section does not follow the one before it"));
            }
            let start = aligned(end);
            let stop = start.checked_add(length).filter(|&stop| stop <= bytes.len());
            let Some(stop) = stop else { return Err(fault(section, "cut off")) };
            if bytes[end..start].iter().any(|&byte| byte != 0) {
                return Err(fault(section, "padding is not zero"));
            }
            *range = (start, stop);
            end = stop;
        }
        let body = aligned(end);
        if bytes.len() != body + 4 || bytes[end..body].iter().any(|&byte| byte != 0) {
            return Err(fault(section, "the file does not end with its checksum"));
        }
        if bytes[body..] != crc32fast::hash(&bytes[..body]).to_le_bytes() {
            return Err(fault("checksum", "the bytes have changed"));
        }
        Ok(Self { ranges })
    }

    /// The bytes of a section.
    pub(super) fn section<'b>(&self, bytes: &'b [u8], section: Section) -> &'b [u8] {
        let (start, end) = self.ranges[section as usize];
        bytes.get(start..end).unwrap_or_default()
    }

    /// A reader of a section.
    pub(super) fn reader<'b>(&self, bytes: &'b [u8], section: Section) -> Reader<'b> {
        Reader::new(self.section(bytes, section), section.name())
    }
}

/// The file of these sections.
#[cfg(feature = "compile")]
pub(super) fn file(sections: &[Vec<u8>; Section::ALL.len()]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(LABEL);
    for word in [ENDIAN, VERSION, Section::ALL.len() as u32, 0] {
        file.extend(word.to_le_bytes());
    }
    let mut end = TABLE + ENTRY * Section::ALL.len();
    for (section, bytes) in Section::ALL.into_iter().zip(sections) {
        file.extend(section.tag());
        file.extend((aligned(end) as u64).to_le_bytes());
        file.extend((bytes.len() as u64).to_le_bytes());
        end = aligned(end) + bytes.len();
    }
    for bytes in sections {
        file.resize(aligned(file.len()), 0);
        file.extend(bytes);
    }
    file.resize(aligned(file.len()), 0);
    let checksum = crc32fast::hash(&file);
    file.extend(checksum.to_le_bytes());
    file
}

fn aligned(end: usize) -> usize {
    end.next_multiple_of(ALIGN)
}

/// Reads numbers and texts one after the other; whatever the bytes are, it answers or gives an error.
pub(super) struct Reader<'b> {
    rest: &'b [u8],
    section: &'static str,
}

impl<'b> Reader<'b> {
    fn new(rest: &'b [u8], section: &'static str) -> Self {
        Self { rest, section }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'b [u8], Error> {
        let Some((head, tail)) = self.rest.split_at_checked(length) else {
            return Err(fault(self.section, "cut off"));
        };
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn bytes32(&mut self) -> Result<[u8; 32], Error> {
        self.array()
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// `count` numbers of 32 bits.
    pub(super) fn u32s(&mut self, count: usize) -> Result<Vec<u32>, Error> {
        let length = count.checked_mul(4).ok_or_else(|| fault(self.section, "too long"))?;
        Ok(self.take(length)?.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect())
    }

    /// `count` numbers of 16 bits.
    pub(super) fn u16s(&mut self, count: usize) -> Result<Vec<u16>, Error> {
        let length = count.checked_mul(2).ok_or_else(|| fault(self.section, "too long"))?;
        Ok(self.take(length)?.as_chunks::<2>().0.iter().map(|&word| u16::from_le_bytes(word)).collect())
    }

    /// A text behind its length.
    pub(super) fn text(&mut self) -> Result<String, Error> {
        let length = self.u32()? as usize;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| fault(self.section, "a text is not UTF-8"))
    }

    /// `count` ends and the text that they cut: each part a text of its own.
    pub(super) fn texts(&mut self, count: usize) -> Result<(String, Vec<u32>), Error> {
        let ends = self.u32s(count)?;
        let text = self.text()?;
        let last = ends.last().copied().unwrap_or(0) as usize;
        if !ends.is_sorted() || last != text.len() {
            return Err(fault(self.section, "texts do not fill their section"));
        }
        if ends.iter().any(|&end| !text.is_char_boundary(end as usize)) {
            return Err(fault(self.section, "a text is cut inside a character"));
        }
        Ok((text, ends))
    }

    /// The bytes that are left, in whole numbers of `size` bytes.
    pub(super) fn left(&self, size: usize) -> Result<usize, Error> {
        match self.rest.len().is_multiple_of(size) {
            true => Ok(self.rest.len() / size),
            false => Err(fault(self.section, "cut off inside a number")),
        }
    }

    /// Checks that everything was read.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(fault(self.section, "bytes are left over")),
        }
    }
}
