//! What a test asks of the host: it does not run where that is not there.

use async_trait::async_trait;
use camino::Utf8Path;
use vtbuild_engine::observe::Read;
use vtbuild_engine::outcome::Status;
use vtbuild_providers::params::Params;
use vtbuild_providers::qemu::find_program;
use vtbuild_providers::requirements::is_root;

use super::interval::{Interval, Numbers};
use super::{Host, Problem, Step, asked, error};

/// What a test has to be run by, as a question to the host.
const RIGHTS: &str = "rights";
/// The release of the kernel, likewise.
const KERNEL: &str = "kernel";
/// The device of KVM, likewise.
const KVM: &str = "/dev/kvm";
/// Before the name of a program, likewise.
const PROGRAM: &str = "program ";
/// The answer to a question for something that is there.
const THERE: &str = "there";

/// What the host answers to a question that a test's requirements are; `None` where that is not there.
#[must_use]
pub fn host_fact(question: &str) -> Option<String> {
    let there = |there: bool| there.then(|| THERE.to_owned());
    match question {
        RIGHTS => Some(if is_root() { "root" } else { "user" }.to_owned()),
        KERNEL => std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .ok()
            .map(|release| release.trim().to_owned()),
        KVM => there(Utf8Path::new(KVM).exists()),
        _ => there(find_program(question.strip_prefix(PROGRAM)?).is_some()),
    }
}

/// All that the requirements of a test ask the host, with its answers of now. The version of QEMU is in the key.
pub(in crate::test) fn facts(params: &Params) -> Vec<Read> {
    let on = |key: &str| params.switch(key).ok().flatten() == Some(true);
    let mut questions: Vec<String> = params
        .objects("cmds_installed_host")
        .iter()
        .map(|program| format!("{PROGRAM}{program}"))
        .collect();
    let asked = [
        (on("requires_root"), RIGHTS),
        (on("enable_kvm"), KVM),
        (params.text("required_kernel").is_some(), KERNEL),
    ];
    questions.extend(
        asked
            .iter()
            .filter(|(asked, _)| *asked)
            .map(|(_, name)| (*name).to_owned()),
    );
    let read = |name: String| Read::Host {
        answer: host_fact(&name),
        name,
    };
    questions.into_iter().map(read).collect()
}

/// Looks at the host and has nothing to clean up.
pub(super) struct Requirements;

#[async_trait]
impl Step<Host> for Requirements {
    async fn set_up(&mut self, at: &Host) -> Result<(), Problem> {
        let found = Found {
            root: is_root(),
            kvm: host_fact(KVM).is_some(),
            kernel: host_fact(KERNEL).unwrap_or_default(),
            qemu: at.qemu.to_string(),
        };
        check(&at.params, &found, |program| find_program(program).is_some())
    }
}

/// What the host has.
struct Found {
    root: bool,
    kvm: bool,
    kernel: String,
    qemu: String,
}

fn check(params: &Params, found: &Found, has: impl Fn(&str) -> bool) -> Result<(), Problem> {
    if asked(params, "requires_root").map_err(error)? && !found.root {
        return Err((
            Status::Skip,
            "it needs to be run by root (requires_root = yes)".into(),
        ));
    }
    let commands = params.objects("cmds_installed_host");
    let missing: Vec<&str> = commands.into_iter().filter(|command| !has(command)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err((
            Status::Skip,
            format!("it needs programs that are not installed on this host: {missing} (cmds_installed_host)"),
        ));
    }
    if asked(params, "enable_kvm").map_err(error)? && !found.kvm {
        return Err((
            Status::Cancel,
            "there is no /dev/kvm on this host (enable_kvm = yes)".into(),
        ));
    }
    version(params, "required_kernel", "the host's kernel", &found.kernel)?;
    version(params, "required_qemu", "QEMU", &found.qemu)
}

fn version(params: &Params, key: &str, what: &str, found: &str) -> Result<(), Problem> {
    let Some(text) = params.text(key) else {
        return Ok(());
    };
    let interval = Interval::parse(text)
        .ok_or_else(|| error(params.bad(key, "an interval of versions such as [5.1.0,) or (,4.2]")))?;
    match Numbers::parse(found) {
        Some(version) if interval.contains(&version) => Ok(()),
        _ => Err((
            Status::Cancel,
            format!("{what} is {found}, which is not in {text} ({key})"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(key: &str, value: &str) -> Result<(), Problem> {
        let found = Found {
            root: false,
            kvm: false,
            kernel: "6.1.0-13-amd64".into(),
            qemu: "10.0.2".into(),
        };
        check(&[(key, value)].into_iter().collect(), &found, |program| {
            program == "sh"
        })
    }

    #[test]
    fn a_host_without_what_is_needed_skips_or_cancels() {
        for (key, value, status, word) in [
            ("requires_root", "yes", Status::Skip, "root"),
            (
                "cmds_installed_host",
                "sh nothing-such",
                Status::Skip,
                "nothing-such",
            ),
            ("enable_kvm", "yes", Status::Cancel, "/dev/kvm"),
            ("required_kernel", "[6.2,)", Status::Cancel, "6.1.0-13-amd64"),
            ("required_qemu", "(,9.0]", Status::Cancel, "10.0.2"),
            ("required_qemu", "newer", Status::Error, "interval"),
        ] {
            let (got, reason) = checked(key, value).unwrap_err();
            assert_eq!(got, status, "{reason}");
            assert!(reason.contains(word), "{reason}");
        }
    }

    #[test]
    fn what_was_asked_of_the_host_is_told_with_its_answers() {
        let params: Params = [
            ("cmds_installed_host", "sh nothing-such"),
            ("required_kernel", "[1.0,)"),
            ("enable_kvm", "no"),
        ]
        .into_iter()
        .collect();
        let host = |name: &str, answer: Option<&str>| Read::Host {
            name: name.into(),
            answer: answer.map(str::to_owned),
        };
        let kernel = host_fact("kernel");
        assert_eq!(
            facts(&params),
            [
                host("program sh", Some("there")),
                host("program nothing-such", None),
                host("kernel", kernel.as_deref()),
            ]
        );
        assert!(kernel.is_some_and(|release| release.contains('.')));
        assert_eq!(host_fact("the weather"), None);
    }

    #[test]
    fn a_host_with_what_is_needed_does_not() {
        for (key, value) in [
            ("requires_root", "no"),
            ("cmds_installed_host", "sh"),
            ("required_kernel", "[6.1,)"),
            ("required_qemu", "[5.1.0,)"),
            ("unrelated", "yes"),
        ] {
            assert_eq!(checked(key, value), Ok(()), "{key}");
        }
    }
}
