//! Pictures of the screens while a test runs, and screens that stand still.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::Digest;
use vtbuild_engine::outcome::Status;
use vtbuild_providers::desk::Desk;

use super::repeated::Repeated;
use super::{Machines, Problem, Step, asked, error, seconds};

/// Seconds between two pictures.
const DELAY: f64 = 5.0;
/// Seconds after which a screen that shows the same is reported.
const TRESHOLD: f64 = 1800.0;

/// Takes a picture of each screen every now and then.
#[derive(Default)]
pub(super) struct Screens {
    looking: Option<Repeated>,
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
}

/// What is known of one screen.
#[derive(Default)]
struct Seen {
    taken: u32,
    last: Option<(Digest, Instant)>,
    /// The longest time for which it stood still.
    still: Duration,
}

impl Seen {
    /// Takes note of a picture. Gives the number under which it is kept; none where it shows what the last one did.
    fn note(&mut self, picture: Digest, now: Instant) -> Option<u32> {
        if let Some((last, since)) = self.last
            && last == picture
        {
            self.still = self.still.max(now.duration_since(since));
            return None;
        }
        self.last = Some((picture, now));
        self.taken += 1;
        Some(self.taken)
    }
}

#[async_trait]
impl Step<Machines> for Screens {
    async fn set_up(&mut self, at: &Machines) -> Result<(), Problem> {
        let delay = seconds(&at.params, "screendump_delay", DELAY)?;
        let (desk, logs, seen) = (at.desk.clone(), at.logs.clone(), self.seen.clone());
        self.looking = Some(Repeated::every(delay, move || {
            let (desk, logs, seen) = (desk.clone(), logs.clone(), seen.clone());
            async move {
                for vm in desk.vms() {
                    take(&desk, &vm, &logs, &seen).await;
                }
            }
        }));
        Ok(())
    }

    async fn clean_up(&mut self, at: &Machines) -> Result<(), Problem> {
        if let Some(looking) = self.looking.take() {
            looking.stop().await;
        }
        let treshold = seconds(&at.params, "inactivity_treshold", TRESHOLD)?;
        let strict = at.params.text("inactivity_watcher") == Some("error");
        let keep = asked(&at.params, "keep_screendumps").map_err(error)?;
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let mut reasons = Vec::new();
        for (vm, seen) in &seen {
            let folder = folder(&at.logs, vm);
            if seen.still > treshold {
                let reason = format!(
                    "the screen of {vm} showed the same for {:.0} s (inactivity_treshold = {:.0})",
                    seen.still.as_secs_f64(),
                    treshold.as_secs_f64()
                );
                let _ = std::fs::write(
                    at.logs.join(format!("inactivity-{vm}.log")),
                    format!("{reason}\n"),
                );
                reasons.push(reason);
            }
            if !keep {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
        if strict && !reasons.is_empty() {
            return Err((Status::Error, reasons.join("\n")));
        }
        Ok(())
    }
}

fn folder(logs: &Utf8Path, vm: &str) -> Utf8PathBuf {
    logs.join(format!("screendumps_{vm}"))
}

/// Takes one picture. A machine that is off, or between two QEMUs, has none to give.
async fn take(desk: &Desk, vm: &str, logs: &Utf8Path, seen: &Mutex<BTreeMap<String, Seen>>) {
    let Some(machine) = desk
        .machine(vm)
        .filter(|machine| machine.is_alive() && machine.spec().has_display())
    else {
        return;
    };
    let folder = folder(logs, vm);
    let fresh = folder.join("new.png");
    if std::fs::create_dir_all(&folder).is_err() || machine.screendump(&fresh).await.is_err() {
        return;
    }
    let Ok(bytes) = std::fs::read(&fresh) else {
        return;
    };
    let number = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(vm.to_owned())
            .or_default()
            .note(Digest::of(&bytes), Instant::now())
    };
    let _ = match number {
        Some(number) => std::fs::rename(&fresh, folder.join(format!("{number:04}.png"))),
        None => std::fs::remove_file(&fresh),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_kept_once_and_standing_still_is_measured() {
        let mut seen = Seen::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        assert_eq!(seen.note(one, at(0)), Some(1));
        assert_eq!(seen.note(one, at(7)), None);
        assert_eq!(seen.note(two, at(9)), Some(2));
        assert_eq!(seen.note(two, at(10)), None);
        assert_eq!(seen.note(one, at(11)), Some(3));
        assert_eq!(seen.still, Duration::from_secs(7));
    }
}
