//! Settings of the host's memory: huge pages, transparent huge pages, merging of pages (KSM).
//!
//! They hold for all of the host. So one test at a time changes them, also among the runs of a host, and a janitor writes back
//! what was there before it lets the next one begin, also where we are killed. Where upstream's packages do the changes,
//! that is all that is done here.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::outcome::Status;
use vtbuild_providers::machine::huge_page_mount;
use vtbuild_providers::params::{ParamError, Params};
use vtbuild_providers::process::{Command, Duties, Janitor};
use vtbuild_providers::requirements::is_root;

use super::{Host, Problem, Step, asked, error, put_back};

/// What the lease is called.
const PART: &str = "the memory settings";
const KERNEL: &str = "sys/kernel/mm";
/// Has the kernel move pages together.
const COMPACT: &str = "/proc/sys/vm/compact_memory";
/// MiB of huge pages that a machine takes beside the guest's memory.
const OVERHEAD: u64 = 128;
/// MiB of a machine whose parameters do not say.
const MEMORY: u64 = 1024;
/// How long mounting may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The switches that ask for it.
const HUGE: [&str; 2] = ["setup_hugepages", "hugepage"];
const TRANSPARENT: &str = "setup_thp";
const MERGING: &str = "setup_ksm";

/// A file of the kernel and what is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    path: Utf8PathBuf,
    value: String,
}

/// Huge pages that have to be free, and where they are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pages {
    /// The kernel's folder for pages of this size.
    folder: Utf8PathBuf,
    kib: u64,
    wanted: u64,
    mount: Utf8PathBuf,
}

/// What a test asks for, as far as this host has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// As found: what is written back, last first.
    found: Vec<Setting>,
    /// As wanted.
    wanted: Vec<Setting>,
    pages: Option<Pages>,
}

