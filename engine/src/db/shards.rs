//! Expansion in shards: stretches of the selected variants, each made again only when one of its variants has changed.
//!
//! After an edit of a statement the search runs again, which is the cheap part, and gives every variant a fingerprint of all
//! that it is made of. A shard is compared by the fingerprints of its variants; where they are the same, its parameters
//! stay. One node of the database for each variant would cost more than it saves.

use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::FxHasher;
use vtbuild_cfg::variant::Fingerprint;
use vtbuild_cfg::{Diagnostic, ExpandOptions, Program, Unit};

use super::queries::{Broken, linked};
use super::{Db, Setup};
use crate::session::ExtraLine;
use crate::variant::Variant;

/// Variants in a shard, on average and at most.
const USUAL: u64 = 32;
const MOST: usize = 128;

/// What is selected: the lines after a configuration.
#[salsa::interned]
pub(crate) struct Selection<'db> {
    #[returns(ref)]
    pub(crate) lines: Vec<ExtraLine>,
}

/// A stretch of variants that are not computed yet, equal to another if all of them are made of the same.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) fingerprint: Fingerprint,
    /// That of each variant.
    pub(crate) marks: Arc<[Fingerprint]>,
    pub(crate) variants: Arc<[vtbuild_cfg::Variant]>,
}

impl PartialEq for Stretch {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Stretch {}

/// One shard of a selection. It is known by its first variant.
#[salsa::tracked]
pub(crate) struct Shard<'db> {
    #[returns(ref)]
    first: Arc<str>,
    #[tracked]
    #[returns(ref)]
    stretch: Stretch,
}

/// The shards of a selection, in order.
#[salsa::tracked(returns(ref))]
pub(crate) fn selected<'db>(
    db: &'db dyn Db,
    setup: Setup,
    selection: Selection<'db>,
) -> Result<Vec<Shard<'db>>, Broken> {
    let linked = linked(db, setup).as_ref().map_err(|&broken| broken)?;
    let program = with_lines(&linked.program, selection.lines(db)).map_err(|_| Broken)?;
    let mut fingerprints = program.fingerprints();
    let (mut shards, mut open, mut marks) = (Vec::new(), Vec::new(), Vec::new());
    let mut variants = program.variants(&ExpandOptions::default()).peekable();
    while let Some(variant) = variants.next() {
        let variant = variant.map_err(|_| Broken)?;
        marks.push(fingerprints.of(&variant));
        open.push(variant);
        let ends = match variants.peek() {
            Some(Ok(next)) => open.len() == MOST || starts_shard(next.name()),
            Some(Err(_)) | None => true,
        };
        if ends {
            let stretch = Stretch {
                fingerprint: marks.iter().copied().collect(),
                marks: std::mem::take(&mut marks).into(),
                variants: std::mem::take(&mut open).into(),
            };
            let first = stretch.variants[0].name().into();
            shards.push(Shard::new(db, first, stretch));
        }
    }
    Ok(shards)
}

/// The shards of a selection as they are before anything is computed.
pub(crate) fn outlined(db: &dyn Db, setup: Setup, selection: Selection<'_>) -> Result<Vec<Stretch>, Broken> {
    let shards = selected(db, setup, selection)
        .as_ref()
        .map_err(|&broken| broken)?;
    Ok(shards.iter().map(|shard| shard.stretch(db).clone()).collect())
}

/// The variants of one shard, computed.
#[salsa::tracked(returns(ref))]
pub(crate) fn expanded<'db>(db: &'db dyn Db, shard: Shard<'db>) -> Result<Arc<[Variant]>, Broken> {
    let mut texts = db.texts();
    let viewed = shard.stretch(db).variants.iter();
    let viewed = viewed.map(|variant| Variant::of(variant, &mut texts));
    viewed.collect::<Result<_, _>>().map_err(|_| Broken)
}

/// A program with lines at its end.
pub(crate) fn with_lines(program: &Program, lines: &[ExtraLine]) -> Result<Program, Vec<Diagnostic>> {
    let parse = |line: &ExtraLine| vtbuild_cfg::parse(line.origin.as_str(), line.text.as_bytes());
    let texts: Vec<_> = lines.iter().map(parse).collect();
    program.with_parsed(&texts, &mut |_| Unit::Absent)
}

/// Shards are cut where a name says so: one more or one fewer variant does not move the later cuts.
fn starts_shard(name: &str) -> bool {
    let mut hasher = FxHasher::default();
    hasher.write(name.as_bytes());
    (hasher.finish() >> 32).is_multiple_of(USUAL)
}
