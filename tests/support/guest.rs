//! Sandboxes with real guests: one image is built for all of them, and they take turns.

use std::fs::{self, File};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::Sandbox;

/// Builds the bundled guest's image and starts no machine.
const BUILD: &str = "//selftest.pass -p vms=vm1 -p images=image1 --accel tcg --progress plain";

/// How long building an image may take: packages are fetched, on a host that may be busy.
const BUILT: Duration = Duration::from_secs(1200);

fn shared() -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guest")
}

impl Sandbox {
    /// A sandbox whose cache has the bundled guest's image. Until it is dropped no other test process runs guests.
    pub(crate) fn with_guest() -> Self {
        Self::with_guests(&["JeOS.12"])
    }

    /// The same with the images of several bundled guests.
    pub(crate) fn with_guests(guests: &[&str]) -> Self {
        let shared = shared();
        fs::create_dir_all(&shared).unwrap();
        let turn = File::create(shared.join("turn")).unwrap();
        turn.lock().unwrap();
        let mut sandbox = Self::new();
        sandbox.turn = Some(turn);
        if shared.join("cache").is_dir() {
            copy_store(&shared.join("cache"), &sandbox.cache());
        }
        let mut fresh = false;
        for guest in guests {
            // A hit, unless the recipe has changed since. Missing programs fail here, with the command that installs them.
            let built = sandbox
                .start(&format!("{BUILD} --guest-os {guest}"))
                .wait_for(BUILT);
            let (output, verdict) = (built.stdout().to_owned(), built.verdict("selftest.pass"));
            assert_eq!(
                verdict.status, "PASS",
                "the image of {guest} cannot be built: {output}"
            );
            fresh |= output
                .lines()
                .any(|line| line.starts_with("image ") && line.contains(": PASS"));
        }
        if fresh {
            let _ = fs::remove_dir_all(shared.join("cache"));
            copy_store(&sandbox.cache(), &shared.join("cache"));
        }
        sandbox
    }
}

impl Sandbox {
    /// Copies the bundled guest's disk, which boots by itself, to a file of the workspace.
    pub(crate) fn copy_disk(&self, name: &str) {
        let disks = super::files_below(&self.cache().join("cas"));
        let is_disk = |path: &&Utf8PathBuf| {
            let mut magic = [0; 4];
            let mut file = File::open(path).unwrap();
            std::io::Read::read_exact(&mut file, &mut magic).is_ok() && magic == *b"QFI\xfb"
        };
        let disk = disks.iter().find(is_disk).unwrap();
        let to = self.path(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(disk, to).unwrap();
    }
}

/// Copies a store that nobody uses. Its blobs are never written to, so that links will do.
fn copy_store(from: &Utf8Path, to: &Utf8Path) {
    for path in super::files_below(from) {
        let inside = path.strip_prefix(from).unwrap();
        let first = inside
            .components()
            .next()
            .map(|part| part.as_str())
            .unwrap_or_default();
        if !["VERSION", "cas", "index"].contains(&first) {
            continue;
        }
        let copy = to.join(inside);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        let linked = first == "cas" && fs::hard_link(&path, &copy).is_ok();
        if !linked {
            fs::copy(&path, &copy).unwrap();
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            let _ = File::open(&copy).unwrap().set_modified(modified);
        }
    }
}
