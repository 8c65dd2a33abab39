//! The stream of variants, in the language's order.

use std::collections::VecDeque;
use std::sync::Arc;

use rayon::prelude::*;

use crate::apply::Modes;
use crate::diagnostic::Diagnostic;
use crate::graph::Graph;
use crate::program::Program;
use crate::search::{Walk, WalkOptions};
use crate::variant::Variant;

/// What an expansion is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct ExpandOptions {
    /// Take only the default variant of a block, where that gives any variant at all.
    pub defaults: bool,
    /// Variables of named blocks that are expanded fully all the same.
    pub expand: Vec<String>,
    /// Keep suffixed keys apart even where they agree with the plain one.
    pub keep_dups: bool,
    /// Refuse what other implementations get wrong, instead of doing as they do.
    pub strict: bool,
}

impl Program {
    /// All variants that no filter removes. Nothing is computed before it is asked for.
    pub fn variants(&self, options: &ExpandOptions) -> Variants {
        let walk = Walk::new(&self.graph, &WalkOptions::new(options));
        Variants {
            graph: self.graph.clone(),
            walk,
            modes: Modes {
                keep_dups: options.keep_dups,
                strict: options.strict,
            },
        }
    }
}

/// An iterator over variants; see [`Program::variants`].
pub struct Variants {
    graph: Arc<Graph>,
    walk: Walk,
    modes: Modes,
}

impl Variants {
    /// Applies `map` to every variant on all cores and hands the results out in order. While one batch is mapped the
    /// next one is searched for; no more than two batches are held at any time.
    pub fn map_parallel<T: Send, F: Fn(Result<Variant, Box<Diagnostic>>) -> T + Sync>(
        self,
        map: F,
    ) -> Mapped<T, F> {
        Mapped {
            variants: self,
            map,
            batch: Vec::new(),
            ready: VecDeque::new(),
            started: false,
        }
    }

    fn batch(&mut self, size: usize) -> Vec<Result<Variant, Box<Diagnostic>>> {
        self.by_ref().take(size).collect()
    }
}

impl Iterator for Variants {
    type Item = Result<Variant, Box<Diagnostic>>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.walk.next()?;
        Some(found.map(|found| Variant::new(self.graph.clone(), found.path, found.joined, self.modes)))
    }
}

/// Variants in a batch of [`Variants::map_parallel`]; the first batch is smaller so that short answers come at once.
const BATCH: usize = 256;
const FIRST_BATCH: usize = 16;

/// An iterator over mapped variants; see [`Variants::map_parallel`].
pub struct Mapped<T, F> {
    variants: Variants,
    map: F,
    batch: Vec<Result<Variant, Box<Diagnostic>>>,
    ready: VecDeque<T>,
    started: bool,
}

impl<T: Send, F: Fn(Result<Variant, Box<Diagnostic>>) -> T + Sync> Iterator for Mapped<T, F> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if !self.started {
            self.started = true;
            self.batch = self.variants.batch(FIRST_BATCH);
        }
        if self.ready.is_empty() && !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            if batch.len() < FIRST_BATCH {
                self.ready = batch.into_iter().map(&self.map).collect();
            } else {
                let (map, variants) = (&self.map, &mut self.variants);
                let work = || batch.into_par_iter().with_min_len(4).map(map).collect::<Vec<T>>();
                let (ready, next) = rayon::join(work, || variants.batch(BATCH));
                self.ready = ready.into();
                self.batch = next;
            }
        }
        self.ready.pop_front()
    }
}
