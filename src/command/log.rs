//! `vtbuild log`: what a job did, from the events that it left.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value as Json, json};

use super::{plural, print, tell};
use crate::cli::LogArgs;
use crate::exit::{Exit, Failure};
use crate::report::seconds;
use crate::workspace::Workspace;

/// What an event says of an action that an audit found to be non-deterministic.
const DISAGREED: &str = "disagreed";

/// Tells of one job.
pub fn log(args: &LogArgs) -> Result<Exit, Failure> {
    let folder = match &args.job {
        Some(folder) => folder.clone(),
        None => Workspace::open(&args.place)?.root.join("job-results/latest"),
    };
    let job = JobLog::read(&folder)?;
    if let Some(path) = &args.profile {
        std::fs::write(path, format!("{}\n", job.profile()))
            .map_err(|error| Failure::environment(format!("failed to write {path}: {error}")))?;
    }
    if args.json {
        print(&format!("{:#}\n", job.json()))?;
    } else {
        tell(&job.text(args.slowest))?;
    }
    Ok(Exit::Good)
}

/// One action of a job that ran or was served.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ran {
    title: String,
    rule: String,
    status: String,
    cached: bool,
    /// Seconds from the start of the job; none where it never started.
    start: Option<f64>,
    end: f64,
    /// How long it took, or would have taken.
    seconds: f64,
    /// Why it ran.
    reason: String,
    /// What it waited for.
    after: Vec<String>,
    /// What it was doing, and since when.
    steps: Vec<(f64, String)>,
    /// What an audit found: `agreed`, `disagreed`; empty without one.
    audit: String,
}

impl Ran {
    fn begun(event: &Json, now: f64) -> Self {
        let after = event["after"].as_array().into_iter().flatten();
        Self {
            title: word(event, "label"),
            rule: word(event, "rule"),
            status: String::new(),
            cached: false,
            start: Some(now),
            end: now,
            seconds: 0.0,
            reason: String::new(),
            after: after
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            steps: Vec::new(),
            audit: String::new(),
        }
    }

    /// All but the steps.
    pub(super) fn json(&self) -> Json {
        json!({
            "title": self.title, "rule": self.rule, "status": self.status, "cached": self.cached,
            "start": self.start, "end": self.end, "seconds": self.seconds, "reason": self.reason, "after": self.after,
            "audit": (!self.audit.is_empty()).then_some(&self.audit),
        })
    }
}

fn word(event: &Json, key: &str) -> String {
    event[key].as_str().unwrap_or_default().to_owned()
}

/// All actions of a job.
#[derive(Debug)]
pub(super) struct JobLog {
    folder: Utf8PathBuf,
    actions: Vec<Ran>,
    /// How long the job took, in seconds.
    seconds: f64,
}

