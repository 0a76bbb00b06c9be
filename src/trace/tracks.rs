//! The threads of a trace: small ids, names, and the spans that are still open on each.

use rustc_hash::FxHashMap;

use super::{coverage::Stretch, event::Event};

/// Threads that are told apart; all further ones are taken for one.
const THREADS: u32 = 4096;
/// Open spans of one thread; deeper ones are not counted.
const DEPTH: usize = 1024;

/// A thread of a process, or a stream of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TrackId(u32);

#[derive(Debug, Default)]
struct Track {
    name: String,
    open: Vec<(String, String, i64)>,
}

/// All threads so far.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    ids: FxHashMap<Box<str>, TrackId>,
    tracks: Vec<Track>,
    key: String,
}

impl Tracks {
    /// The thread of an event.
    pub(super) fn of(&mut self, event: &Event) -> TrackId {
        self.key.clear();
        for part in [&event.process, "\0", &event.thread] {
            self.key.push_str(part);
        }
        if let Some(&id) = self.ids.get(self.key.as_str()) {
            return id;
        }
        let id = TrackId((self.tracks.len() as u32).min(THREADS));
        if id.0 < THREADS {
            self.ids.insert(self.key.as_str().into(), id);
        }
        if self.tracks.len() <= id.0 as usize {
            self.tracks.push(Track::default());
        }
        id
    }

    /// The name that metadata gave to a thread; empty without.
    pub(super) fn name(&self, id: TrackId) -> &str {
        self.tracks.get(id.0 as usize).map_or("", |track| &track.name)
    }

    /// Takes in an event of a thread. An event that ends a span gives it, under the kind and name it began with.
    pub(super) fn span(&mut self, id: TrackId, event: &Event, found: impl FnOnce(&str, &str, Stretch)) {
        let Some(track) = self.tracks.get_mut(id.0 as usize) else { return };
        match (event.phase.as_str(), event.start_us) {
            ("X", Some(start)) => {
                let (start, length) = (nanos(start), nanos(event.duration_us.unwrap_or(0.0)).max(0));
                found(&event.category, &event.name, Stretch { start, end: start.saturating_add(length) });
            }
            ("B", Some(start)) if track.open.len() < DEPTH => {
                track.open.push((event.category.clone(), event.name.clone(), nanos(start)));
            }
            ("E", Some(end)) => {
                if let Some((kind, name, start)) = track.open.pop() {
                    found(&kind, &name, Stretch { start, end: nanos(end).max(start) });
                }
            }
            ("M", _) if event.name == "thread_name" => track.name.clone_from(&event.label),
            _ => {}
        }
    }
}

/// The furthest moment, in ns: beyond it, and for what is no number, a time is cut to fit. The length of any stretch then
/// fits as well.
const FURTHEST: f64 = (1_i64 << 61) as f64;

fn nanos(micros: f64) -> i64 {
    (micros * 1000.0).round().clamp(-FURTHEST, FURTHEST) as i64
}
