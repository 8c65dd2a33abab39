//! Variants that notes speak for, told from those that have to be declared.

use std::hash::Hasher;
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use vtbuild_cfg::variant::Fingerprint;
use vtbuild_cfg::{Diagnostic, ExpandOptions, Program};
use xxhash_rust::xxh3::Xxh3;

use super::{Held, Kind, Memo};
use crate::dep::DepIndex;
use crate::session::Diagnostics;
use crate::variant::{Texts, Variant};

/// What became of one selected variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// The notes speak for it: it is in the cache.
    Served(u32),
    /// The notes say that it runs only when it is named.
    LeftOut(u32),
    /// It has to be declared: its place among the rest.
    Rest(u32),
}

/// The selected variants, in order.
#[derive(Debug, Default)]
pub struct Picked {
    /// What became of each.
    pub slots: Vec<Slot>,
    /// Those that have to be declared, with the fingerprints of what is applied to them.
    pub rest: Vec<(Fingerprint, Variant)>,
}

/// By what people call a variant: the shortest name first.
pub type Names = [Arc<str>; 3];

/// The names of a variant.
#[must_use]
pub fn names(variant: &Variant) -> Names {
    [
        variant.test_id.clone(),
        variant.shortname.clone(),
        variant.name.clone(),
    ]
}

/// A digest of names.
pub(super) fn digest(names: &Names) -> u64 {
    let mut hasher = Xxh3::new();
    for name in names {
        hasher.write(name.as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

impl Picked {
    /// All variants of a program, with what the notes that hold say of each. Without notes all have to be declared.
    ///
    /// # Errors
    /// What went wrong while expanding.
    pub fn of(program: &Program, notes: Option<(&Memo, &Held)>) -> Result<Self, Diagnostics> {
        let found = Self::pick(program, notes, &FxHashSet::default())?;
        let Some((memo, held)) = notes else {
            return Ok(found);
        };
        if found.has_twice() {
            // Two of one name would be one action.
            return Self::of(program, None);
        }
        match found.tied(program, memo)? {
            tied if tied.is_empty() => Ok(found),
            tied => Self::pick(program, Some((memo, held)), &tied),
        }
    }

    /// `tied` are the names of variants that have to be declared whatever the notes say.
    fn pick(
        program: &Program,
        notes: Option<(&Memo, &Held)>,
        tied: &FxHashSet<String>,
    ) -> Result<Self, Diagnostics> {
        let applied = program.applied();
        let of_cores: Mutex<Vec<Texts>> = Mutex::default();
        let idle = || of_cores.lock().unwrap_or_else(PoisonError::into_inner);
        let found = program
            .variants(&ExpandOptions::default())
            .map_parallel(|variant| {
                let variant = variant?;
                let fingerprint = applied.of(&variant);
                let slot = notes.and_then(|(memo, held)| memo.slot(held, fingerprint));
                if let Some(slot) = slot
                    && (tied.is_empty() || !tied.contains(variant.name()))
                {
                    return Ok(Found::Noted(slot));
                }
                let mut texts = idle().pop().unwrap_or_default();
                let viewed = Variant::of(&variant, &mut texts);
                idle().push(texts);
                Ok(Found::New(fingerprint, Box::new(viewed?)))
            });
        let mut picked = Self::default();
        for found in found {
            let found = found.map_err(|diagnostic: Box<Diagnostic>| Diagnostics::from([*diagnostic]))?;
            match found {
                Found::Noted(slot) => picked.slots.push(slot),
                Found::New(fingerprint, variant) => picked.add(fingerprint, *variant),
            }
        }
        Ok(picked)
    }

    fn add(&mut self, fingerprint: Fingerprint, variant: Variant) {
        let at = u32::try_from(self.rest.len()).expect("a selection has fewer than 2^32 variants");
        self.slots.push(Slot::Rest(at));
        self.rest.push((fingerprint, variant));
    }

    /// Whether one note speaks for two variants.
    fn has_twice(&self) -> bool {
        let mut seen = FxHashSet::default();
        self.slots.iter().any(|slot| match slot {
            Slot::Served(at) | Slot::LeftOut(at) => !seen.insert(*at),
            Slot::Rest(_) => false,
        })
    }

    /// The names of the variants that a `dep` entry of a selected one means, and of those that have it.
    fn tied(&self, program: &Program, memo: &Memo) -> Result<FxHashSet<String>, Diagnostics> {
        let with_dep = |slot: &Slot| match slot {
            Slot::Served(at) => memo.entries[*at as usize].dep,
            Slot::LeftOut(_) => false,
            Slot::Rest(at) => !self.rest[*at as usize].1.dep.is_empty(),
        };
        if !self.slots.iter().any(with_dep) {
            return Ok(FxHashSet::default());
        }
        let (mut names, mut deps) = (
            Vec::<Arc<str>>::new(),
            FxHashMap::<usize, Vec<Arc<str>>>::default(),
        );
        let variants = program.variants(&ExpandOptions::default());
        for (slot, variant) in self.slots.iter().zip(variants) {
            let variant = variant.map_err(|diagnostic| Diagnostics::from([*diagnostic]))?;
            if matches!(slot, Slot::LeftOut(_)) {
                continue;
            }
            if with_dep(slot) {
                let entries = variant.dep().into_iter().map(Arc::from);
                deps.insert(names.len(), entries.collect());
            }
            names.push(variant.name().into());
        }
        let index = DepIndex::of(names.iter(), deps.values().flatten());
        let mut tied = FxHashSet::default();
        for (at, entries) in &deps {
            for other in entries.iter().flat_map(|entry| index.matching(entry)) {
                if other != *at {
                    tied.extend([names[*at].to_string(), names[other].to_string()]);
                }
            }
        }
        Ok(tied)
    }

    /// The titles under which the variants were shown last time, for those of the rest; `None` where the names of the selected
    /// variants are not those of last time.
    #[must_use]
    pub fn titles(&self, memo: &Memo, left_out: impl Fn(&Variant) -> bool) -> Option<Vec<Arc<str>>> {
        if self.slots.len() != memo.entries.len() {
            return None;
        }
        let mut titles = Vec::with_capacity(self.rest.len());
        for ((at, entry), slot) in (0..).zip(&memo.entries).zip(&self.slots) {
            match slot {
                Slot::Served(known) | Slot::LeftOut(known) if *known == at => {}
                Slot::Served(_) | Slot::LeftOut(_) => return None,
                Slot::Rest(rest) => {
                    let variant = &self.rest[*rest as usize].1;
                    let same = digest(&names(variant)) == entry.names
                        && left_out(variant) == (entry.kind == Kind::LeftOut);
                    titles.push(same.then(|| Arc::from(memo.title(at)))?);
                }
            }
        }
        Some(titles)
    }
}

enum Found {
    Noted(Slot),
    New(Fingerprint, Box<Variant>),
}

impl Memo {
    fn slot(&self, held: &Held, fingerprint: Fingerprint) -> Option<Slot> {
        let at = *self.places.get(&fingerprint)?;
        let entry = &self.entries[at as usize];
        let slot = match entry.kind {
            Kind::LeftOut => Slot::LeftOut,
            Kind::Served | Kind::Named => Slot::Served,
        };
        held.holds(at, entry).then_some(slot(at))
    }
}