impl JobLog {
    /// The job that left its events in a folder.
    pub(super) fn read(folder: &Utf8Path) -> Result<Self, Failure> {
        let path = folder.join("events.jsonl");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let message = format!(
                "failed to read {path}: {error} (a job folder is what `vtbuild //…` leaves in job-results)"
            );
            Failure::new(Exit::Usage, message)
        })?;
        let mut log = Self::parse(&text).map_err(|line| {
            Failure::new(
                Exit::Usage,
                format!("{path}:{line}: this is not an event of a job"),
            )
        })?;
        folder
            .canonicalize_utf8()
            .unwrap_or_else(|_| folder.to_owned())
            .clone_into(&mut log.folder);
        Ok(log)
    }

    /// From the lines of `events.jsonl`; an error is the number of a line that is none. A last line that was cut short when the
    /// job was killed is left out.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut started: HashMap<String, Ran> = HashMap::new();
        let mut log = Self {
            folder: Utf8PathBuf::new(),
            actions: Vec::new(),
            seconds: 0.0,
        };
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Ok(event) = serde_json::from_str::<Json>(line) else {
                if at + 1 == lines.len() {
                    break;
                }
                return Err(at + 1);
            };
            log.take(&event, &mut started).ok_or(at + 1)?;
        }
        // What a killed job had begun.
        let mut cut: Vec<Ran> = started.into_values().collect();
        cut.sort_by(|a, b| a.start.unwrap_or(0.0).total_cmp(&b.start.unwrap_or(0.0)));
        for ran in cut {
            log.actions.push(Ran {
                status: "UNFINISHED".to_owned(),
                end: log.seconds,
                seconds: log.seconds - ran.start.unwrap_or(log.seconds),
                ..ran
            });
        }
        Ok(log)
    }

    /// Takes note of one event; none where it is no event.
    fn take(&mut self, event: &Json, started: &mut HashMap<String, Ran>) -> Option<()> {
        let now = event["at"].as_f64().unwrap_or(0.0);
        self.seconds = self.seconds.max(now);
        let label = word(event, "label");
        match event["event"].as_str()? {
            "started" => {
                let ran = started.entry(label).or_insert_with(|| Ran::begun(event, now));
                ran.reason = reason(&event["reason"]);
            }
            "step" => {
                if let Some(ran) = started.get_mut(&label) {
                    ran.steps.push((now, word(event, "text")));
                }
            }
            "finished" => {
                let never = || Ran {
                    start: None,
                    ..Ran::begun(event, now)
                };
                let ran = started.remove(&label).unwrap_or_else(never);
                self.actions.push(Ran {
                    status: word(event, "status"),
                    cached: event["cached"].as_bool().unwrap_or(false),
                    seconds: event["seconds"].as_f64().unwrap_or(0.0),
                    end: now,
                    audit: word(event, "audit"),
                    ..ran
                });
            }
            _ => {}
        }
        Some(())
    }

    /// Where it was read.
    pub(super) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// What came of each action in the end.
    pub(super) fn last_by_title(&self) -> HashMap<&str, &Ran> {
        self.actions.iter().map(|ran| (ran.title.as_str(), ran)).collect()
    }

    /// Those that were started, in the order in which they ended.
    fn ran(&self) -> impl Iterator<Item = &Ran> {
        self.actions.iter().filter(|ran| ran.start.is_some())
    }

    /// The chain that the job's end waited for: the last action to end, before it the last to end of those that it waited for,
    /// and so on.
    fn critical_path(&self) -> Vec<&Ran> {
        let by_title: HashMap<&str, &Ran> = self.ran().map(|ran| (ran.title.as_str(), ran)).collect();
        let last = |of: &mut dyn Iterator<Item = &'_ str>| {
            of.filter_map(|title| by_title.get(title).copied())
                .max_by(|a, b| a.end.total_cmp(&b.end))
        };
        let mut path = Vec::new();
        let mut next = last(&mut self.ran().map(|ran| ran.title.as_str()));
        while let Some(ran) = next.filter(|_| path.len() <= self.actions.len()) {
            path.push(ran);
            next = last(&mut ran.after.iter().map(String::as_str));
        }
        path.reverse();
        path
    }

    /// Seconds that served actions would have taken.
    fn saved(&self) -> f64 {
        let cached = self.actions.iter().filter(|ran| ran.cached);
        cached.map(|ran| ran.seconds).sum()
    }

    fn statuses(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for ran in &self.actions {
            *counts.entry(ran.status.as_str()).or_default() += 1;
        }
        counts
    }

    fn text(&self, slowest: usize) -> String {
        let mut text = String::new();
        let ran: Vec<&Ran> = self.ran().collect();
        let cached = self.actions.iter().filter(|ran| ran.cached).count();
        let busy: f64 = ran.iter().map(|ran| ran.end - ran.start.unwrap_or(ran.end)).sum();
        let statuses: Vec<String> = self
            .statuses()
            .iter()
            .map(|(word, count)| format!("{word} {count}"))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", self.folder);
        let _ = writeln!(
            text,
            "{}: {}",
            plural(&self.actions.len(), "action"),
            statuses.join(" | ")
        );
        let served = match cached {
            0 => "none came from the cache".to_owned(),
            _ => format!(
                "{cached} came from the cache, which saved {}",
                seconds(self.saved())
            ),
        };
        let _ = writeln!(
            text,
            "{} ran in {} ({} one after the other); {served}",
            ran.len(),
            seconds(self.seconds),
            seconds(busy),
        );
        let audited = ran.iter().filter(|ran| !ran.audit.is_empty()).count();
        if audited > 0 {
            let disagreed = ran.iter().filter(|ran| ran.audit == DISAGREED);
            let titles: Vec<&str> = disagreed.map(|ran| ran.title.as_str()).collect();
            let told = if titles.is_empty() {
                "all came out as recorded".to_owned()
            } else {
                format!(
                    "{} did not come out as recorded: {}",
                    titles.len(),
                    titles.join(", ")
                )
            };
            let _ = writeln!(text, "{} for an audit; {told}", plural(&audited, "run"));
        }
        if ran.is_empty() {
            return text;
        }
        text.push_str("\ncritical path:\n");
        for ran in self.critical_path() {
            let _ = writeln!(
                text,
                "  {:>10}  {} {}",
                seconds(ran.end - ran.start.unwrap_or(ran.end)),
                ran.rule,
                ran.title
            );
        }
        let mut by_time = ran;
        by_time.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        text.push_str("\nslowest:\n");
        for ran in by_time.iter().take(slowest) {
            let _ = writeln!(
                text,
                "  {:>10}  {} {}: {} (ran because {})",
                seconds(ran.seconds),
                ran.rule,
                ran.title,
                ran.status,
                ran.reason
            );
        }
        text
    }

    fn json(&self) -> Json {
        let path: Vec<&str> = self
            .critical_path()
            .iter()
            .map(|ran| ran.title.as_str())
            .collect();
        json!({
            "job": self.folder, "seconds": self.seconds, "saved_seconds": self.saved(), "critical_path": path,
            "actions": self.actions.iter().map(Ran::json).collect::<Vec<_>>(),
        })
    }

    /// The Chrome trace format: complete events in microseconds, actions that ran at the same time on lanes of their own.
    fn profile(&self) -> Json {
        let mut ran: Vec<&Ran> = self.ran().collect();
        ran.sort_by(|a, b| a.start.unwrap_or(0.0).total_cmp(&b.start.unwrap_or(0.0)));
        // When each lane is free again.
        let mut lanes: Vec<f64> = Vec::new();
        let mut events = Vec::new();
        let micros = |seconds: f64| seconds * 1e6;
        for ran in ran {
            let start = ran.start.unwrap_or(ran.end);
            let free = lanes.iter().position(|end| *end <= start);
            let lane = free.unwrap_or_else(|| {
                lanes.push(0.0);
                lanes.len() - 1
            });
            lanes[lane] = ran.end;
            let whole = |name: &str, kind: &str, start: f64, end: f64| {
                json!({
                    "name": name, "cat": kind, "ph": "X", "pid": 1, "tid": lane + 1,
                    "ts": micros(start), "dur": micros((end - start).max(0.0)),
                })
            };
            let mut event = whole(&ran.title, &ran.rule, start, ran.end);
            event["args"] = json!({ "status": ran.status, "reason": ran.reason });
            events.push(event);
            let ends = ran.steps.iter().skip(1).map(|(at, _)| *at).chain([ran.end]);
            for ((at, text), end) in ran.steps.iter().zip(ends) {
                events.push(whole(text, "step", *at, end));
            }
        }
        json!({ "displayTimeUnit": "ms", "traceEvents": events })
    }
}

