//! Chrome traces as files: an array of events or an object that holds one, plain or gzip. One event is in memory at a time.

use std::{
    fmt,
    io::{self, BufReader, Read},
};

use flate2::read::MultiGzDecoder;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::error::Category;

use super::{
    TraceError,
    event::{Event, EventSeed},
};

const BUFFER: usize = 256 * 1024;
/// The first two bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How a file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Whole,
    /// In the middle: whoever wrote it was stopped. All events up to there were read.
    CutOff,
    /// There was something that is no JSON, told here with its place. All events up to there were read.
    Damaged(String),
}

/// What a file holds beside its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Events, of any kind.
    pub events: u64,
    /// How the file ended.
    pub ending: Ending,
    /// What [`Recorder`](super::Recorder) adds behind the events; in a file that was cut off it is lost.
    pub strategies: Vec<StrategyTotals>,
}

/// What one strategy of `tplc validate` did, as its trace tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyTotals {
    /// Its name, which is also that of its thread.
    pub strategy: String,
    /// Tokens that it generated.
    pub tokens: u64,
}

/// The part of a file that is ours, under the key `tplc`.
#[derive(Deserialize, Serialize)]
#[serde(expecting = "the totals of `tplc validate --trace`")]
pub(super) struct Own {
    pub(super) schema: String,
    pub(super) strategies: Vec<StrategyTotals>,
}

/// [`Own::schema`].
pub(super) const SCHEMA: &str = "tplc.spans/1";

/// Reads a trace and gives each event to `each`, in the order of the file. No bytes make it panic.
///
/// # Errors
/// [`TraceError::Unreadable`], or [`TraceError::NotATrace`] if not one event can be read.
pub fn read(mut reader: impl Read, each: impl FnMut(&Event)) -> Result<Footer, TraceError> {
    let mut head = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut head).map_err(TraceError::Unreadable)?;
    let gzip = head == GZIP;
    let raw = head.as_slice().chain(reader);
    if gzip {
        read_json(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, raw)), each)
    } else {
        read_json(raw, each)
    }
}

fn read_json(json: impl Read, each: impl FnMut(&Event)) -> Result<Footer, TraceError> {
    let mut state = State { each, event: Event::default(), events: 0, strategies: Vec::new() };
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(BUFFER, json));
    let read = File(&mut state).deserialize(&mut json).and_then(|()| json.end());
    let not_a_trace = |reason: String| Err(TraceError::NotATrace { reason });
    let ending = match read {
        Ok(()) if state.events == 0 => return not_a_trace("there is no event in it".to_owned()),
        Ok(()) => Ending::Whole,
        Err(error) => match (error.classify(), error.io_error_kind()) {
            // The last is gzip that breaks off, the others are gzip with wrong bits.
            (Category::Io, Some(io::ErrorKind::UnexpectedEof)) | (Category::Eof, _) => Ending::CutOff,
            (Category::Io, kind)
                if kind != Some(io::ErrorKind::InvalidInput) && kind != Some(io::ErrorKind::InvalidData) =>
            {
                return Err(TraceError::Unreadable(error.into()));
            }
            (Category::Io | Category::Syntax | Category::Data, _) => Ending::Damaged(error.to_string()),
        },
    };
    match &ending {
        Ending::CutOff if state.events == 0 => not_a_trace("it ends before the first event".to_owned()),
        Ending::Damaged(reason) if state.events == 0 => not_a_trace(reason.clone()),
        _ => Ok(Footer { events: state.events, ending, strategies: state.strategies }),
    }
}

/// What is kept while a file is read.
struct State<F> {
    each: F,
    event: Event,
    events: u64,
    strategies: Vec<StrategyTotals>,
}

/// The file: its events, or an object around them.
struct File<'a, F>(&'a mut State<F>);

impl<'de, F: FnMut(&Event)> DeserializeSeed<'de> for File<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&Event)> Visitor<'de> for File<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or object of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, events: A) -> Result<(), A::Error> {
        Events(self.0).visit_seq(events)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(key) = fields.next_key()? {
            match key {
                Key::Events => fields.next_value_seed(Events(self.0))?,
                Key::Own => {
                    let own = fields.next_value::<Own>()?;
                    if own.schema == SCHEMA {
                        self.0.strategies = own.strategies;
                    }
                }
                Key::Other => fields.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Key {
    #[serde(rename = "traceEvents")]
    Events,
    #[serde(rename = "tplc")]
    Own,
    #[serde(other)]
    Other,
}

/// The events, one by one.
struct Events<'a, F>(&'a mut State<F>);

impl<'de, F: FnMut(&Event)> DeserializeSeed<'de> for Events<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&Event)> Visitor<'de> for Events<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        let State { each, event, events: count, .. } = self.0;
        while let Some(is_event) = events.next_element_seed(EventSeed(event))? {
            if is_event {
                *count += 1;
                each(event);
            }
        }
        Ok(())
    }
}
