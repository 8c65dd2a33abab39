//! Notes of earlier commands, found and kept: which of the selected variants need not be declared again.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use tokio::runtime::Handle;
use vtbuild_cache::Digest;
use vtbuild_cfg::variant::Fingerprint;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::plan::Forecast;
use vtbuild_engine::recall::{Held, Memo, Names, Noted, Notes, Picked, Served, Slot, Source, What, names};
use vtbuild_engine::resolve::Resolver;
use vtbuild_engine::spec::{ActionId, Spec};
use vtbuild_engine::variant::Variant;

use crate::analysis::{Analysis, broken};
use crate::cli::ActionArgs;
use crate::command::warn;
use crate::exit::Failure;
use crate::planned::{Foreseen, everything, is_manual, unreadable};
use crate::wiring::{self, Traits, Wiring, titles};
use crate::workspace::Workspace;

/// The folder of notes in the cache.
pub const FOLDER: &str = "notes";
/// How often the records of notes are said to be used.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Says that something left out is not in the notes from before.
const NEW: u32 = 1 << 31;

/// The variants that a command is about, and what earlier ones noted of them.
pub struct Selected<'a> {
    workspace: &'a Workspace,
    args: &'a ActionArgs,
    resolver: &'a Resolver,
    results: Utf8PathBuf,
    /// Where notes of this selection are.
    place: Utf8PathBuf,
    /// The store's, from before anything was looked up.
    word: u128,
    /// Notes that hold, as far as they do.
    known: Option<(Arc<Memo>, Held, Traits)>,
    slots: Vec<Slot>,
    marks: Vec<Fingerprint>,
    left_out: Vec<(Fingerprint, Names, bool)>,
    /// Those that have to be declared, in order.
    pub variants: Vec<Variant>,
    titles: Option<Vec<Arc<str>>>,
    traits: Traits,
    /// What declarations look at, before they did.
    before: Option<Digest>,
}

impl<'a> Selected<'a> {
    /// Looks for notes, and takes from the configuration what they do not speak for.
    pub fn of(
        analysis: &'a Analysis,
        args: &'a ActionArgs,
        resolver: &'a Resolver,
        results: Utf8PathBuf,
        runtime: &Handle,
    ) -> Result<Self, Failure> {
        let workspace = &analysis.workspace;
        let word = resolver.store().word()?;
        let mut selected = Self {
            workspace,
            args,
            resolver,
            results,
            place: place(analysis, args),
            word,
            known: None,
            slots: Vec::new(),
            marks: Vec::new(),
            left_out: Vec::new(),
            variants: Vec::new(),
            titles: None,
            traits: Traits::default(),
            before: None,
        };
        selected.known = selected.notes(runtime)?;
        let mut picked = selected.pick(analysis, true)?;
        if let Some((memo, _, traits)) = &selected.known {
            let of_rest = Traits::of(picked.rest.iter().map(|(_, variant)| variant));
            let together = traits.clone().and(of_rest);
            let titles = picked.titles(memo, |variant| selected.leaves_out(variant));
            // Notes of other names or of other tools speak for nobody: it all begins anew.
            if titles.is_none() || together != *traits && !selected.holds_with(&together, runtime)? {
                selected.known = None;
                picked = selected.pick(analysis, false)?;
            }
            (selected.titles, selected.traits) = (titles, together);
        }
        selected.take(picked);
        Ok(selected)
    }

    /// Whether a variant runs only when it is named.
    fn leaves_out(&self, variant: &Variant) -> bool {
        everything(&self.args.select) && is_manual(variant)
    }

    /// The notes that are kept, if what declarations look at is what it was.
    fn notes(&self, runtime: &Handle) -> Result<Option<(Arc<Memo>, Held, Traits)>, Failure> {
        let Some(memo) = Memo::load(&self.place) else {
            return Ok(None);
        };
        let Ok(traits) = serde_json::from_str::<Traits>(memo.remark()) else {
            return Ok(None);
        };
        let wiring = self.wiring(&traits, &[], runtime)?;
        if self.surroundings(&wiring, &traits) != Some(memo.settings()) {
            return Ok(None);
        }
        let held = memo
            .check(self.resolver, &self.place)
            .map_err(|error| unreadable(&error))?;
        Ok(Some((Arc::new(memo), held, traits)))
    }

