//! What is said of a lookup: why it missed, and what a key is made of.

use vtbuild_cache::{Change, Last, Manifest, Mark, Seen};

use super::{ResolveError, Resolved, Resolver, Today, action_key};
use crate::key::{EVERYTHING, INPUTS, ParamReads, READS};
use crate::observe::{Observation, Read};
use crate::reason::Reason;
use crate::spec::Spec;

/// How a manifest prints a parameter that was looked for and not there.
const ABSENT: &str = "absent";

impl Resolver {
    /// Why a lookup missed: what differs between the key's fields and those of the last run under the same label.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn reason(&self, spec: &Spec, resolved: &Resolved) -> Result<Reason, ResolveError> {
        if let Some(mark) = self.store.mark_of(&resolved.key)? {
            let Mark { was, became, .. } = mark;
            return Ok(Reason::Nondeterministic { was, became });
        }
        let Some(last) = self.store.last(&spec.label)? else {
            return Ok(Reason::Never);
        };
        let changes = self.changes(spec, resolved, &last.manifest);
        if !changes.is_empty() {
            return Ok(Reason::Changed { changes });
        }
        if let Some(trace) = &last.run.trace
            && let Some(record) = self.store.record_of(trace)?
            && let Some(name) = Today::new(self).broken(spec, record.observed.iter().map(Seen::from))?
        {
            let name = Observation::parse(name).map_or_else(|| name.to_owned(), |seen| seen.to_string());
            return Ok(Reason::Observed { name });
        }
        if self.strict && last.run.status == "PASS" && last.manifest.get(EVERYTHING).is_none() {
            return Ok(Reason::Strict);
        }
        Ok(verdict_reason(last))
    }

    /// What speaks for running an action before its inputs are known: that its label was never recorded, for then nothing can
    /// serve it, or what of its own is not as it was at its last run. `None` where the inputs alone decide.
    ///
    /// # Errors
    /// When the store or a source cannot be read.
    pub fn beforehand(&self, spec: &Spec) -> Result<Option<Reason>, ResolveError> {
        let Some(last) = self.store.last(&spec.label)? else {
            return Ok(Some(Reason::Never));
        };
        let resolved = self.resolve(spec, Vec::new())?;
        let mut changes = self.changes(spec, &resolved, &last.manifest);
        changes.retain(|change| change.field.split('.').next() != Some(INPUTS));
        Ok((!changes.is_empty()).then_some(Reason::Changed { changes }))
    }

    /// What differs between a kept manifest and today: in the key, and in what was read then.
    fn changes(&self, spec: &Spec, resolved: &Resolved, then: &Manifest) -> Vec<Change> {
        let today = ParamReads {
            params: spec
                .offered
                .iter()
                .map(|(name, value)| (&**name, Some(&**value)))
                .collect(),
            everything: Some(spec.offered.everything()),
        };
        let today = action_key(spec, resolved).manifest_with(&today);
        let everything = then.get(EVERYTHING).is_some();
        let counts = |change: &Change| {
            let read = change.field.starts_with(READS);
            let absent = |value: &Option<String>| value.as_deref().is_none_or(|text| text == ABSENT);
            !read || everything || (change.old.is_some() && !(absent(&change.old) && absent(&change.new)))
        };
        then.diff(&today).into_iter().filter(counts).collect()
    }

    /// The fields of an action's key and what it read beyond them, readable.
    #[must_use]
    pub fn manifest(&self, spec: &Spec, resolved: &Resolved, reads: &[Read]) -> Manifest {
        let reads = self.reads(spec, reads);
        let everything = reads.contains(&Read::Everything);
        let value = |name| spec.offered.get(name).map(|value| &**value);
        let params = if everything {
            spec.offered
                .iter()
                .map(|(name, value)| (&**name, Some(&**value)))
                .collect()
        } else {
            let named = reads.iter().filter_map(|read| match read {
                Read::Param(name) => Some((&**name, value(name))),
                _ => None,
            });
            named.collect()
        };
        let reads = ParamReads {
            params,
            everything: everything.then(|| spec.offered.everything()),
        };
        action_key(spec, resolved).manifest_with(&reads)
    }
}

fn verdict_reason(last: Last) -> Reason {
    let status = last.run.status;
    if status == "PASS" {
        Reason::Evicted
    } else {
        Reason::Failed { status }
    }
}
