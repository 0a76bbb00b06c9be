//! One event of a Chrome trace, read from JSON into buffers that serve again for the next.

use std::fmt::{self, Write};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// An event: a span of time, the begin or end of one, or a name for a thread. What it lacks is empty or `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// `X` a span, `B` and `E` its begin and end, `M` metadata; others carry no time.
    pub phase: String,
    /// `kernel`, `cpu_op`, …
    pub category: String,
    /// What ran.
    pub name: String,
    /// The process; in PyTorch's traces also a GPU.
    pub process: String,
    /// The thread, or the stream of a GPU.
    pub thread: String,
    /// Its start, in µs.
    pub start_us: Option<f64>,
    /// How long it took, in µs.
    pub duration_us: Option<f64>,
    /// `args.name`: the name that metadata gives.
    pub label: String,
}

impl Event {
    fn clear(&mut self) {
        let Self { phase, category, name, process, thread, label, .. } = self;
        for text in [phase, category, name, process, thread, label] {
            text.clear();
        }
        (self.start_us, self.duration_us) = (None, None);
    }
}

/// Reads the next value into an event; says whether it was one. Fields of another type than they should have count as
/// absent, so that nothing but broken JSON stops the reading.
pub(super) struct EventSeed<'a>(pub(super) &'a mut Event);

impl<'de> DeserializeSeed<'de> for EventSeed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        self.0.clear();
        let is_object = deserializer.deserialize_any(Fields(self.0))?;
        Ok(is_object && !self.0.phase.is_empty())
    }
}

/// Implements what a [`Visitor`] does with values it has no use for: they are skipped.
macro_rules! skip {
    ($value:expr; $($visit:ident($kind:ty)),*) => {
        $(fn $visit<E>(self, _: $kind) -> Result<Self::Value, E> { Ok($value) })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($value) }
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
}

struct Fields<'a>(&'a mut Event);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<bool, A::Error> {
        let event = self.0;
        while let Some(key) = fields.next_key()? {
            match key {
                Field::Phase => fields.next_value_seed(Text(&mut event.phase))?,
                Field::Category => fields.next_value_seed(Text(&mut event.category))?,
                Field::Name => fields.next_value_seed(Text(&mut event.name))?,
                Field::Process => fields.next_value_seed(Text(&mut event.process))?,
                Field::Thread => fields.next_value_seed(Text(&mut event.thread))?,
                Field::Start => event.start_us = fields.next_value_seed(Number)?,
                Field::Duration => event.duration_us = fields.next_value_seed(Number)?,
                Field::Args => fields.next_value_seed(Args(&mut event.label))?,
                Field::Other => fields.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(true)
    }

    skip!(false; visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Field {
    #[serde(rename = "ph")]
    Phase,
    #[serde(rename = "cat")]
    Category,
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "pid")]
    Process,
    #[serde(rename = "tid")]
    Thread,
    #[serde(rename = "ts")]
    Start,
    #[serde(rename = "dur")]
    Duration,
    #[serde(rename = "args")]
    Args,
    #[serde(other)]
    Other,
}

/// A text, or a number as text.
struct Text<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.clear();
        deserializer.deserialize_any(self)
    }
}

impl Text<'_> {
    fn write(self, value: impl fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{value}");
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.push_str(text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.write(number);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.write(number);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.write(number);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<(), A::Error> {
        skip_fields(fields)
    }

    skip!((); visit_bool(bool));
}

/// A number, or `None`.
struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<f64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Number {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Option<f64>, E> {
        Ok(Some(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Option<f64>, E> {
        Ok(Some(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Option<f64>, E> {
        Ok(Some(number))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Option<f64>, A::Error> {
        skip_fields(fields).map(|()| None)
    }

    skip!(None; visit_bool(bool), visit_str(&str));
}

/// The `name` of an event's `args`.
struct Args<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Args<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Args<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the arguments of an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(key) = fields.next_key()? {
            match key {
                Field::Name => fields.next_value_seed(Text(self.0))?,
                _ => fields.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    skip!((); visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));
}

fn skip_fields<'de, A: MapAccess<'de>>(mut fields: A) -> Result<(), A::Error> {
    while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
