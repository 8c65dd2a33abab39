//! After a rule ran: what of it is kept.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use vtbuild_cache::{Last, Mark, Output, Record, Reservation, Run};

use super::{Ended, Try, Work, blocking, remove_scratch};
use crate::audit::{Audited, difference};
use crate::graph::Link;
use crate::observe::Read;
use crate::outcome::{Artefact, Distrust, Keep, Outcome, Produced, Status};
use crate::plan::Miss;
use crate::resolve::{FILE, Inputs, Made, ResolveError, Resolved};
use crate::spec::{ActionId, Spec};

impl Work {
    /// Stores what may be stored, removes the scratch folder, and says how it ended.
    pub(super) async fn conclude(
        self: Arc<Self>,
        id: ActionId,
        miss: Miss,
        reservation: Reservation,
        attempts: u32,
        tried: Try,
    ) -> Ended {
        let (seconds, logs) = (tried.seconds, Some(tried.logs.clone()));
        let (status, reason) = (tried.outcome.status, tried.outcome.reason.clone());
        let scratch = tried.scratch.clone();
        let this = self.clone();
        let kept = blocking(move || {
            this.set_aside(id, &tried.outcome.distrusted, &tried.inputs);
            this.keep(id, &miss, reservation, tried)
        })
        .await;
        remove_scratch(scratch).await;
        let (status, reason, made, audit) = match kept {
            Ok((made, audit)) => (status, reason, made, audit),
            Err(error) => {
                let spec = self.graph.spec(id);
                let text = format!("failed to {error}");
                self.events
                    .notice(format!("the result of `{}` is not kept: {text}", spec.title));
                // A verdict stands without a record, but followers cannot go on without outputs.
                let needed = status.lets_followers_run() && self.graph.followers(id).next().is_some();
                let offered = Some(Arc::new(Made {
                    artefacts: Arc::new([]),
                    seconds,
                    trace: None,
                }));
                if needed {
                    (Status::Error, Some(text), None, None)
                } else {
                    (status, reason, offered, None)
                }
            }
        };
        Ended {
            status,
            made,
            cached: false,
            seconds,
            reason,
            attempts,
            logs,
            audit,
        }
    }

    /// Aids that were no good are not served again. That they go is said; what else comes of them is no concern of this
    /// action.
    fn set_aside(&self, id: ActionId, distrusted: &[Distrust], inputs: &Inputs) {
        for Distrust { role, reason } in distrusted {
            let is_it = |(earlier, link): (ActionId, &Link)| match link {
                Link::Aid { role: other, .. } if other == role => Some(self.graph.spec(earlier).clone()),
                _ => None,
            };
            let Some(aid) = self.graph.waits_for(id).find_map(is_it) else {
                continue;
            };
            let store = self.resolver.store();
            for artefact in inputs.get(role).into_iter().flatten() {
                if let Err(error) = store.reject_blob(&artefact.digest, reason) {
                    self.events
                        .notice(format!("failed to set `{}` aside: {error}", aid.title));
                }
            }
            // The history is for people and for estimates: the next run of the aid says why it runs.
            let _ = store.last(&aid.label).map(|last| {
                last.map(|mut last| {
                    last.run = Run {
                        trace: None,
                        status: Status::Fail.word().to_owned(),
                        reason: Some(reason.clone()),
                        finished_unix_ms: now_ms(),
                        ..last.run
                    };
                    store.note(&aid.label, &last)
                })
            });
        }
    }

    /// Stores a result where it may be served again, and compares it with what was recorded where that is asked for.
    fn keep(
        &self,
        id: ActionId,
        miss: &Miss,
        reservation: Reservation,
        tried: Try,
    ) -> Result<(Option<Arc<Made>>, Option<Audited>), ResolveError> {
        let spec = self.graph.spec(id);
        let Miss { resolved, .. } = miss;
        let Try {
            outcome,
            seconds,
            began,
            ..
        } = tried;
        let store = self.resolver.store();
        let manifest = self.resolver.manifest(spec, resolved, &outcome.observed);
        let finished_unix_ms = now_ms();
        let run = Run {
            key: resolved.key,
            trace: None,
            status: outcome.status.word().to_owned(),
            reason: outcome.reason.clone(),
            seconds,
            finished_unix_ms,
            host: self.host.clone(),
        };
        let last = Last {
            run,
            manifest: manifest.clone(),
        };
        if !outcome.status.lets_followers_run() {
            if outcome.status != Status::Interrupt {
                store.note(&spec.label, &last)?;
            }
            let audit = self.audit(id, miss, &outcome, &[], began)?;
            return Ok((None, audit));
        }
        let artefacts = self.take_in(&outcome.outputs)?;
        let audit = self.audit(id, miss, &outcome, &artefacts, began)?;
        let made = Arc::new(Made {
            artefacts: artefacts.into(),
            seconds,
            trace: None,
        });
        if outcome.keep == Keep::Afresh {
            store.note(&spec.label, &last)?;
            return Ok((Some(made), audit));
        }
        if let Some(why) = self.why_not_kept(id, resolved, &outcome, began)? {
            store.note(&spec.label, &last)?;
            self.events
                .of(id, spec.title.clone())
                .notice(format!("`{}` is not cached: {why}", spec.title));
            return Ok((Some(made), audit));
        }
        let record = Record {
            key: resolved.key,
            rule: spec.rule.name.to_owned(),
            label: spec.label.to_string(),
            status: outcome.status.word().to_owned(),
            outputs: made.artefacts.iter().map(output).collect(),
            inputs: resolved.read().collect(),
            observed: self.resolver.observations(spec, &outcome.observed)?,
            manifest,
            seconds,
            finished_unix_ms,
            host: self.host.clone(),
            evidence: outcome.evidence,
        };
        store.publish(&record, reservation)?;
        Ok((Some(made), audit))
    }