/// A reason as it stands in an event.
fn reason(event: &Json) -> String {
    match event["why"].as_str() {
        Some("never") => "it had not run before".to_owned(),
        Some("changed") => {
            let fields: Vec<&str> = event["changes"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|change| change["field"].as_str())
                .collect();
            format!("{} changed", fields.join(", "))
        }
        Some("failed") => format!(
            "its last verdict was {}",
            event["status"].as_str().unwrap_or("no pass")
        ),
        Some("observed") => format!("{} changed", event["name"].as_str().unwrap_or("a file")),
        Some("evicted") => "its record was gone".to_owned(),
        Some("strict") => "all of its parameters were to count".to_owned(),
        Some("audit") => "an audit compared it with what was recorded".to_owned(),
        Some("nondeterministic") => "it was marked as non-deterministic".to_owned(),
        Some("forced") => "it was asked for".to_owned(),
        Some(other) => other.to_owned(),
        None => "nobody said why".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = r#"{"at":0.0,"event":"planned","actions":4,"wanted":3,"hits":1}
{"at":0.0,"event":"finished","label":"old","rule":"test","run":1,"status":"PASS","cached":true,"seconds":7.5}
{"at":0.1,"event":"started","label":"jeos","rule":"image","attempt":1,"reason":{"why":"never"},"after":[]}
{"at":1.0,"event":"step","label":"jeos","text":"packing"}
{"at":5.1,"event":"finished","label":"jeos","rule":"image","run":1,"status":"PASS","cached":false,"seconds":5.0}
{"at":5.2,"event":"started","label":"a","rule":"test","attempt":1,"reason":{"why":"changed","changes":[{"field":"reads.mem","old":null,"new":"1"}]},"after":["jeos"]}
{"at":5.2,"event":"started","label":"b","rule":"test","attempt":1,"reason":{"why":"forced"},"after":["jeos"]}
{"at":6.2,"event":"finished","label":"b","rule":"test","run":1,"status":"FAIL","cached":false,"seconds":1.0}
{"at":9.2,"event":"finished","label":"a","rule":"test","run":1,"status":"PASS","cached":false,"seconds":4.0}
"#;

    #[test]
    fn a_job_is_told_from_its_events() {
        let log = JobLog::parse(EVENTS).unwrap();
        let path: Vec<&str> = log.critical_path().iter().map(|ran| ran.title.as_str()).collect();
        assert_eq!(path, ["jeos", "a"]);
        let text = log.text(1);
        for expected in [
            "4 actions: FAIL 1 | PASS 3",
            "3 ran in 9.20 s (10.00 s one after the other); 1 came from the cache, which saved 7.50 s",
            "image jeos: PASS (ran because it had not run before)",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
    }

    #[test]
    fn what_ran_at_the_same_time_has_lanes_of_its_own() {
        let profile = JobLog::parse(EVENTS).unwrap().profile();
        let lane = |name: &str| {
            let events = profile["traceEvents"].as_array().unwrap();
            events.iter().find(|event| event["name"] == name).unwrap()["tid"].clone()
        };
        assert_eq!(lane("jeos"), lane("packing"));
        assert_ne!(lane("a"), lane("b"));
    }

    #[test]
    fn a_job_that_was_killed_is_told_as_far_as_it_came() {
        let cut = &EVENTS[..EVENTS.find("{\"at\":9.2").unwrap() + 20];
        let log = JobLog::parse(cut).unwrap();
        let last = log.actions.last().unwrap();
        assert_eq!((last.title.as_str(), last.status.as_str()), ("a", "UNFINISHED"));
        assert_eq!(JobLog::parse("no event\n{}\n").unwrap_err(), 1);
    }
}