    /// Whether notes that were made with fewer tools hold with these too.
    fn holds_with(&self, traits: &Traits, runtime: &Handle) -> Result<bool, Failure> {
        let Some((memo, ..)) = &self.known else {
            return Ok(false);
        };
        let wiring = self.wiring(traits, &[], runtime)?;
        Ok(self.surroundings(&wiring, traits) == Some(memo.settings()))
    }

    fn wiring(&self, traits: &Traits, variants: &[Variant], runtime: &Handle) -> Result<Wiring, Failure> {
        let (accel, asked) = (self.args.accel, self.args.runtime);
        runtime.block_on(Wiring::with(self.workspace, traits, variants, accel, asked))
    }

    fn surroundings(&self, wiring: &Wiring, traits: &Traits) -> Option<Digest> {
        let left_out = [self.workspace.cache.clone(), self.results.clone()];
        wiring.surroundings(&traits.programs, &left_out)
    }

    fn pick(&self, analysis: &Analysis, with_notes: bool) -> Result<Picked, Failure> {
        let known = self.known.as_ref().filter(|_| with_notes);
        let notes = known.map(|(memo, held, _)| (&**memo, held));
        let picked = Picked::of(&analysis.program, notes).map_err(|found| broken(&found))?;
        if picked.slots.is_empty() {
            return Err(analysis.nothing());
        }
        Ok(picked)
    }

    /// Sorts out those that run only when they are named.
    fn take(&mut self, picked: Picked) {
        let mut rest = picked.rest.into_iter();
        let mut titles = self.titles.take().map(Vec::into_iter);
        let mut kept = Vec::new();
        for slot in picked.slots {
            let Slot::Rest(_) = slot else {
                self.slots.push(slot);
                continue;
            };
            let (fingerprint, variant) = rest.next().expect("the slots name each of the rest once");
            let title = titles.as_mut().and_then(Iterator::next);
            if self.leaves_out(&variant) {
                let at = u32::try_from(self.left_out.len()).expect("fewer than 2^32 variants");
                let dep = !variant.dep.is_empty();
                self.left_out.push((fingerprint, names(&variant), dep));
                self.slots.push(Slot::LeftOut(at | NEW));
                continue;
            }
            let at = u32::try_from(self.variants.len()).expect("fewer than 2^32 variants");
            self.slots.push(Slot::Rest(at));
            self.marks.push(fingerprint);
            self.variants.push(variant);
            kept.extend(title);
        }
        let all = kept.len() == self.variants.len() && self.known.is_some();
        self.titles = Some(if all { kept } else { titles_of(&self.variants) });
        if self.known.is_none() {
            self.traits = Traits::of(&self.variants);
        }
    }

    /// How many variants run only when they are named.
    pub fn left_out(&self) -> usize {
        let left_out = |slot: &&Slot| matches!(slot, Slot::LeftOut(_));
        self.slots.iter().filter(left_out).count()
    }

    /// The rules for those that have to be declared.
    pub fn rules(&mut self, runtime: &Handle) -> Result<Wiring, Failure> {
        let wiring = self.wiring(&self.traits, &self.variants, runtime)?;
        self.before = match &self.known {
            // Notes that hold were made of what is there now.
            Some((memo, ..)) => Some(memo.settings()),
            None => self.surroundings(&wiring, &self.traits),
        };
        Ok(wiring)
    }

    /// Their graph.
    pub fn graph(&self, wiring: &Wiring) -> Result<Graph, Failure> {
        wiring.titled(&self.variants, self.titles.clone().unwrap_or_default())
    }

    /// Leaves notes of what a plan has found, and gives it what older ones know.
    pub fn finish(self, mut foreseen: Foreseen) -> Result<Foreseen, Failure> {
        // Two variants that became one action are told apart by nobody.
        if foreseen.graph.wanted().len() == self.variants.len() {
            self.keep(&foreseen)?;
        }
        if let Some((memo, ..)) = &self.known {
            self.touch(memo);
        }
        let Some((memo, held, _)) = self.known else {
            return Ok(foreseen);
        };
        let served = Served::of(memo, self.slots, held.blobs, wiring::WANTED, &wiring::BELOW);
        foreseen.plan = foreseen.plan.with_served(served);
        Ok(foreseen)
    }