    /// Compares an action that ran for an audit with what is recorded of it, and marks its key where they differ.
    fn audit(
        &self,
        id: ActionId,
        miss: &Miss,
        outcome: &Outcome,
        made: &[Artefact],
        began: SystemTime,
    ) -> Result<Option<Audited>, ResolveError> {
        let Some(recorded) = &miss.recorded else {
            return Ok(None);
        };
        if outcome.status == Status::Interrupt {
            return Ok(None);
        }
        let Some((was, became)) = difference(recorded, outcome.status, made) else {
            return Ok(Some(Audited::Agreed));
        };
        let spec = self.graph.spec(id);
        let tell = |text: String| self.events.of(id, spec.title.clone()).notice(text);
        if let Some(why) = self.disturbed(id, &miss.resolved, outcome, began)? {
            tell(format!("the audit of `{}` proves nothing: {why}", spec.title));
            return Ok(None);
        }
        tell(format!(
            "`{}` is non-deterministic: {was} is recorded, and now it came to {became}; it is no longer served (`vtbuild cache marks`)",
            spec.title
        ));
        self.resolver.store().mark(&Mark {
            key: miss.resolved.key,
            rule: spec.rule.name.to_owned(),
            label: spec.label.to_string(),
            title: spec.title.to_string(),
            was,
            became,
            found_unix_ms: now_ms(),
        })?;
        Ok(Some(Audited::Disagreed))
    }

    /// Why a pass may not be served again: its rule says so, it passed with a warning, its key is marked, or what it read
    /// has changed since its key was computed.
    fn why_not_kept(
        &self,
        id: ActionId,
        resolved: &Resolved,
        outcome: &Outcome,
        began: SystemTime,
    ) -> Result<Option<String>, ResolveError> {
        if let Keep::Never(why) = &outcome.keep {
            return Ok(Some(why.clone()));
        }
        if outcome.status == Status::Warn {
            return Ok(Some("a warning is shown again every time".to_owned()));
        }
        if self.resolver.store().mark_of(&resolved.key)?.is_some() {
            let why = "it is marked as non-deterministic (`vtbuild cache marks`)";
            return Ok(Some(why.to_owned()));
        }
        self.disturbed(id, resolved, outcome, began)
    }

    /// What an action read and somebody changed since its key was computed.
    fn disturbed(
        &self,
        id: ActionId,
        resolved: &Resolved,
        outcome: &Outcome,
        began: SystemTime,
    ) -> Result<Option<String>, ResolveError> {
        if let Some(path) = self.resolver.moved_since(self.graph.spec(id), resolved)? {
            return Ok(Some(format!("{path} changed while it ran")));
        }
        for read in &outcome.observed {
            if let Read::File { path, .. } | Read::Listing { path, .. } = read
                && changed_since(path, began)
            {
                return Ok(Some(format!("{path} changed while it ran")));
            }
        }
        for (earlier, _) in self.graph.waits_for(id) {
            let spec = self.graph.spec(earlier);
            if spec.rule == FILE && self.owned_file_moved(spec)? {
                return Ok(Some(format!("{} changed while it ran", spec.sources[0].path)));
            }
        }
        Ok(None)
    }

    /// Whether a file that somebody owns is no longer what it was when this run first looked at it.
    fn owned_file_moved(&self, spec: &Spec) -> Result<bool, ResolveError> {
        let then = self.resolver.resolve(spec, Vec::new())?;
        Ok(self.resolver.moved_since(spec, &then)?.is_some())
    }

    fn take_in(&self, outputs: &[Produced]) -> Result<Vec<Artefact>, ResolveError> {
        let store = self.resolver.store();
        let take = |output: &Produced| {
            let blob = store.put_file(&output.path, vtbuild_cache::Take::Move)?;
            let path = store.blob_path(&blob.digest);
            Ok(Artefact {
                name: output.name.clone(),
                digest: blob.digest,
                size: blob.size,
                path,
            })
        };
        outputs.iter().map(take).collect()
    }
}

fn output(artefact: &Artefact) -> Output {
    Output {
        name: artefact.name.clone(),
        digest: artefact.digest,
        size: artefact.size,
    }
}

/// Files are stamped with the time of the kernel's last tick, of which there are at least 100 a second.
const TICK: Duration = Duration::from_millis(10);

/// Whether what was read at `path` may have been another thing when it was: it was written, moved or touched since `began`.
/// Where nothing is there, the folder that should have it tells.
fn changed_since(path: &Utf8Path, began: SystemTime) -> bool {
    use std::os::unix::fs::MetadataExt;
    let found = path.ancestors().find_map(|path| std::fs::metadata(path).ok());
    let Some(metadata) = found else {
        return true;
    };
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let nanos = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
    UNIX_EPOCH + Duration::new(seconds, nanos) + TICK > began
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
