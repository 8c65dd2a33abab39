//! libvirt: a daemon that all of the host shares, and whose machines, *domains*, are processes of its own.
//!
//! Tests restart the daemon, define networks and name their domains as they please, so one test of libvirt at a time is
//! under way on a host. Its domains, and all others that use a file of its scratch folder, end with it: a janitor destroys
//! and undefines them, also where we are killed. A domain that somebody else has defined is never touched.

use std::time::Duration;

use async_trait::async_trait;
use vtbuild_engine::outcome::Status;
use vtbuild_providers::host::Runtime;
use vtbuild_providers::params::Params;
use vtbuild_providers::process::{Command, Duties, Janitor, Output};
use vtbuild_providers::qemu::find_program;

use super::{Host, Problem, Step, error, put_back};

/// The kinds of machines (`vm_type`) that are libvirt's.
const KINDS: [&str; 3] = ["libvirt", "v2v", "lvsb"];
/// What talks to the daemon.
pub(in crate::test) const VIRSH: &str = "virsh";
/// The programs by which a result may differ: the first, and the daemons that there may be.
pub(in crate::test) const PROGRAMS: [&str; 3] = [VIRSH, "libvirtd", "virtqemud"];
/// What the lease is called.
const PART: &str = "libvirt";
/// First processes of a host by which upstream's package knows how to start a daemon.
const INITS: [&str; 2] = ["systemd", "init"];
/// What a domain says of itself that was defined for a test.
const MARK: &str = "urn:vtbuild:domain";
/// How long the daemon may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a test's machines are, where they are libvirt's.
pub(in crate::test) fn kind(params: &Params) -> Option<&str> {
    params.text("vm_type").filter(|kind| KINDS.contains(kind))
}

/// The one runtime whose machines can be libvirt's.
pub(in crate::test) fn runtime(params: &Params) -> Option<Runtime> {
    kind(params).map(|_| Runtime::Upstream)
}

/// Keeps other tests of libvirt away, and ends what this one leaves.
#[derive(Default)]
pub(super) struct Libvirt {
    janitor: Option<Janitor>,
}

#[async_trait]
impl Step<Host> for Libvirt {
    async fn set_up(&mut self, at: &Host) -> Result<(), Problem> {
        if find_program(VIRSH).is_none() {
            let reason = "it needs libvirt: there is no virsh on this host (install libvirt-clients, libvirt-daemon-system)";
            return Err((Status::Skip, reason.into()));
        }
        let init = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
        if !INITS.contains(&init.trim()) {
            let reason = format!(
                "it needs a host whose services systemd looks after: upstream's package starts and stops libvirt's daemon by it, and the \
                 first process here is `{}` (a container?)",
                init.trim()
            );
            return Err((Status::Skip, reason));
        }
        let lease = at.lease(PART).await?;
        let virsh = Virsh::of(at);
        let defined = virsh.run(&["list", "--all", "--name"]).await?;
        let wanted = at.params.objects("vms");
        let end = ending(&virsh.words(), at.scratch.as_str(), &wanted);
        let mut left = false;
        for name in defined
            .lines()
            .map(str::trim)
            .filter(|name| wanted.contains(name))
        {
            if !virsh.run(&["dumpxml", name]).await?.contains(MARK) {
                return Err(error(format!(
                    "define the domain {name} for the test: this host has one of that name, which is somebody's own (undefine or \
                     rename it, or name the machine of the test otherwise: vms, main_vm)"
                )));
            }
            left = true;
        }
        if left {
            // Its test is gone, with the daemon or the host: nobody else has the lease.
            let ended = at
                .launcher
                .output(Command::new("sh").args(["-c", &end]), PATIENCE)
                .await;
            ended.map_err(error)?;
        }
        let duties = Duties::default().run(end).hold(lease);
        let janitor = at.launcher.janitor(duties).await;
        self.janitor = Some(janitor.map_err(error)?);
        Ok(())
    }

    async fn clean_up(&mut self, at: &Host) -> Result<(), Problem> {
        if put_back(&mut self.janitor).await {
            return Ok(());
        }
        let names = at.params.objects("vms").join(", ");
        Err(error(format!(
            "end the domains of the test ({names}): libvirt's daemon did not do it; `virsh list --all` shows what is left"
        )))
    }
}

/// virsh, as a test's parameters have it speak to a daemon.
struct Virsh<'a> {
    at: &'a Host,
    uri: Option<&'a str>,
}

impl<'a> Virsh<'a> {
    fn of(at: &'a Host) -> Self {
        let uri = at.params.text("connect_uri").filter(|uri| *uri != "default");
        Self { at, uri }
    }

    fn words(&self) -> Vec<String> {
        let mut words = vec![VIRSH.to_owned(), "--quiet".to_owned()];
        if let Some(uri) = self.uri {
            words.extend(["--connect".to_owned(), uri.to_owned()]);
        }
        words
    }