/// Whether the parameters ask for any of it.
pub(super) fn is_asked(params: &Params) -> Result<bool, ParamError> {
    for key in [HUGE[0], HUGE[1], TRANSPARENT, MERGING] {
        if asked(params, key)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Changes the settings, or only keeps them, and has them written back.
pub(super) struct Memory {
    changes: bool,
    janitor: Option<Janitor>,
}

impl Memory {
    /// `changes`: whether the settings are made here, and not by upstream's packages.
    pub(super) fn new(changes: bool) -> Self {
        Self {
            changes,
            janitor: None,
        }
    }
}

#[async_trait]
impl Step<Host> for Memory {
    async fn set_up(&mut self, at: &Host) -> Result<(), Problem> {
        if !is_root() {
            let keys = format!("{}, {TRANSPARENT}, {MERGING}", HUGE.join(", "));
            return Err(lacking(format!(
                "the rights of root, for settings of the host's memory ({keys})"
            )));
        }
        let lease = at.lease(PART).await?;
        let plan = Plan::of(&at.params, Utf8Path::new("/"))?;
        let mount = plan.pages.as_ref().map(|pages| pages.mount.as_path());
        let duties = Duties::default().run(undoing(&plan.found, mount)).hold(lease);
        let janitor = at.launcher.janitor(duties).await;
        self.janitor = Some(janitor.map_err(error)?);
        if !self.changes {
            return Ok(());
        }
        // What fails half-way is undone by the janitor, which is dropped with this step.
        plan.wanted.iter().try_for_each(write)?;
        match &plan.pages {
            Some(pages) => pages.make(at).await,
            None => Ok(()),
        }
    }

    async fn clean_up(&mut self, _at: &Host) -> Result<(), Problem> {
        if put_back(&mut self.janitor).await {
            return Ok(());
        }
        Err(error(
            "set the host's memory back as it was before the test; look at /sys/kernel/mm and at what is mounted",
        ))
    }
}

fn lacking(what: impl std::fmt::Display) -> Problem {
    (Status::Skip, format!("it needs {what}"))
}

fn write(setting: &Setting) -> Result<(), Problem> {
    let Setting { path, value } = setting;
    std::fs::write(path, value).map_err(|source| error(format!("write `{value}` to {path}: {source}")))
}

fn read(path: &Utf8Path) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

impl Plan {
    /// What `params` ask of the host whose files are below `root`.
    fn of(params: &Params, root: &Utf8Path) -> Result<Self, Problem> {
        let mut plan = Self::default();
        if asked(params, TRANSPARENT).map_err(error)? {
            plan.transparent(params, root)?;
        }
        if asked(params, MERGING).map_err(error)? {
            plan.merging(params, root)?;
        }
        if asked(params, HUGE[0]).map_err(error)? || asked(params, HUGE[1]).map_err(error)? {
            plan.huge(params, root)?;
        }
        Ok(plan)
    }

    /// `setup_thp`: all that can be written is kept; `test_config` says what is changed: `FILE:VALUE;FILE:VALUE`.
    fn transparent(&mut self, params: &Params, root: &Utf8Path) -> Result<(), Problem> {
        let folder = root.join(KERNEL).join("transparent_hugepage");
        if !folder.is_dir() {
            return Err(lacking(format!(
                "transparent huge pages, which this host's kernel does not have ({TRANSPARENT})"
            )));
        }
        self.found.extend(writable(&folder));
        let known: BTreeSet<Utf8PathBuf> = self.found.iter().map(|setting| setting.path.clone()).collect();
        let wanted = params.text("test_config").unwrap_or_default().split(';');
        for pair in wanted.filter(|pair| !pair.trim().is_empty()) {
            let wrong =
                || error(params.bad("test_config", "FILE:VALUE;… of files of transparent huge pages"));
            let (path, value) = pair.trim().split_once(':').ok_or_else(wrong)?;
            let path = root.join(path.trim().trim_start_matches('/'));
            if !known.contains(&path) {
                return Err(wrong());
            }
            let value = value.trim().to_owned();
            self.wanted.push(Setting { path, value });
        }
        Ok(())
    }

    /// `setup_ksm`.
    fn merging(&mut self, params: &Params, root: &Utf8Path) -> Result<(), Problem> {
        let run = match params.text("ksm_run") {
            None | Some("yes") => "1",
            Some("no") => "0",
            Some(other) => other,
        };
        let wanted = [
            (
                "pages_to_scan",
                params.text("ksm_pages_to_scan").unwrap_or("5000"),
            ),
            ("sleep_millisecs", params.text("ksm_sleep_ms").unwrap_or("50")),
            ("run", run),
        ];
        for (name, value) in wanted {
            let path = root.join(KERNEL).join("ksm").join(name);
            let found = read(&path).ok_or_else(|| {
                lacking(format!(
                    "merging of pages, which this host's kernel does not have ({MERGING})"
                ))
            })?;
            self.found.push(Setting {
                path: path.clone(),
                value: found,
            });
            let value = value.to_owned();
            self.wanted.push(Setting { path, value });
        }
        Ok(())
    }

    /// `setup_hugepages`, or `hugepage`, which stands for it.
    fn huge(&mut self, params: &Params, root: &Utf8Path) -> Result<(), Problem> {
        let kib = page_size(params, root)?;
        let folder = root.join(KERNEL).join(format!("hugepages/hugepages-{kib}kB"));
        let count = |name: &str| -> Option<u64> { read(&folder.join(name))?.parse().ok() };
        let (Some(there), Some(_)) = (count("nr_hugepages"), count("free_hugepages")) else {
            return Err(lacking(format!(
                "huge pages of {kib} kB, which this host's kernel does not have"
            )));
        };
        if let Some(wanted) = params.number::<u64>("expected_hugepage_size").map_err(error)?
            && wanted != 0
            && wanted != kib
        {
            return Err(lacking(format!(
                "huge pages of {wanted} kB, and those of this host have {kib} kB (expected_hugepage_size)"
            )));
        }
        let surplus = params.number::<u64>("overcommit_hugepages").map_err(error)?;
        for (name, found) in [
            ("nr_overcommit_hugepages", count("nr_overcommit_hugepages")),
            ("nr_hugepages", Some(there)),
        ] {
            self.found.extend(found.map(|found| Setting {
                path: folder.join(name),
                value: found.to_string(),
            }));
        }
        self.wanted.extend(surplus.map(|surplus| Setting {
            path: folder.join("nr_overcommit_hugepages"),
            value: surplus.to_string(),
        }));
        let wanted = match params.number("target_hugepages").map_err(error)? {
            Some(pages) => pages,
            None => for_machines(params, kib).map_err(error)?,
        };
        self.pages = Some(Pages {
            folder,
            kib,
            wanted: wanted.saturating_sub(surplus.unwrap_or(0)),
            mount: huge_page_mount(params).into(),
        });
        Ok(())
    }
}

/// The size of the pages that are asked for: that in the name of `kernel_hp_file`, else the kernel's own.
fn page_size(params: &Params, root: &Utf8Path) -> Result<u64, Problem> {
    let named = params.text("kernel_hp_file").and_then(|path| {
        let (_, rest) = path.split_once("hugepages-")?;
        rest.split_once("kB")?.0.parse().ok()
    });
    let usual = || {
        let info = read(&root.join("proc/meminfo"))?;
        let line = info.lines().find_map(|line| line.strip_prefix("Hugepagesize:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    named
        .or_else(usual)
        .ok_or_else(|| lacking("huge pages, which this host's kernel does not have (setup_hugepages)"))
}

/// The pages that the machines of a test fill.
fn for_machines(params: &Params, kib: u64) -> Result<u64, ParamError> {
    let named = params.objects("vms").len() as u64;
    let machines = named.max(params.number("max_vms")?.unwrap_or(0));
    let memory = params.size("mem", 1 << 20)?.map_or(MEMORY, |bytes| bytes >> 20);
    let overhead = params.number("hugepages_qemu_overhead")?.unwrap_or(OVERHEAD);
    Ok((machines * (memory + overhead) * 1024).div_ceil(kib))
}

impl Pages {
    /// Has the kernel set the pages aside, in addition to those that somebody uses, and mounts them.
    async fn make(&self, at: &Host) -> Result<(), Problem> {
        let count = |name: &str| -> u64 {
            let text = read(&self.folder.join(name)).unwrap_or_default();
            text.parse().unwrap_or(0)
        };
        let used = count("nr_hugepages").saturating_sub(count("free_hugepages"));
        let total = used + self.wanted;
        let aside = Setting {
            path: self.folder.join("nr_hugepages"),
            value: total.to_string(),
        };
        if count("nr_hugepages") < total {
            write(&aside)?;
        }
        if count("nr_hugepages") < total {
            // Memory in one piece can be made, by moving what is between; a kernel that cannot do that has what it has.
            let _ = std::fs::write(COMPACT, "1");
            write(&aside)?;
        }
        let free = count("free_hugepages");
        if free < self.wanted {
            return Err(lacking(format!(
                "{} free huge pages of {} kB, and this host's kernel can set {free} aside (target_hugepages, mem)",
                self.wanted, self.kib
            )));
        }
        std::fs::create_dir_all(&self.mount)
            .map_err(|source| error(format!("make the folder {} for huge pages: {source}", self.mount)))?;
        let size = format!("pagesize={}K", self.kib);
        let mount = Command::new("mount").args(["-t", "hugetlbfs", "-o", &size, "none", self.mount.as_str()]);
        let done = at.launcher.output(mount, PATIENCE).await.map_err(error)?;
        if done.exit.success() {
            return Ok(());
        }
        let said = done.stderr.trim();
        Err(error(format!("mount huge pages at {}: {said}", self.mount)))
    }
}

/// The files below a folder that may be written, as they are.
fn writable(folder: &Utf8Path) -> Vec<Setting> {
    use std::os::unix::fs::PermissionsExt;

    let mut paths: Vec<Utf8PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| {
            let mode = entry.metadata().map(|meta| meta.permissions().mode());
            mode.is_ok_and(|mode| mode & 0o200 != 0)
        })
        .filter_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok())
        .collect();
    paths.sort();
    let setting = |path: Utf8PathBuf| {
        let value = chosen(&read(&path)?);
        Some(Setting { path, value })
    };
    paths.into_iter().filter_map(setting).collect()
}

/// Of several words the one in brackets: `always [madvise] never`.
fn chosen(text: &str) -> String {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(word, _)| word).to_owned()
}

/// A text for a shell that writes everything back, and unmounts what was mounted for the test; it fails where that does not
/// come to be.
fn undoing(found: &[Setting], mount: Option<&Utf8Path>) -> String {
    let mut lines = vec!["failed=0".to_owned()];
    if let Some(mount) = mount.filter(|mount| !is_mounted(mount)) {
        let made = !mount.exists();
        let mount = shell_words::quote(mount.as_str());
        lines.push(format!(
            "if mountpoint -q {mount}; then umount {mount} || umount -l {mount} || failed=1; fi"
        ));
        if made {
            lines.push(format!("if [ -d {mount} ]; then rmdir {mount}; fi"));
        }
    }
    for Setting { path, value } in found.iter().rev() {
        let (path, value) = (shell_words::quote(path.as_str()), shell_words::quote(value));
        lines.push(format!("printf %s {value} > {path} || failed=1"));
    }
    lines.push("exit $failed".to_owned());
    lines.join("\n")
}

/// Whether something is mounted there already, which stays.
fn is_mounted(path: &Utf8Path) -> bool {
    let mounts = read(Utf8Path::new("/proc/self/mounts")).unwrap_or_default();
    mounts
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some(path.as_str()))
}

#[cfg(test)]
mod tests;