    fn keep(&self, foreseen: &Foreseen) -> Result<(), Failure> {
        let Foreseen {
            wiring, graph, plan, ..
        } = foreseen;
        let attested = self.known.as_ref().is_some_and(|(_, held, _)| held.is_attested());
        let is_hit = |id: &ActionId| matches!(plan.of(*id), Forecast::Hit { .. });
        let learnt = graph.wanted().iter().any(is_hit) || !self.left_out.is_empty();
        // Notes of what was and of what may be again do no harm.
        if attested && !learnt {
            return Ok(());
        }
        // What changed since the notes from before were looked at, or while all was declared, is nobody's surroundings.
        if self.before.is_none() || self.surroundings(wiring, &self.traits) != self.before {
            return Ok(());
        }
        let mut traits = self.traits.clone();
        traits.programs.extend(wiring.programs());
        let Some(settings) = self.surroundings(wiring, &traits) else {
            return Ok(());
        };
        let remark = serde_json::to_string(&traits).unwrap_or_default();
        let looked_into = |spec: &Spec| wiring.looked_into(spec);
        let notes = Notes {
            graph,
            plan,
            resolver: self.resolver,
            looked_into: &looked_into,
            before: self.known.as_ref().map(|(memo, ..)| &**memo),
        };
        let memo = notes.of(&self.sources(graph), settings, remark);
        let memo = memo.map_err(|error| unreadable(&error))?;
        // Another command may have learnt meanwhile what a test needs, which this one has not gone by.
        if !wiring.is_as_surveyed() {
            return Ok(());
        }
        let touched = self.known.as_ref().and_then(|_| touched(&self.place));
        memo.save(&self.place, self.resolver.store(), self.word);
        // What was taken over was not used just now as far as the store knows.
        if let Some(time) = touched {
            set_touched(&self.place, time);
        }
        Ok(())
    }

    /// Notes once a day that the records are used which nobody looks up: the time of the notes is when that was last done.
    fn touch(&self, memo: &Memo) {
        let old = |time: SystemTime| time.elapsed().is_ok_and(|age| age > DAY);
        if !touched(&self.place).is_some_and(old) {
            return;
        }
        match self.resolver.store().touch_records(&memo.traces()) {
            Ok(()) => set_touched(&self.place, SystemTime::now()),
            Err(error) => warn(&format!("failed to note what of the cache is used: {error}")),
        }
    }

    fn sources(&self, graph: &Graph) -> Vec<Source> {
        let source = |slot: &Slot| match *slot {
            Slot::LeftOut(at) if at & NEW != 0 => {
                let (fingerprint, names, dep) = self.left_out[(at & !NEW) as usize].clone();
                let title = names[0].clone();
                Source::New(Noted {
                    fingerprint,
                    names,
                    title,
                    dep,
                    what: What::LeftOut,
                })
            }
            Slot::Served(at) | Slot::LeftOut(at) => Source::Old(at),
            Slot::Rest(at) => {
                let variant = &self.variants[at as usize];
                let id = graph.wanted()[at as usize];
                Source::New(Noted {
                    fingerprint: self.marks[at as usize],
                    names: names(variant),
                    title: graph.spec(id).title.clone(),
                    dep: !variant.dep.is_empty(),
                    what: What::Action(id),
                })
            }
        };
        self.slots.iter().map(source).collect()
    }
}

/// When the records of notes were last said to be used.
fn touched(notes: &Utf8Path) -> Option<SystemTime> {
    notes.metadata().ok()?.modified().ok()
}

/// Where the time cannot be set, the records are said to be used too often or grow old.
fn set_touched(notes: &Utf8Path, time: SystemTime) {
    let _ = File::open(notes).and_then(|file| file.set_modified(time));
}

fn titles_of(variants: &[Variant]) -> Vec<Arc<str>> {
    titles(&variants.iter().map(names).collect::<Vec<_>>())
}

/// Where notes of a selection are: its configuration may change, not what was asked for.
fn place(analysis: &Analysis, args: &ActionArgs) -> Utf8PathBuf {
    let workspace = &analysis.workspace;
    let asked = format!(
        "{} {} {} {:?} {:?} {:?}",
        workspace.root,
        workspace.settings.vt_type,
        everything(&args.select),
        analysis.lines,
        args.accel,
        args.runtime,
    );
    let name = Digest::of(asked.as_bytes()).short();
    workspace.cache.join(FOLDER).join(name)
}