    /// What it prints.
    async fn run(&self, arguments: &[&str]) -> Result<String, Problem> {
        let words = self.words();
        let command = Command::new(&words[0]).args(&words[1..]).args(arguments);
        let shown = command.to_string();
        let output = self.at.launcher.output(command, PATIENCE).await.map_err(error)?;
        match output {
            Output { exit, stdout, .. } if exit.success() => Ok(stdout),
            Output { stderr, .. } => {
                let said = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
                let said = said.collect::<Vec<_>>().join("; ");
                Err(error(format!(
                    "ask libvirt (`{shown}`): {said}. Is its daemon running? (libvirtd or virtqemud, of libvirt-daemon-system)"
                )))
            }
        }
    }
}

/// A text for a shell that ends the domains of these names and those that use files of the test's folder; it fails where one is
/// left.
fn ending(virsh: &[String], folder: &str, names: &[&str]) -> String {
    let patterns: Vec<_> = names.iter().map(|name| shell_words::quote(name)).collect();
    // An alternative that no domain is called like, where there are no names.
    let ours = if patterns.is_empty() {
        "''".to_owned()
    } else {
        patterns.join("|")
    };
    ENDING
        .replace("VIRSH", &shell_words::join(virsh))
        .replace("FOLDER", &shell_words::quote(folder))
        .replace("OURS", &ours)
}

/// A machine whose daemon is gone is ended by its process: that of an emulator which names a file of the test.
const ENDING: &str = r#"
mine() {
    case $1 in '') return 1;; OURS) return 0;; esac
    VIRSH dumpxml "$1" 2>&1 | grep -qF -- FOLDER
}
left=0
VIRSH list --all --name > /dev/null || left=1
VIRSH list --all --name | while read -r domain; do
    mine "$domain" || continue
    VIRSH destroy "$domain"
    VIRSH undefine "$domain" --managed-save --snapshots-metadata --checkpoints-metadata --nvram || VIRSH undefine "$domain"
done
for process in /proc/[0-9]*; do
    case $(readlink "$process/exe") in
    */qemu-*) if tr '\0' '\n' < "$process/cmdline" | grep -qF -- FOLDER; then kill -9 "${process#/proc/}"; fi;;
    esac
done
case $left in 1) exit 1;; esac
VIRSH list --all --name | { while read -r domain; do if mine "$domain"; then exit 1; fi; done; }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_machines_tell_whose_they_are() {
        let of = |kind: &str| runtime(&[("vm_type", kind)].into_iter().collect());
        assert_eq!(of("libvirt"), Some(Runtime::Upstream));
        assert_eq!((of("qemu"), runtime(&Params::new())), (None, None));
    }

    /// A virsh whose domains are files of a folder; `undefine` removes one unless it is called `stuck`.
    const FAKE: &str = r#"#!/bin/sh
cd "$(dirname "$0")/domains" || exit 1
echo "$*" >> ../calls
case $2 in
list) ls;;
dumpxml) cat "$3";;
undefine) [ "$3" = stuck ] || rm "$3";;
esac
"#;

    fn ended(domains: &[(&str, &str)], names: &[&str]) -> (bool, Vec<String>, String) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("domains")).unwrap();
        for (name, text) in domains {
            std::fs::write(dir.path().join("domains").join(name), text).unwrap();
        }
        let virsh = dir.path().join("virsh");
        std::fs::write(&virsh, FAKE).unwrap();
        let words = [
            "sh".to_owned(),
            virsh.to_str().unwrap().to_owned(),
            "--quiet".to_owned(),
        ];
        let text = ending(&words, "/scratch/7 it's", names);
        let status = std::process::Command::new("sh")
            .args(["-c", &text])
            .status()
            .unwrap();
        let left = std::fs::read_dir(dir.path().join("domains")).unwrap();
        let mut left: Vec<String> = left
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap();
        (status.success(), left, calls)
    }

    #[test]
    fn domains_end_by_their_name_and_by_their_files_and_no_others() {
        let disk = "<source file='/scratch/7 it's/disk.qcow2'/>";
        let domains = [
            ("vm1", ""),
            ("a b", disk),
            ("somebody's", "<source file='/scratch/71'/>"),
        ];
        let (well, left, calls) = ended(&domains, &["vm1"]);
        assert!(well && left == ["somebody's"], "{left:?}");
        assert!(
            calls.contains("destroy vm1") && calls.contains("destroy a b"),
            "{calls}"
        );
        let (well, left, _) = ended(&[("other", "")], &[]);
        assert!(well && left == ["other"]);
    }

    #[test]
    fn a_domain_that_stays_is_told() {
        let (well, left, _) = ended(&[("stuck", "")], &["stuck"]);
        assert!(!well && left == ["stuck"]);
    }
}
